//! Requests in the terms of HTTP/1.1, so that whatever follows knows one form of them only (RFC 9113 §8.3).

use crate::http::refusal::Refusal;
use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::uri::{self, Scheme};
use http::{Method, Request, Uri};

/// Gives a request, which may have so many fields, a target without an authority and a field `Host` with it. `scheme` is that of
/// the connection.
pub(super) fn into_http_1_1<B>(
    request: &mut Request<B>,
    scheme: &Scheme,
    max_fields: usize,
) -> Result<(), Refusal> {
    if *request.method() == Method::CONNECT {
        // It has no path, and is refused by `check`.
        return Ok(());
    }
    let asterisk = *request.method() == Method::OPTIONS;
    let target = std::mem::take(request.uri_mut()).into_parts();
    let is_path = target
        .path_and_query
        .as_ref()
        .is_some_and(|path| path.as_str().starts_with('/') || (asterisk && path.as_str() == "*"));
    let mut rooted = uri::Parts::default();
    rooted.path_and_query = target.path_and_query;
    match Uri::from_parts(rooted) {
        Ok(uri) if is_path => *request.uri_mut() = uri,
        _ => return Err(Refusal::Malformed("its path does not begin with a slash")),
    }
    if request.headers().len() > max_fields {
        return Err(Refusal::HeadTooLarge);
    }
    // Without an authority, the library keeps no scheme.
    if target.scheme.is_some_and(|named| named != *scheme) {
        return Err(Refusal::OtherScheme(scheme.clone()));
    }
    if let Some(authority) = target.authority {
        name_host(request.headers_mut(), authority.as_str())?;
    }
    join_cookies(request.headers_mut());
    Ok(())
}

/// Puts the authority into `Host`, which may name no other one (RFC 9113 §8.3.1). Whether it is one is left to `check`.
fn name_host(headers: &mut HeaderMap, authority: &str) -> Result<(), Refusal> {
    if headers.get_all(HOST).iter().any(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
        return Err(Refusal::Malformed("its fields :authority and Host differ"));
    }
    let value = HeaderValue::from_str(authority);
    headers.insert(HOST, value.map_err(|_| Refusal::Malformed("its :authority is not a host and a port"))?);
    Ok(())
}

/// Joins the crumbs that a client may split its cookies into (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::into_http_1_1;
    use crate::http::refusal::Refusal;
    use http::uri::Scheme;
    use http::{Request, Version};

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<Request<()>, Refusal> {
        let mut builder = Request::builder().version(Version::HTTP_2).method(method).uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(()).unwrap();
        into_http_1_1(&mut request, &Scheme::HTTP, 100)?;
        Ok(request)
    }

    #[test]
    fn the_authority_becomes_the_host() {
        let request = request("GET", "http://a.example:80/b?c", &[("host", "A.example:80")]).unwrap();
        assert_eq!(request.uri(), "/b?c");
        assert_eq!(request.headers()["host"], "a.example:80");
    }

    #[test]
    fn a_host_that_differs_from_the_authority_is_refused() {
        for host in ["b.example", "", "a.example:80"] {
            let outcome = request("GET", "http://a.example/", &[("host", host)]);
            assert!(matches!(outcome, Err(Refusal::Malformed(_))), "{host}");
        }
    }

    #[test]
    fn the_scheme_is_that_of_the_connection() {
        assert_eq!(
            request("GET", "https://a.example/", &[]).unwrap_err(),
            Refusal::OtherScheme(Scheme::HTTP)
        );
    }

    #[test]
    fn an_asterisk_is_for_options() {
        assert_eq!(request("OPTIONS", "*", &[("host", "a")]).unwrap().uri(), "*");
        assert!(request("GET", "*", &[("host", "a")]).is_err());
    }

    #[test]
    fn crumbs_become_a_cookie() {
        let request = request("GET", "/", &[("cookie", "a=1"), ("cookie", "b=2; c=3")]).unwrap();
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_head_has_a_hundred_fields_at_most() {
        let fields = |count| vec![("x", "y"); count];
        assert!(request("GET", "/", &fields(100)).is_ok());
        assert_eq!(request("GET", "/", &fields(101)).unwrap_err(), Refusal::HeadTooLarge);
    }
}
