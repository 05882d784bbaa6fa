//! Requests that no guest sees: those that are not clear about the host that they mean (RFC 9112 §3.2), and those that no site
//! is for.

use super::refusal::Refusal;
use crate::authority::{Authority, Host};
use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri, Version};

/// The host of a request that names none: HTTP/1.0 knew none, and guests expect one.
const NO_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// Refuses a request, or makes sure that its field `Host` names the host that it is for, and finds its site. `scheme` is the
/// one of URLs that lead to this listener.
pub fn check<B, T>(
    request: &mut Request<B>,
    scheme: &Scheme,
    find: impl FnOnce(Option<Host<'_>>, &str) -> Result<T, NoSite>,
) -> Result<T, Refusal> {
    if *request.method() == Method::CONNECT {
        return Err(Refusal::Tunnel);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (field, further) = (hosts.next(), hosts.next());
    if further.is_some() {
        return Err(Refusal::Malformed("there is more than one Host field"));
    }
    if field.is_none() && request.version() >= Version::HTTP_11 {
        return Err(Refusal::Malformed("there is no Host field"));
    }
    // An empty value is valid where the target has no authority; it then means no host in particular.
    let value = field.map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let authority = match value {
        None => None,
        Some(value) => {
            let parsed = Authority::parse(value);
            Some(parsed.ok_or(Refusal::Malformed("the Host field is not a host and a port"))?)
        }
    };
    let uri = request.uri();
    let Some(target) = uri.authority() else {
        let host = authority.map(|Authority { host, .. }| host);
        let found = find(host, uri.path()).map_err(|why| why.refusal(value))?;
        if field.is_none() {
            request.headers_mut().insert(HOST, NO_HOST);
        }
        return Ok(found);
    };
    // A target in absolute form comes before the Host field, which is to be ignored (RFC 9112 §3.2.2).
    match uri.scheme() {
        Some(theirs) if theirs == scheme => {}
        Some(_) => return Err(Refusal::OtherScheme(scheme.clone())),
        None => return Err(Refusal::Malformed("the target is neither a path nor a URL")),
    }
    let target = target.as_str();
    let Some(Authority { host, .. }) = Authority::parse(target.as_bytes()) else {
        return Err(Refusal::Malformed("the target does not name a host and a port"));
    };
    let found = find(Some(host), uri.path()).map_err(|why| why.refusal(Some(target.as_bytes())))?;
    let value = HeaderValue::from_str(target);
    let value = value.map_err(|_| Refusal::Malformed("the target does not name a host and a port"))?;
    if let Some(rooted) = rooted(uri) {
        *request.uri_mut() = rooted;
    }
    request.headers_mut().insert(HOST, value);
    Ok(found)
}

/// Why a request has no site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSite {
    /// The only one is not for its host.
    NotAllowed,
    /// None is for its host.
    UnknownHost,
    /// None of its host is for its path.
    UnknownPath,
}

impl NoSite {
    fn refusal(self, authority: Option<&[u8]>) -> Refusal {
        match self {
            Self::NotAllowed => Refusal::Misdirected(named(authority)),
            Self::UnknownHost => Refusal::UnknownHost(named(authority)),
            Self::UnknownPath => Refusal::UnknownPath,
        }
    }
}

/// A target in absolute form whose path is empty, with the path that this means (RFC 9110 §4.2.3).
fn rooted(uri: &Uri) -> Option<Uri> {
    let query = uri.path_and_query()?.as_str().strip_prefix('?')?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/?{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The host that a request is for, without its port.
fn named(authority: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(authority.unwrap_or_default()).into_owned();
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{NoSite, Refusal, check};
    use http::uri::Scheme;
    use http::{Request, Version};

    /// Checks a request to a server that is for every host but one. Gives the host that it is for.
    fn request(version: Version, uri: &str, hosts: &[&str]) -> Result<String, Refusal> {
        let mut builder = Request::builder().version(version).uri(uri);
        for host in hosts {
            builder = builder.header("host", *host);
        }
        let mut request = builder.body(()).unwrap();
        check(&mut request, &Scheme::HTTP, |host, path| match host {
            Some(host) if host.is("evil.example") => Err(NoSite::NotAllowed),
            _ if path == "/nowhere" => Err(NoSite::UnknownPath),
            _ => Ok(()),
        })?;
        Ok(request.headers()["host"].to_str().unwrap().to_owned())
    }

    fn is_malformed(outcome: &Result<String, Refusal>) -> bool {
        matches!(outcome, Err(Refusal::Malformed(_)))
    }

    #[test]
    fn http_1_1_asks_for_exactly_one_host() {
        assert_eq!(request(Version::HTTP_11, "/", &["localhost:8080"]), Ok("localhost:8080".into()));
        assert_eq!(request(Version::HTTP_11, "/", &[""]), Ok(String::new()));
        for hosts in [&[][..], &["a", "a"], &["a b"], &["a/b"], &["user@a"], &["a:x"], &["[1::2::3]"]] {
            assert!(is_malformed(&request(Version::HTTP_11, "/", hosts)), "{hosts:?}");
            assert!(is_malformed(&request(Version::HTTP_11, "http://a/", hosts)), "{hosts:?}");
        }
    }

    #[test]
    fn http_1_0_needs_none() {
        assert_eq!(request(Version::HTTP_10, "/", &[]), Ok("localhost".into()));
        assert_eq!(request(Version::HTTP_10, "http://a:1/", &[]), Ok("a:1".into()));
        assert!(is_malformed(&request(Version::HTTP_10, "/", &["a", "b"])));
    }

    #[test]
    fn a_target_in_absolute_form_names_the_host() {
        let absolute = |uri| request(Version::HTTP_11, uri, &["other"]);
        assert_eq!(absolute("http://a:1/"), Ok("a:1".into()));
        let mut request =
            Request::builder().uri("http://localhost?args").header("host", "localhost").body(()).unwrap();
        check(&mut request, &Scheme::HTTP, |_, _| Ok(())).unwrap();
        assert_eq!(request.uri().path_and_query().unwrap(), "/?args");
        for uri in ["http://user@a/", "http://[ab..cd::1]/", "http://a:99999/"] {
            if uri.parse::<http::Uri>().is_ok() {
                assert!(is_malformed(&absolute(uri)), "{uri}");
            }
        }
        assert_eq!(absolute("https://a/"), Err(Refusal::OtherScheme(Scheme::HTTP)));
        assert!(is_malformed(&absolute("a:80")));
    }

    #[test]
    fn a_request_without_a_site_is_refused() {
        for (uri, host) in [("/", "evil.example:8080"), ("http://evil.example/", "localhost")] {
            let refusal = request(Version::HTTP_11, uri, &[host]);
            assert_eq!(refusal, Err(Refusal::Misdirected("evil.example".to_owned())));
        }
        assert_eq!(request(Version::HTTP_11, "/nowhere", &["a"]), Err(Refusal::UnknownPath));
        assert!(request(Version::HTTP_10, "/", &[]).is_ok());
    }
}
