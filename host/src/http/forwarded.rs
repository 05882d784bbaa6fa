//! The fields in which proxies say for whom they send a request: `Forwarded` (RFC 7239), and `X-Forwarded-For` and
//! `X-Forwarded-Proto`, which are older. This is pure parsing.
//!
//! Each proxy appends what it knows to what it was sent, and what it was sent may be made up. So a list is read from its
//! end: the last entry is of the proxy that sent the request here, and as long as an entry names another proxy that is
//! trusted, the one before it is true as well. The first address that is not a trusted proxy's is the client's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What trusted proxies say of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// The address of the client, as far as it is known.
    pub address: Option<IpAddr>,
    /// The scheme that the client used.
    pub scheme: Option<Scheme>,
    /// The field `Host` that the client sent. It is not checked.
    pub host: Option<&'a str>,
}

/// A scheme of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http:`
    Http,
    /// `https:`
    Https,
}

/// A field is not well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One element of `Forwarded`.
#[derive(Clone, Copy, Debug, Default)]
struct Element<'a> {
    node: Option<&'a str>,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
}

/// Reads `Forwarded`, of whose lines these are the values in their order. A trusted proxy sends no malformed field, but may
/// append to one that a client has made up: an open quote in front of what the proxy says would take that in.
pub fn forwarded<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Told<'a>, Malformed> {
    let mut elements = Vec::new();
    for line in lines {
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        parse_elements(line, &mut elements)?;
    }
    let mut told = Told::default();
    for Element { node, scheme, host } in elements.into_iter().rev() {
        told.scheme = scheme.and_then(parse_scheme);
        told.host = host;
        match node.and_then(parse_node) {
            Some(address) => {
                told.address = Some(address);
                if !is_trusted(address) {
                    break;
                }
            }
            // A client that its proxy hides.
            None => break,
        }
    }
    Ok(told)
}

/// Reads `X-Forwarded-For` and `X-Forwarded-Proto`, of whose lines these are the values in their order. The scheme is the
/// last one, because not every proxy appends to it.
pub fn x_forwarded<'a>(
    addresses: impl DoubleEndedIterator<Item = &'a [u8]>,
    schemes: impl Iterator<Item = &'a [u8]>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Told<'static> {
    let mut told = Told::default();
    let entries = addresses.rev().flat_map(|line| line.rsplit(|&byte| byte == b','));
    for entry in entries {
        match std::str::from_utf8(entry).ok().and_then(|text| parse_node(trim(text))) {
            Some(address) => {
                told.address = Some(address);
                if !is_trusted(address) {
                    break;
                }
            }
            None => break,
        }
    }
    let last = schemes.last().and_then(|line| line.rsplit(|&byte| byte == b',').next());
    told.scheme =
        last.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| parse_scheme(trim(text)));
    told
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Reads a list of elements (RFC 7239 §4). A list may have empty elements (RFC 9110 §5.6.1).
fn parse_elements<'a>(line: &'a str, elements: &mut Vec<Element<'a>>) -> Result<(), Malformed> {
    let mut rest = trim(line);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = trim(after);
            continue;
        }
        let element;
        (element, rest) = parse_element(rest)?;
        elements.push(element);
        rest = trim(rest);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(Malformed);
        }
    }
    Ok(())
}

fn parse_element(mut rest: &str) -> Result<(Element<'_>, &str), Malformed> {
    let mut element = Element::default();
    loop {
        let (name, after) = rest.split_at(token(rest));
        // An element may have empty pairs.
        if !name.is_empty() {
            let after = after.strip_prefix('=').ok_or(Malformed)?;
            let value;
            (value, rest) = parse_value(after)?;
            let known =
                [("for", &mut element.node), ("proto", &mut element.scheme), ("host", &mut element.host)];
            let known = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            // No parameter may be there twice.
            if known.is_some_and(|(_, place)| place.replace(value).is_some()) {
                return Err(Malformed);
            }
        }
        match trim(rest).strip_prefix(';') {
            Some(after) => rest = trim(after),
            None => return Ok((element, rest)),
        }
    }
}

/// A token, or a quoted string without what is escaped in it: no value that is of use here needs that.
fn parse_value(text: &str) -> Result<(&str, &str), Malformed> {
    let Some(quoted) = text.strip_prefix('"') else {
        return match token(text) {
            0 => Err(Malformed),
            length => Ok(text.split_at(length)),
        };
    };
    let mut is_escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Ok((&quoted[..at], &quoted[at + 1..])),
            _ => {}
        }
    }
    Err(Malformed)
}

/// The length of the token that a text begins with (RFC 9110 §5.6.2).
fn token(text: &str) -> usize {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len())
}

fn parse_scheme(text: &str) -> Option<Scheme> {
    if text.eq_ignore_ascii_case("https") {
        Some(Scheme::Https)
    } else {
        text.eq_ignore_ascii_case("http").then_some(Scheme::Http)
    }
}

