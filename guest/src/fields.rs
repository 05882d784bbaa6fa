//! Header fields that operators add: which are well-formed, and which are the server's own to say.

use crate::archive::GZIP_FIELD;
use crate::media_type;

/// Why a field cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// It is no field (RFC 9110 §5).
    Malformed,
    /// It says something about the message or the file that only the server knows.
    Reserved,
}

/// Fields that frame the message, describe the file, or belong to the connection. Set by hand they would be wrong at best
/// and split answers at worst; most runtimes refuse some of them. `Set-Cookie` cannot be joined from several rules (RFC
/// 9110 §5.3). `Basic-Auth` holds passwords and is never sent. `Wasi-Httpd-Gzip` is for the host.
const RESERVED: [&str; 26] = [
    "accept-ranges",
    "age",
    "allow",
    "basic-auth",
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
    "repr-digest",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    GZIP_FIELD,
    "www-authenticate",
];

/// Fields with one value, which a later rule replaces. The values of other fields join (RFC 9110 §5.3).
const SINGLETONS: [&str; 27] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-max-age",
    "content-disposition",
    "content-location",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy",
    "expires",
    "origin-agent-cluster",
    "pragma",
    "refresh",
    "retry-after",
    "server",
    "service-worker-allowed",
    "sourcemap",
    "strict-transport-security",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-download-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-ua-compatible",
    "x-xss-protection",
];

/// Whether a field in lower case has one value.
pub fn is_singleton(name: &str) -> bool {
    SINGLETONS.contains(&name)
}

/// A field without the spaces around its name and value, if it may be sent.
pub fn checked<'a>(name: &'a str, value: &'a str) -> Result<(&'a str, &'a str), FieldError> {
    const WHITESPACE: [char; 2] = [' ', '\t'];
    let (name, value) = (name.trim_matches(WHITESPACE), value.trim_matches(WHITESPACE));
    if !is_name(name) || value.is_empty() || !is_value(value) {
        Err(FieldError::Malformed)
    } else if is_reserved(name) {
        Err(FieldError::Reserved)
    } else if (name.eq_ignore_ascii_case("content-type") && !media_type::is_valid(value))
        || (name.eq_ignore_ascii_case("x-content-type-options") && !value.eq_ignore_ascii_case("nosniff"))
    {
        Err(FieldError::Malformed)
    } else {
        Ok((name, value))
    }
}

/// Whether rules can neither set nor remove this field: it is reserved, or protects every answer.
pub fn is_own(name: &str) -> bool {
    is_reserved(name)
        || ["content-type", "vary", "x-content-type-options"].iter().any(|own| name.eq_ignore_ascii_case(own))
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
        assert_eq!(checked(" X-Frame-Options ", " DENY\t"), Ok(("X-Frame-Options", "DENY")));
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
