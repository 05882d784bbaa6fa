//! What no guest is asked: requests that are not clear about which host and resource they mean.

use super::Refusal;
use http::header::{HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Version};

/// What a request without a host is taken to mean; HTTP/1.0 knew none, and guests expect one.
const NO_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// Refuses a request, or makes sure that it names a host.
pub(super) fn check<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    if *request.method() == Method::CONNECT {
        return Err(Refusal::Tunnel);
    }
    let version = request.version();
    let has_authority = request.uri().authority().is_some();
    let headers = request.headers_mut();
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(Refusal::Malformed("there is more than one Host field")),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::Malformed("the Host field is not a host and a port")),
        (None, _) if version >= Version::HTTP_11 && !has_authority => {
            Err(Refusal::Malformed("there is no Host field"))
        }
        (None, _) => {
            headers.insert(HOST, NO_HOST);
            Ok(())
        }
    }
}

/// Whether the value of a Host field is a host and perhaps a port, or empty (RFC 9110 §7.2).
fn is_host(value: &[u8]) -> bool {
    // An authority may name a user as well; a Host may not.
    value.is_empty() || (Authority::try_from(value).is_ok() && !value.contains(&b'@'))
}

#[cfg(test)]
mod tests {
    use super::{Refusal, check};
    use http::{Request, Version};

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Result<(), Refusal> {
        let mut builder = Request::builder().version(version).uri(uri);
        for host in hosts {
            builder = builder.header("host", *host);
        }
        check(&mut builder.body(()).unwrap())
    }

    #[test]
    fn http_1_1_asks_for_exactly_one_host() {
        assert_eq!(request(Version::HTTP_11, "/", &["localhost:8080"]), Ok(()));
        assert_eq!(request(Version::HTTP_11, "/", &[""]), Ok(()));
        assert!(matches!(request(Version::HTTP_11, "/", &[]), Err(Refusal::Malformed(_))));
        assert!(matches!(request(Version::HTTP_11, "/", &["a", "a"]), Err(Refusal::Malformed(_))));
        assert!(matches!(request(Version::HTTP_11, "/", &["a b"]), Err(Refusal::Malformed(_))));
        assert!(matches!(request(Version::HTTP_11, "/", &["a/b"]), Err(Refusal::Malformed(_))));
        assert!(matches!(request(Version::HTTP_11, "/", &["user@a"]), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn http_1_0_needs_none() {
        assert_eq!(request(Version::HTTP_10, "/", &[]), Ok(()));
        assert!(matches!(request(Version::HTTP_10, "/", &["a", "b"]), Err(Refusal::Malformed(_))));
    }
}
