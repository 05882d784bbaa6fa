//! Heads that the HTTP library cannot read, looked at again.

use crate::http::refusal::Refusal;
use crate::net::ConnInfo;
use crate::report::Occasionally;
use memchr::memchr;
use tracing::warn;

/// What a client that speaks HTTP/2 sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether these bytes, which are no head of HTTP/1.1, begin HTTP/2. The preface may not have arrived as a whole.
pub(super) fn begins_http_2(bytes: &[u8]) -> bool {
    !bytes.is_empty() && (bytes.starts_with(PREFACE) || PREFACE.starts_with(bytes))
}

/// The first line of a head, or what has arrived of it.
pub(super) fn first_line(head: &[u8]) -> &[u8] {
    let line = &head[..memchr(b'\n', head).unwrap_or(head.len())];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The version that the first line of a head names, as `1.1`, if it names one of HTTP.
fn version(head: &[u8]) -> Option<&[u8]> {
    let version = first_line(head).rsplit(|&byte| byte == b' ').next()?.strip_prefix(b"HTTP/")?;
    matches!(version, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
        .then_some(version)
}

/// A head of HTTP/1.2 or higher as one of HTTP/1.1, which it is to be treated as (RFC 9110 §2.5). The library reads no
/// minor version but its own.
pub(super) fn as_http_1_1(head: &[u8]) -> Option<Vec<u8>> {
    let minor = version(head)?.strip_prefix(b"1.")?;
    if !(b"2"..=b"9").contains(&&[minor[0]]) {
        return None;
    }
    let at = first_line(head).len() - 1;
    let mut head = head.to_vec();
    head[at] = b'1';
    Some(head)
}

/// The refusal of a connection that begins with a PROXY header, from a peer that no flag names.
pub(super) fn stray_header(info: &ConnInfo) -> Refusal {
    static WARNING: Occasionally = Occasionally::new();
    if WARNING.is_due() {
        let peer = info.peer;
        warn!("{peer} has sent a PROXY header and gets a 400; --proxy-protocol-from {peer} accepts it");
    }
    Refusal::Malformed("it begins with a PROXY header, and --proxy-protocol-from does not name who sends it")
}

/// Why a head could not be read.
pub(super) fn explain(error: &hyper::Error, head: &[u8]) -> Refusal {
    let text = error.to_string();
    if error.is_parse_too_large() {
        return Refusal::HeadTooLarge;
    }
    for (what, refusal) in [
        ("URI too long", Refusal::TargetTooLong),
        ("invalid transfer-encoding", Refusal::TransferCoding),
        ("HTTP method", Refusal::Malformed("its method is not one")),
        ("URI", Refusal::Malformed("its target is not a URI")),
        ("content-length", Refusal::Malformed("its Content-Length is not a length")),
        ("transfer-encoding", Refusal::Malformed("HTTP/1.0 has no transfer codings")),
        ("HTTP header", Refusal::Malformed("one of its fields is not well formed")),
    ] {
        if text.contains(what) {
            return refusal;
        }
    }
    if version(head).is_some_and(|version| !version.starts_with(b"1.")) {
        return Refusal::Version;
    }
    Refusal::Malformed("it is not HTTP/1.1")
}

#[cfg(test)]
mod tests {
    use super::{PREFACE, as_http_1_1, begins_http_2};

    #[test]
    fn a_preface_may_arrive_in_parts_and_may_be_followed() {
        for bytes in [&PREFACE[..16], PREFACE, &[PREFACE, b"\0\0\0"].concat()] {
            assert!(begins_http_2(bytes));
        }
        for bytes in
            [&b""[..], b"PRI * HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\nHost: x\r\n\r\n", b"GET / HTTP/2.0\r\n"]
        {
            assert!(!begins_http_2(bytes));
        }
    }

    #[test]
    fn a_higher_minor_version_is_read_as_1_1() {
        assert_eq!(as_http_1_1(b"GET / HTTP/1.7\r\nA: b\r\n").unwrap(), b"GET / HTTP/1.1\r\nA: b\r\n");
        assert_eq!(as_http_1_1(b"GET / HTTP/2.0\r\n"), None);
    }
}
