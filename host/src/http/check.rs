//! Requests that no guest sees: those that are not clear about the host that they mean (RFC 9112 §3.2), and those that a
//! web page of another site makes to a server on its visitor's machine.
//!
//! A page can have its own name lead to 127.0.0.1 (DNS rebinding), and then read whatever a server there answers. The
//! request still names that site, so a listener that only this machine reaches answers for loopback names only, unless
//! others are allowed by flag.

use super::authority::{Authority, Host};
use super::refusal::Refusal;
use crate::net::Reach;
use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri, Version};

/// The host of a request that names none: HTTP/1.0 knew none, and guests expect one.
const NO_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// The hosts that a server answers for.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// The names that were allowed by flag, in lower case. With none, a listener on loopback answers for loopback names,
    /// and another one for all.
    pub fn new(allowed: Vec<String>) -> Self {
        Self(allowed)
    }

    fn allow(&self, host: Host<'_>, reach: Reach) -> bool {
        host.is_loopback()
            || (reach != Reach::Loopback && self.0.is_empty())
            || self.0.iter().any(|name| name == "*" || host.is(name))
    }
}

/// Refuses a request, or makes sure that its field `Host` names the host that it is for. `scheme` is the one of URLs that
/// lead to this listener.
pub fn check<B>(
    request: &mut Request<B>,
    names: &Names,
    reach: Reach,
    scheme: &Scheme,
) -> Result<(), Refusal> {
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
        if let Some(Authority { host, .. }) = authority
            && !names.allow(host, reach)
        {
            return Err(misdirected(value));
        }
        if field.is_none() {
            request.headers_mut().insert(HOST, NO_HOST);
        }
        return Ok(());
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
    if !names.allow(host, reach) {
        return Err(misdirected(Some(target.as_bytes())));
    }
    let value = HeaderValue::from_str(target);
    let value = value.map_err(|_| Refusal::Malformed("the target does not name a host and a port"))?;
    if let Some(rooted) = rooted(uri) {
        *request.uri_mut() = rooted;
    }
    request.headers_mut().insert(HOST, value);
    Ok(())
}

/// A target in absolute form whose path is empty, with the path that this means (RFC 9110 §4.2.3).
fn rooted(uri: &Uri) -> Option<Uri> {
    let query = uri.path_and_query()?.as_str().strip_prefix('?')?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/?{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The refusal of a request for another host, whose port does not matter.
fn misdirected(authority: Option<&[u8]>) -> Refusal {
    let text = String::from_utf8_lossy(authority.unwrap_or_default()).into_owned();
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => text,
    };
    Refusal::Misdirected(host)
}

#[cfg(test)]
mod tests {
    use super::{Names, Refusal, check};
    use crate::net::Reach;
    use http::uri::Scheme;
    use http::{Request, Version};

    fn checked(
        version: Version,
        uri: &str,
        hosts: &[&str],
        (names, reach): (&[&str], Reach),
    ) -> Result<String, Refusal> {
        let mut builder = Request::builder().version(version).uri(uri);
        for host in hosts {
            builder = builder.header("host", *host);
        }
        let names = Names::new(names.iter().map(|&name| name.to_owned()).collect());
        let mut request = builder.body(()).unwrap();
        check(&mut request, &names, reach, &Scheme::HTTP)?;
        Ok(request.headers()["host"].to_str().unwrap().to_owned())
    }

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Result<String, Refusal> {
        checked(version, uri, hosts, (&[], Reach::Network))
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
        check(&mut request, &Names::default(), Reach::Loopback, &Scheme::HTTP).unwrap();
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
    fn on_loopback_only_loopback_names_are_answered_for() {
        let on = |host, names, reach| checked(Version::HTTP_11, "/", &[host], (names, reach));
        for host in ["localhost:80", "127.0.0.1", "[::1]:8080", "a.localhost", ""] {
            assert!(on(host, &[], Reach::Loopback).is_ok(), "{host}");
        }
        let refused = |host: &str| Err(Refusal::Misdirected(host.to_owned()));
        assert_eq!(on("evil.example:8080", &[], Reach::Loopback), refused("evil.example"));
        assert_eq!(on("[2001:db8::1]", &[], Reach::Loopback), refused("[2001:db8::1]"));
        let absolute =
            checked(Version::HTTP_11, "http://evil.example/", &["localhost"], (&[], Reach::Loopback));
        assert_eq!(absolute, refused("evil.example"));
        assert!(on("evil.example", &[], Reach::Network).is_ok());
    }

    #[test]
    fn with_names_these_are_answered_for() {
        let on = |host, reach| checked(Version::HTTP_11, "/", &[host], (&["example.com", "10.0.0.1"], reach));
        for reach in [Reach::Loopback, Reach::Network] {
            for host in ["Example.com.:80", "10.0.0.1:1", "localhost"] {
                assert!(on(host, reach).is_ok(), "{host}");
            }
            assert!(matches!(on("example.org", reach), Err(Refusal::Misdirected(_))));
        }
    }
}
