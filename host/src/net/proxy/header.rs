//! The header of the PROXY protocol, versions 1 and 2, by which a proxy says whose connection it passes on
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>). This is pure parsing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What version 2 begins with: bytes that no other protocol begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The longest header of version 1, with its line break.
const MAX_V1: usize = 107;

/// The shortest header of version 1, `PROXY UNKNOWN` and a line break.
const MIN_V1: usize = 15;

/// The bytes of version 2 before its addresses.
const FIXED_V2: usize = 16;

/// The most bytes of version 2 after these. Addresses are up to 216; the rest is for details such as the client's
/// certificate, which are skipped.
const MAX_V2: usize = 4096;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The proxy's own, such as a check of its health, or one from where there are no IP addresses.
    Proxy,
    /// That of a client with this address.
    Client(IpAddr),
}

/// What the bytes that have arrived so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header, which has at least so many bytes more.
    Partial(usize),
    /// A header of this length.
    Complete(Origin, usize),
}

/// The bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHeader;

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it begins with no PROXY header")
    }
}

impl std::error::Error for NoHeader {}

/// Whether these bytes are meant as a header, well formed or not. Before a request of HTTP there may be empty lines, such as
/// version 2 begins with, and they may be gone already.
pub fn is_meant(bytes: &[u8]) -> bool {
    [WORD, SIGNATURE, &SIGNATURE[4..]].iter().any(|start| bytes.starts_with(start))
}

/// Parses the header that these bytes begin with. A reader that reads no more than is asked for reads nothing of what
/// follows the header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, NoHeader> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(SIGNATURE) && !bytes.is_empty() {
        parse_v2(bytes)
    } else if begins(WORD) {
        parse_v1(bytes)
    } else {
        Err(NoHeader)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, NoHeader> {
    let Some(end) = bytes.iter().take(MAX_V1).position(|&byte| byte == b'\n') else {
        let missing = match bytes {
            _ if bytes.len() >= MAX_V1 => return Err(NoHeader),
            _ if bytes.len() < MIN_V1 - 1 => MIN_V1 - bytes.len(),
            [.., b'\r'] => 1,
            // The line break.
            _ => 2.min(MAX_V1 - bytes.len()),
        };
        return Ok(Parsed::Partial(missing));
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(WORD)).ok_or(NoHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| NoHeader)?;
    let words: Vec<_> = line.split(' ').collect();
    let origin = match words[..] {
        ["UNKNOWN", ..] => Origin::Proxy,
        ["TCP4", source, destination, from, to] => client_v1::<Ipv4Addr>([source, destination], [from, to])?,
        ["TCP6", source, destination, from, to] => client_v1::<Ipv6Addr>([source, destination], [from, to])?,
        _ => return Err(NoHeader),
    };
    Ok(Parsed::Complete(origin, end + 1))
}

fn client_v1<A: FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Result<Origin, NoHeader> {
    let [source, destination] = addresses.map(|text| text.parse::<A>().map_err(|_| NoHeader));
    destination?;
    for port in ports {
        // `+80` parses as a number, and is no port.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
            return Err(NoHeader);
        }
    }
    Ok(client(source?))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, NoHeader> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_V2) else {
        return Ok(Parsed::Partial(FIXED_V2 - bytes.len()));
    };
    let (version_and_command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_V2 {
        return Err(NoHeader);
    }
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(NoHeader),
    };
    let Some(rest) = rest.get(..length) else {
        return Ok(Parsed::Partial(length - rest.len()));
    };
    let origin = match family {
        // A receiver has to skip what it says of the proxy's own connections.
        _ if is_local => Origin::Proxy,
        // Addresses of both ends, and their ports.
        0x11 => {
            client(Ipv4Addr::from(*rest.get(..12).and_then(|rest| rest.first_chunk::<4>()).ok_or(NoHeader)?))
        }
        0x21 => {
            client(Ipv6Addr::from(*rest.get(..36).and_then(|rest| rest.first_chunk::<16>()).ok_or(NoHeader)?))
        }
        // Unspecified, and unix sockets.
        0x00 | 0x31 => Origin::Proxy,
        // Datagrams, and what is not assigned.
        _ => return Err(NoHeader),
    };
    Ok(Parsed::Complete(origin, FIXED_V2 + length))
}

