//! Redirects by the host: of clear HTTP to `https:` where there is TLS, and of the bare prefix of a site to its root.

use super::refusal::Refusal;
use crate::authority::{Authority, Host};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode, Uri};

/// The port that URLs of `https:` need not name.
pub const HTTPS_PORT: u16 = 443;

fn permanent(location: HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// Redirects a request to its path with a slash at the end.
pub(super) fn to_slash(uri: &Uri) -> Response<()> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A path and a query that were parsed are valid in a field.
    let location = HeaderValue::try_from(format!("{}/{query}", uri.path()));
    permanent(location.unwrap_or(HeaderValue::from_static("/")))
}

/// Where requests are sent on to: the same host, at this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    port: u16,
}

impl Redirect {
    /// Sends requests on to this port.
    pub fn to_port(port: u16) -> Self {
        Self { port }
    }

    /// The answer to a request that names a host, which was checked. It has no content: the `Location` says it all.
    ///
    /// The status is 308, which unlike 301 promises that the method stays as it is. Methods that may come with content are
    /// refused: what they carry was sent in the clear already, and would be so the next time.
    pub fn response<B>(self, request: &Request<B>) -> Result<Response<()>, Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::OnlyReads);
        }
        let location = self.location(request.headers(), request.uri());
        let location = location.ok_or(Refusal::NO_HOST)?;
        Ok(permanent(location))
    }

    fn location(self, headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
        let Authority { host, .. } = Authority::parse(headers.get(HOST)?.as_bytes())?;
        let host = match host {
            Host::Name(name) => name.to_owned(),
            Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
            Host::Address(address) => address.to_string(),
        };
        let target = uri.path_and_query()?.as_str();
        // `*` is the server as a whole, which has no URL.
        if !target.starts_with('/') {
            return None;
        }
        let url = match self.port {
            HTTPS_PORT => format!("https://{host}{target}"),
            port => format!("https://{host}:{port}{target}"),
        };
        HeaderValue::try_from(url).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Redirect, Refusal};
    use http::Request;

    fn location(port: u16, method: &str, host: &str, target: &str) -> Result<String, Refusal> {
        let request = Request::builder().method(method).uri(target).header("host", host).body(()).unwrap();
        let response = Redirect::to_port(port).response(&request)?;
        assert_eq!(response.status(), 308);
        Ok(response.headers()["location"].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_host_stays_and_the_port_is_the_one_of_tls() {
        let to = |text: &str| Ok(text.to_owned());
        assert_eq!(location(443, "GET", "example.com:80", "/a?b=%0d"), to("https://example.com/a?b=%0d"));
        assert_eq!(location(8443, "HEAD", "example.com", "/"), to("https://example.com:8443/"));
        assert_eq!(location(443, "GET", "[::1]:8080", "//evil/x"), to("https://[::1]//evil/x"));
        assert_eq!(location(443, "GET", "127.0.0.1", "http://127.0.0.1/a"), to("https://127.0.0.1/a"));
    }

    #[test]
    fn what_cannot_be_redirected_is_refused() {
        assert!(matches!(location(443, "GET", "", "/"), Err(Refusal::Malformed(_))));
        assert!(matches!(location(443, "GET", "a", "*"), Err(Refusal::Malformed(_))));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
            assert_eq!(location(443, method, "a", "/"), Err(Refusal::OnlyReads));
        }
    }
}
