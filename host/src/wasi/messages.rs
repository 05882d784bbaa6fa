//! Fields and lengths of HTTP messages that guests make.

use crate::body::{BodyWriter, Outgoing, body};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};

/// What the fields of one message may take, in bytes, names and values with their bookkeeping: the runtime's own limit,
/// and several times what a request may have.
pub const MAX_FIELDS_BYTES: usize = 128 * 1024;

/// A message's head that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLength;

/// A new body for a message with these fields; an error where their Content-Length is not one length.
pub fn new_body(headers: &HeaderMap) -> Result<(BodyWriter, Outgoing), InvalidLength> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => Some(parse_length(length.as_bytes()).ok_or(InvalidLength)?),
        (Some(_), Some(_)) => return Err(InvalidLength),
    };
    Ok(body(length))
}

/// Reads a Content-Length (RFC 9110 §8.6), which is digits and nothing else.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Reads the value of a field.
pub fn field_value(name: &HeaderName, value: &[u8]) -> Option<HeaderValue> {
    if name == CONTENT_LENGTH {
        return parse_length(value).map(HeaderValue::from);
    }
    HeaderValue::from_bytes(value).ok()
}

#[cfg(test)]
mod tests {
    use super::parse_length;

    #[test]
    fn a_length_is_digits() {
        assert_eq!(parse_length(b"10"), Some(10));
        for text in ["", "+10", "-1", " 10", "1e3", "99999999999999999999"] {
            assert_eq!(parse_length(text.as_bytes()), None, "{text}");
        }
    }
}