/// An address, and a port that does not matter (RFC 7239 §6). `X-Forwarded-For` has IPv6 addresses without brackets, too.
fn parse_node(text: &str) -> Option<IpAddr> {
    let is_port =
        |port: &str| port.strip_prefix(':').is_some_and(|port| !port.is_empty() && token(port) == port.len());
    let address: IpAddr = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !is_port(port) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?.into()
    } else if let Ok(address) = text.parse() {
        address
    } else {
        let (address, port) = text.split_at(text.find(':')?);
        if !is_port(port) {
            return None;
        }
        address.parse::<Ipv4Addr>().ok()?.into()
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Scheme, Told, forwarded, x_forwarded};
    use proptest::prelude::{any, proptest};
    use std::net::IpAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Proxies are in 10.0.0.0/8.
    fn is_trusted(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10)
    }

    fn read<'a>(lines: &[&'a str]) -> Result<Told<'a>, Malformed> {
        forwarded(lines.iter().map(|line| line.as_bytes()), is_trusted)
    }

    fn address(lines: &[&str]) -> Option<IpAddr> {
        read(lines).unwrap().address
    }

    fn x_address(lines: &[&str]) -> Option<IpAddr> {
        x_forwarded(lines.iter().map(|line| line.as_bytes()), [].into_iter(), is_trusted).address
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(address(&["for=\"_gazonk\""]), None);
        assert_eq!(address(&["For=\"[2001:db8:cafe::17]:4711\""]), Some(ip("2001:db8:cafe::17")));
        let told = read(&["for=192.0.2.60;proto=http;by=203.0.113.43"]).unwrap();
        assert_eq!(told, Told { address: Some(ip("192.0.2.60")), scheme: Some(Scheme::Http), host: None });
        assert_eq!(address(&["for=192.0.2.43, for=198.51.100.17"]), Some(ip("198.51.100.17")));
    }

    #[test]
    fn a_list_is_read_from_its_end_past_trusted_proxies() {
        for (list, expected) in [
            ("198.51.100.1, 192.0.2.1", Some("192.0.2.1")),
            ("198.51.100.1, 192.0.2.1, 10.0.0.2, 10.0.0.1", Some("192.0.2.1")),
            ("10.0.0.3, 10.0.0.2", Some("10.0.0.3")),
            ("198.51.100.1, unknown, 10.0.0.1", Some("10.0.0.1")),
            ("198.51.100.1, ", None),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(x_address(&[list]), expected.map(ip), "{list}");
            let lines: Vec<_> = list.split(", ").collect();
            assert_eq!(x_address(&lines), expected.map(ip), "{list} in lines");
            let elements: Vec<_> =
                lines.iter().filter(|entry| !entry.is_empty()).map(|entry| format!("for={entry}")).collect();
            if !list.ends_with(", ") {
                assert_eq!(address(&[&elements.join(", ")]), expected.map(ip), "{list}");
            }
        }
        for entry in
            ["192.0.2.1", "192.0.2.1:80", "[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1"]
        {
            assert_eq!(x_address(&[entry]), Some(ip("192.0.2.1")), "{entry}");
        }
        for entry in [
            "192.0.2.1:",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[::1",
            "[::1]80",
            "\"192.0.2.1\"",
            "192.0.2",
        ] {
            assert_eq!(x_address(&[entry]), None, "{entry}");
        }
    }

    #[test]
    fn scheme_and_host_are_of_the_element_of_the_client() {
        let told = read(&[
            "for=192.0.2.9;host=evil.example;proto=https",
            "for=192.0.2.1;host=\"www.example.com:8443\";proto=HTTPS, for=10.0.0.2;host=inner;proto=http",
        ]);
        let expected = Told {
            address: Some(ip("192.0.2.1")),
            scheme: Some(Scheme::Https),
            host: Some("www.example.com:8443"),
        };
        assert_eq!(told, Ok(expected));
        assert_eq!(read(&["for=192.0.2.1;proto=ftp"]).unwrap().scheme, None);

        let scheme = |lines: &[&str]| {
            x_forwarded([].into_iter(), lines.iter().map(|line| line.as_bytes()), is_trusted).scheme
        };
        assert_eq!(scheme(&["https"]), Some(Scheme::Https));
        assert_eq!(scheme(&["https", "https, Http "]), Some(Scheme::Http));
        assert_eq!(scheme(&["javascript"]), None);
    }

    #[test]
    fn what_a_client_has_made_up_cannot_take_in_what_the_proxy_says() {
        for line in [
            "for=\"198.51.100.1, for=192.0.2.1",
            "for=\"198.51.100.1\\\", for=192.0.2.1",
            "for=198.51.100.1;for=192.0.2.1",
            "for",
            "for=",
            "for=192.0.2.1 for=192.0.2.2",
            "=192.0.2.1",
            "for = 192.0.2.1",
            "for=[::1]",
            "for=\u{e9}",
        ] {
            assert_eq!(read(&[line]), Err(Malformed), "{line}");
        }
        for line in [
            "",
            ", ,",
            "for=192.0.2.1;",
            ";for=192.0.2.1",
            "for=192.0.2.1 ; proto=http",
            "other=1;for=192.0.2.1",
        ] {
            assert!(read(&[line]).is_ok(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_much(lines in any::<Vec<Vec<u8>>>()) {
            let _ = forwarded(lines.iter().map(Vec::as_slice), is_trusted);
            let _ = x_forwarded(lines.iter().map(Vec::as_slice), lines.iter().map(Vec::as_slice), is_trusted);
        }

        /// Whatever a client sends, its address is the one that the proxy has seen, or the field is refused.
        #[test]
        fn a_client_cannot_choose_its_address(sent in "[-0-9a-f.:=\",; \\\\\\[\\]for]{0,60}", last in any::<[u8; 3]>()) {
            let client = IpAddr::from([192, last[0], last[1], last[2]]);
            let appended = format!("{sent}, for={client}");
            if let Ok(told) = read(&[&appended]) {
                assert_eq!(told.address, Some(client), "{appended}");
            }
            if let Ok(told) = read(&[&sent, &format!("for={client}")]) {
                assert_eq!(told.address, Some(client));
            }
            assert_eq!(x_address(&[&format!("{sent}, {client}")]), Some(client));
        }
    }
}
