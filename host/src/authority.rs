//! Hosts and ports as requests name them: in the field `Host`, and in a target in absolute form (RFC 3986 §3.2, RFC 9110
//! §4.2 and §7.2, RFC 9112 §3.2). One parser for both, because a server that reads them differently can be made to
//! answer for a host that it is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host, and a port if one was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port.
    pub port: Option<u16>,
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A registered name, as it was sent.
    Name(&'a str),
    /// An address.
    Address(IpAddr),
}

impl<'a> Authority<'a> {
    /// Reads `host` or `host:port`. The host may not be empty; the port may. A user name is no part of either.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (Host::Address(address.into()), port)
        } else {
            // Faster than `split_once` for texts as short as these.
            let (name, port) = match text.bytes().position(|byte| byte == b':') {
                Some(at) => (&text[..at], Some(&text[at + 1..])),
                None => (text, None),
            };
            let host = match ipv4(name) {
                Some(address) => Host::Address(address.into()),
                None if is_name(name.as_bytes()) => Host::Name(name),
                None => return None,
            };
            (host, port)
        };
        let port = match port {
            None | Some("") => None,
            // `+80` parses as a number, and is no port.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }
}

impl Host<'_> {
    /// Whether only this machine can be meant: a loopback address, `localhost`, or a name below it (RFC 6761 §6.3), which
    /// browsers do not look up.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.to_canonical().is_loopback(),
            Self::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                let start = name.len().saturating_sub("localhost".len());
                name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case("localhost"))
                    && (start == 0 || name.as_bytes()[start - 1] == b'.')
            }
        }
    }

    /// Whether this is the name, or the address, that is written like this.
    pub fn is(&self, other: &str) -> bool {
        match self {
            Self::Address(address) => other.parse() == Ok(*address),
            Self::Name(name) => name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(other),
        }
    }
}

/// The address that is written like this; most names do not even begin like one.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    if text.as_bytes().first()?.is_ascii_digit() { text.parse().ok() } else { None }
}

/// The bytes that a registered name may have as they are, letters and digits aside: `unreserved` and `sub-delims`.
const MARKS: &[u8] = b"-._~!$&'()*+,;=";

/// Whether this is a registered name (RFC 3986 §3.2.2), and not empty.
fn is_name(name: &[u8]) -> bool {
    /// A place for each byte: comparing it with each mark takes longer.
    static PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            plain[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < MARKS.len() {
            plain[MARKS[at] as usize] = true;
            at += 1;
        }
        plain
    };
    let is_plain = |byte: u8| PLAIN[usize::from(byte)];
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (&byte, after) if is_plain(byte) => after,
            _ => return false,
        };
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{Authority, Host};
    use proptest::prelude::{any, proptest};
    use std::net::IpAddr;

    fn parse(text: &str) -> Option<Authority<'_>> {
        Authority::parse(text.as_bytes())
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_may_have_a_port() {
        let name = |name, port| Some(Authority { host: Host::Name(name), port });
        assert_eq!(parse("localhost"), name("localhost", None));
        assert_eq!(parse("localhost:8080"), name("localhost", Some(8080)));
        assert_eq!(parse("a_b.%41~!$&'()*+,;=:"), name("a_b.%41~!$&'()*+,;=", None));
        let address = |text: &str, port| Some(Authority { host: Host::Address(text.parse().unwrap()), port });
        assert_eq!(parse("127.0.0.1:1"), address("127.0.0.1", Some(1)));
        assert_eq!(parse("[::1]:65535"), address("::1", Some(65535)));
        assert_eq!(parse("[2001:db8::1]"), address("2001:db8::1", None));
    }

    #[test]
    fn what_other_suites_send_is_no_host() {
        for text in [
            "",
            ":80",
            "localhost:asd",
            "localhost:-1",
            "localhost:+1",
            "localhost:80x",
            "localhost:65536",
            "localhost:80:80",
            "example.com.:1.2",
            "[zz]",
            "[1::2::3]",
            "[ab..cd::1]",
            "[abcd::1].",
            "[::1]80",
            "[::1",
            "[fe80::1%25eth0]",
            "extra[::1]:98",
            "::1",
            "user@localhost",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%4",
            "a%zz",
            "a\"",
            "caf\u{e9}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse(b"\xff"), None);
        assert_eq!(Authority::parse(b"a\0b"), None);
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        let is_loopback = |text| parse(text).unwrap().host.is_loopback();
        for text in [
            "localhost",
            "LocalHost.",
            "a.localhost:80",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "localhos",
            "t",
            "0.0.0.0",
            "[::]",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(bytes in any::<Vec<u8>>()) {
            let _ = Authority::parse(&bytes);
        }

        #[test]
        fn every_address_and_port_is_read(address in any::<IpAddr>(), port in any::<u16>()) {
            let text = std::net::SocketAddr::new(address, port).to_string();
            assert_eq!(parse(&text), Some(Authority { host: Host::Address(address), port: Some(port) }));
        }

        #[test]
        fn an_address_is_one_however_it_is_looked_for(text in "[0-9.:a]{0,16}|[ -~]{0,4}") {
            assert_eq!(super::ipv4(&text), text.parse().ok());
        }

        #[test]
        fn what_is_read_is_written_again(bytes in "[a-z0-9.:\\[\\]%@-]{0,20}") {
            if let Some(Authority { host, port }) = parse(&bytes) {
                let host = match host {
                    Host::Name(name) => name.to_owned(),
                    Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
                    Host::Address(address) => address.to_string(),
                };
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                let again = format!("{host}{port}");
                assert_eq!(parse(&again), parse(&bytes));
            }
        }
    }
}
