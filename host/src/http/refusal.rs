//! What the host answers itself, in one sentence.

use crate::app::NoAnswer;
use crate::body::Data;
use crate::report::metrics::Limit;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::header::{HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::uri::Scheme;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// The longest name that a refusal repeats, in bytes (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// Why no guest answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not well formed; this is what is wrong (RFC 9112 §3.2).
    Malformed(&'static str),
    /// Its head did not arrive in time.
    HeadTimeout,
    /// Its body did not arrive in time.
    BodyTimeout,
    /// Its body is larger than `--max-body` allows.
    BodyTooLarge,
    /// Its target is too long.
    TargetTooLong,
    /// It is for this host, which the server does not answer for.
    Misdirected(String),
    /// It is for this host, which no site has as a name.
    UnknownHost(String),
    /// It is for a path that no site of its host has.
    UnknownPath,
    /// It is for another scheme than this one.
    OtherScheme(Scheme),
    /// It came in the clear where TLS is spoken.
    NeedsTls,
    /// It would change something, by way of a redirect.
    OnlyReads,
    /// Its head is too large.
    HeadTooLarge,
    /// The guest failed.
    Failed,
    /// It asks for a tunnel.
    Tunnel,
    /// It has a transfer coding that the server does not know (RFC 9112 §6.1).
    TransferCoding,
    /// All instances are in use; it may be tried again after this time.
    Busy(Duration),
    /// Its address has sent too many wrong passwords; it may be tried again after this time.
    TooManyLogins(Duration),
    /// It has a version of HTTP that the server does not speak.
    Version,
}

impl Refusal {
    /// There is no host to be redirected to.
    pub const NO_HOST: Self = Self::Malformed("it names no host to be redirected to");

    /// What is answered where the app has no answer; an error where the client has left.
    pub fn instead(why: NoAnswer) -> Result<Self, NoAnswer> {
        match why {
            NoAnswer::Busy(wait) => Ok(Self::Busy(wait)),
            NoAnswer::TooManyLogins(wait) => Ok(Self::TooManyLogins(wait)),
            NoAnswer::Failed => Ok(Self::Failed),
            NoAnswer::BodyTimeout => Ok(Self::BodyTimeout),
            NoAnswer::BodyTooLarge => Ok(Self::BodyTooLarge),
            NoAnswer::ClientLeft => Err(why),
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::NeedsTls => StatusCode::BAD_REQUEST,
            Self::OnlyReads => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Misdirected(_) | Self::UnknownHost(_) | Self::OtherScheme(_) => {
                StatusCode::MISDIRECTED_REQUEST
            }
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Tunnel | Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyLogins(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// The limit that the request has reached, if this is where that shows.
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::HeadTimeout => Some(Limit::HeadTime),
            Self::TargetTooLong => Some(Limit::Target),
            Self::HeadTooLarge => Some(Limit::Head),
            Self::TooManyLogins(_) => Some(Limit::Logins),
            // What is about bodies and instances is counted where they are.
            _ => None,
        }
    }

    /// Whether the connection ends with the answer: what follows may have been meant for another server, or has no
    /// beginning that could be found.
    fn closes(&self) -> bool {
        !matches!(
            self,
            Self::Misdirected(_)
                | Self::UnknownHost(_)
                | Self::UnknownPath
                | Self::Failed
                | Self::Tunnel
                | Self::Busy(_)
                | Self::TooManyLogins(_)
        )
    }

    fn text(&self) -> String {
        let status = self.status();
        let reason = match self {
            Self::Malformed(why) => (*why).to_owned(),
            Self::HeadTimeout => "the request did not arrive in time".to_owned(),
            Self::BodyTimeout => "the content of the request did not arrive in time".to_owned(),
            Self::BodyTooLarge => "the content of the request is too large".to_owned(),
            Self::TargetTooLong => "the target of the request is too long".to_owned(),
            Self::Misdirected(host) => {
                let shown = &host[..host.floor_char_boundary(MAX_NAME)];
                format!(
                    "this server does not answer for `{shown}`; start it with --allow-name {shown} if it should"
                )
            }
            Self::UnknownHost(host) => {
                let shown = &host[..host.floor_char_boundary(MAX_NAME)];
                format!("no site of this server is called `{shown}`")
            }
            Self::UnknownPath => "no site of this server has this path".to_owned(),
            Self::OtherScheme(ours) => format!("this server answers for {ours}: here"),
            Self::NeedsTls => "this port speaks TLS; use https: instead of http:".to_owned(),
            Self::OnlyReads => "only GET and HEAD are redirected to https:; send this there".to_owned(),
            Self::HeadTooLarge => "the head of the request is too large".to_owned(),
            Self::Failed => "the application failed; the server's log says why".to_owned(),
            Self::Tunnel => "this server is no proxy".to_owned(),
            Self::TransferCoding => "chunked is the only transfer coding here".to_owned(),
            Self::Busy(_) => "the server is busy; try again in a moment".to_owned(),
            Self::TooManyLogins(_) => {
                "this address has sent too many wrong passwords; try again in a minute".to_owned()
            }
            Self::Version => "this server speaks HTTP/1.1 and HTTP/2".to_owned(),
        };
        format!("{} {}: {reason}.\n", status.as_str(), status.canonical_reason().unwrap_or_default())
    }

    /// The answer to a request of this method.
    pub fn response(&self, method: &Method) -> Response<Full<Data>> {
        self.answer(method).map(|text| Full::new(text.into()))
    }

    /// The answer to a request of this method, as one piece.
    pub fn answer(&self, method: &Method) -> Response<Bytes> {
        if let Some(limit) = self.limit() {
            limit.hit();
        }
        let text = self.text();
        let length = text.len();
        let body = if *method == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.closes() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if *self == Self::OnlyReads {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let Self::Busy(wait) | Self::TooManyLogins(wait) = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }

    /// The answer to a request that could not be read, as a whole message, and how many bytes of it are the body. `hsts` is
    /// the field `Strict-Transport-Security` of all responses, if they have it.
    pub fn message(&self, hsts: Option<&HeaderValue>) -> (Vec<u8>, usize) {
        let text = self.text();
        let mut response = self.response(&Method::GET);
        if let Some(hsts) = hsts {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let mut message = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
        for (name, value) in response.headers() {
            let _ = write!(message, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
        }
        let date = httpdate::fmt_http_date(SystemTime::now());
        let _ = write!(message, "date: {date}\r\n\r\n{text}");
        (message.into_bytes(), text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use http::Method;
    use http_body::Body as _;

    #[test]
    fn an_answer_is_a_sentence_and_is_not_kept() {
        let response = Refusal::Tunnel.response(&Method::GET);
        let expected = "501 Not Implemented: this server is no proxy.\n";
        assert_eq!(response.headers()["content-length"], expected.len().to_string());
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.body().size_hint().exact(), Some(expected.len() as u64));
        assert_eq!(Refusal::Tunnel.response(&Method::HEAD).body().size_hint().exact(), Some(0));
    }

    #[test]
    fn a_whole_message_ends_the_connection() {
        let (message, body) = Refusal::HeadTooLarge.message(None);
        let text = String::from_utf8(message).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains("connection: close") && head.contains("date: "), "{head}");
        assert!(head.contains(&format!("content-length: {body}")) && content.len() == body, "{text}");
    }
}
