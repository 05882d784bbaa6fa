//! Header fields that operators add: which are well-formed, and which are the server's own to say.

/// A field: its name in lower case, and its value.
pub type OwnField = (String, String);

/// Why a field cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// It is no field (RFC 9110 §5).
    Malformed,
    /// It says something about the message or the file that only the server knows.
    Reserved,
}

/// Fields that frame the message, describe the file, or belong to the connection. Set by hand they would be wrong at best
/// and split answers at worst; most runtimes refuse some of them. `Set-Cookie` is the one that cannot be joined from
/// several rules (RFC 9110 §5.3), and files know no visitors.
const RESERVED: [&str; 23] = [
    "accept-ranges",
    "age",
    "allow",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "host",
    "http2-settings",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
];

/// A field as it is sent, if it may be.
pub fn checked(name: &str, value: &str) -> Result<OwnField, FieldError> {
    const WHITESPACE: [char; 2] = [' ', '\t'];
    let (name, value) = (name.trim_matches(WHITESPACE).to_ascii_lowercase(), value.trim_matches(WHITESPACE));
    if !is_name(&name) || value.is_empty() || !is_value(value) {
        Err(FieldError::Malformed)
    } else if is_reserved(&name) {
        Err(FieldError::Reserved)
    } else {
        Ok((name, value.to_owned()))
    }
}

/// Whether the server alone says what this field is.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Whether this is a token (RFC 9110 §5.6.2).
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether this is text that every recipient can read: visible ASCII, spaces and tabs (RFC 9110 §5.5).
pub fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::{FieldError, RESERVED, checked};

    #[test]
    fn a_field_is_a_token_and_visible_text() {
        assert_eq!(checked(" X-Frame-Options ", " DENY\t"), Ok(("x-frame-options".into(), "DENY".into())));
        for (name, value) in
            [("", "x"), ("a b", "x"), ("a:", "x"), ("é", "x"), ("a", ""), ("a", "\r\nb: c"), ("a", "é")]
        {
            assert_eq!(checked(name, value), Err(FieldError::Malformed), "{name}: {value}");
        }
    }

    #[test]
    fn what_the_server_knows_is_its_own_to_say() {
        for name in RESERVED {
            assert_eq!(checked(&name.to_ascii_uppercase(), "x"), Err(FieldError::Reserved), "{name}");
        }
    }
}