fn client(address: impl Into<IpAddr>) -> Origin {
    Origin::Client(address.into().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::{MAX_V2, NoHeader, Origin, Parsed, SIGNATURE, is_meant, parse};
    use proptest::prelude::{any, prop_oneof, proptest};
    use proptest::strategy::Strategy as _;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn v1(rest: &str) -> Result<Parsed, NoHeader> {
        parse(format!("PROXY {rest}\r\n").as_bytes())
    }

    fn v2(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, family], &length, rest].concat()
    }

    fn complete(address: &str, length: usize) -> Parsed {
        Parsed::Complete(Origin::Client(address.parse().unwrap()), length)
    }

    #[test]
    fn version_1_is_a_line() {
        assert_eq!(v1("TCP4 192.0.2.1 198.51.100.1 56324 443"), Ok(complete("192.0.2.1", 45)));
        assert_eq!(v1("TCP6 2001:db8::1 ::1 1 65535"), Ok(complete("2001:db8::1", 36)));
        assert_eq!(v1("TCP6 ::ffff:192.0.2.1 ::1 1 2"), Ok(complete("192.0.2.1", 37)));
        assert_eq!(v1("UNKNOWN"), Ok(Parsed::Complete(Origin::Proxy, 15)));
        assert_eq!(v1("UNKNOWN whatever there is"), Ok(Parsed::Complete(Origin::Proxy, 33)));
        let longest = "UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 \
                       65535";
        assert_eq!(v1(longest), Ok(Parsed::Complete(Origin::Proxy, 107)));
        for rest in [
            "",
            "TCP4",
            "TCP4 192.0.2.1 198.51.100.1 1",
            "TCP4 192.0.2.1 198.51.100.1 1 2 3",
            "TCP4 192.0.2.1  198.51.100.1 1 2",
            "TCP4 ::1 ::1 1 2",
            "TCP6 192.0.2.1 192.0.2.1 1 2",
            "TCP4 192.0.2.01 198.51.100.1 1 2",
            "TCP4 192.0.2.1 198.51.100.1 65536 2",
            "TCP4 192.0.2.1 198.51.100.1 +1 2",
            "TCP4 192.0.2.1 198.51.100.1 1 ",
            "TCP5 192.0.2.1 198.51.100.1 1 2",
            "UNKNOWN\n",
            "GET / HTTP/1.1",
            &format!("{longest}0"),
        ] {
            assert_eq!(v1(rest), Err(NoHeader), "{rest}");
        }
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(parse(&v2(0x21, 0x11, &v4)), Ok(complete("192.0.2.1", 28)));
        assert_eq!(
            parse(&v2(0x21, 0x11, &[&v4[..], b"\x04\0\x01x"].concat())),
            Ok(complete("192.0.2.1", 32))
        );
        assert_eq!(parse(&v2(0x21, 0x21, &v6)), Ok(complete("2001:db8::1", 52)));
        let own = |bytes: &[u8]| assert_eq!(parse(bytes), Ok(Parsed::Complete(Origin::Proxy, bytes.len())));
        own(&v2(0x20, 0x11, &v4));
        own(&v2(0x20, 0, &[]));
        own(&v2(0x21, 0, &[1, 2, 3]));
        own(&v2(0x21, 0x31, &[0; 216]));
        for wrong in [
            v2(0x11, 0x11, &v4),
            v2(0x22, 0x11, &v4),
            v2(0x21, 0x12, &v4),
            v2(0x21, 0x41, &v4),
            v2(0x21, 0x11, &v4[..11]),
            v2(0x21, 0x21, &v6[..35]),
            v2(0x21, 0x11, &[0; MAX_V2 + 1]),
        ] {
            assert_eq!(parse(&wrong), Err(NoHeader), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_meant_as_a_header_is_recognised() {
        assert!(
            is_meant(b"PROXY TCP4 nonsense") && is_meant(&v2(0, 0, &[])) && is_meant(&v2(0, 0, &[])[4..])
        );
        assert!(!is_meant(b"PROXYING / HTTP/1.1") && !is_meant(b"\r\n\r\nGET / HTTP/1.1"));
        for http in [&b"GET / HTTP/1.1\r\n"[..], b"P", b"PR", b"PRI * HTTP/2.0\r\n\r\nSM", b"\x16\x03\x01"] {
            assert!(parse(http).is_err() || b"PROXY".starts_with(http), "{http:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(
            start in prop_oneof![
                proptest::strategy::Just(Vec::new()),
                proptest::strategy::Just(b"PROXY TCP4 ".to_vec()),
                proptest::strategy::Just(v2(0x21, 0x11, &[])[..14].to_vec()),
            ],
            rest in any::<Vec<u8>>(),
        ) {
            let _ = parse(&[start, rest].concat());
        }

        /// However a header arrives, no byte after it is asked for.
        #[test]
        fn a_reader_asks_for_nothing_beyond_the_header(
            header in prop_oneof![
                any::<(Ipv4Addr, Ipv4Addr, u16, u16)>()
                    .prop_map(|(a, b, c, d)| format!("PROXY TCP4 {a} {b} {c} {d}\r\n").into_bytes()),
                any::<(Ipv6Addr, Ipv6Addr, u16, u16)>()
                    .prop_map(|(a, b, c, d)| format!("PROXY TCP6 {a} {b} {c} {d}\r\n").into_bytes()),
                "[ -~]{0,90}".prop_map(|rest| format!("PROXY UNKNOWN {rest}\r\n").into_bytes()),
                any::<([u8; 12], Vec<u8>)>().prop_map(|(a, rest)| v2(0x21, 0x11, &[&a[..], &rest].concat())),
                any::<([u8; 36], Vec<u8>)>().prop_map(|(a, rest)| v2(0x21, 0x21, &[&a[..], &rest].concat())),
            ],
            pieces in proptest::collection::vec(1..20_usize, 200),
        ) {
            let mut at = 0;
            for piece in pieces.into_iter().chain(std::iter::repeat(usize::MAX)) {
                match parse(&header[..at]).unwrap() {
                    Parsed::Complete(_, length) => {
                        assert_eq!((at, length), (header.len(), header.len()));
                        break;
                    }
                    Parsed::Partial(missing) => {
                        assert!(missing > 0 && at + missing <= header.len(), "{at} {missing}");
                        at += missing.min(piece);
                    }
                }
            }
        }

        #[test]
        fn each_address_is_read(address in any::<IpAddr>(), port in any::<u16>()) {
            let expected = Origin::Client(address.to_canonical());
            let (text, binary) = match address {
                IpAddr::V4(v4) => (format!("TCP4 {v4} 127.0.0.1 {port} 1"), v2(0x21, 0x11, &[&v4.octets()[..], &[0; 8]].concat())),
                IpAddr::V6(v6) => (format!("TCP6 {v6} ::1 {port} 1"), v2(0x21, 0x21, &[&v6.octets()[..], &[0; 20]].concat())),
            };
            assert!(matches!(v1(&text), Ok(Parsed::Complete(origin, _)) if origin == expected));
            assert!(matches!(parse(&binary), Ok(Parsed::Complete(origin, _)) if origin == expected));
        }
    }
}
