//! What a person at a terminal sees of a server that other machines can reach: its URLs there, and the first one as a QR code,
//! for a telephone.

use crate::net::listener::{Address, Traits};
use crate::net::{Listener, Reach};
use crate::report::stderr;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};

/// URLs that are shown: a machine with many containers has an address for each.
const MAX_URLS: usize = 6;

/// Black on white, whatever the colours of the terminal: few cameras read a code that is light on dark.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// The URLs at which other machines find the server.
#[derive(Debug)]
pub(super) struct Greeting {
    urls: Vec<String>,
}

impl Greeting {
    /// Finds the addresses of this machine, if a terminal shows them and other machines can reach a listener. The interfaces
    /// have to be asked before the process is restricted.
    pub(super) fn find(listeners: &[Listener]) -> Option<Self> {
        let is_public = listeners.iter().any(|listener| listener.traits.reach == Reach::Network);
        if !is_public || !std::io::stderr().is_terminal() {
            return None;
        }
        // Without the interfaces, the lines about the listeners have to do.
        let interfaces: Vec<_> =
            if_addrs::get_if_addrs().ok()?.into_iter().map(|interface| interface.ip()).collect();
        let urls = urls(listeners.iter().map(|listener| &listener.traits), &interfaces);
        (!urls.is_empty()).then_some(Self { urls })
    }

    /// Shows it.
    pub(super) fn show(&self) {
        for url in &self.urls {
            stderr::line(&format!("Other machines find it at {url}"));
        }
        let code = self.urls.first().and_then(|url| code(url));
        code.iter().flat_map(|code| code.lines()).for_each(stderr::line);
    }
}

/// The URLs of listeners that other machines can reach, where the machine has these addresses. Those of IPv4 come first: they
/// are shorter, and work with every telephone.
fn urls<'a>(listeners: impl Iterator<Item = &'a Traits>, interfaces: &[IpAddr]) -> Vec<String> {
    let mut found: Vec<(SocketAddr, String)> = Vec::new();
    for traits in listeners.filter(|traits| traits.reach == Reach::Network) {
        let Address::Tcp(listening) = traits.address else { continue };
        let of_listener = |address: &&IpAddr| {
            // The unspecified IPv6 address takes connections over IPv4 too.
            is_reachable(**address) && (address.is_ipv4() || listening.is_ipv6())
        };
        let addresses = if listening.ip().is_unspecified() {
            interfaces.iter().filter(of_listener).copied().collect()
        } else {
            vec![listening.ip()]
        };
        for address in addresses {
            let address = SocketAddr::new(address, listening.port());
            if found.iter().all(|(known, _)| *known != address) {
                found.push((address, format!("{}://{address}/", traits.scheme)));
            }
        }
    }
    found.sort_by_key(|(address, _)| address.is_ipv6());
    found.truncate(MAX_URLS);
    found.into_iter().map(|(_, url)| url).collect()
}

/// Whether other machines can reach an address. A link-local one of IPv6 needs the name of an interface, which URLs cannot
/// hold (RFC 9844).
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

/// A QR code, two of its rows in each line. A URL that is too long for one has none.
fn code(url: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(url, EcLevel::L).ok()?;
    let drawn = code.render::<Dense1x2>().build();
    let mut text = String::new();
    for line in drawn.lines() {
        let _ = writeln!(text, "{BLACK_ON_WHITE}{line}{RESET}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{MAX_URLS, code, urls};
    use crate::net::Reach;
    use crate::net::listener::{Address, Traits};
    use http::uri::Scheme;
    use std::net::IpAddr;

    const INTERFACES: [&str; 7] =
        ["127.0.0.1", "::1", "fe80::1", "2001:db8::7", "169.254.7.7", "192.0.2.7", "198.51.100.7"];

    fn listening(address: &str, scheme: &Scheme, reach: Reach) -> Traits {
        let address = Address::Tcp(address.parse().unwrap());
        Traits { address, scheme: scheme.clone(), reach, sends_files: true }
    }

    fn found(listeners: &[Traits]) -> Vec<String> {
        let interfaces: Vec<IpAddr> = INTERFACES.iter().map(|address| address.parse().unwrap()).collect();
        urls(listeners.iter(), &interfaces)
    }

    #[test]
    fn an_unspecified_address_is_each_of_its_family() {
        let all = listening("[::]:8080", &Scheme::HTTP, Reach::Network);
        let of_v4 = ["http://192.0.2.7:8080/", "http://198.51.100.7:8080/"];
        let of_both = [&of_v4[..], &["http://[2001:db8::7]:8080/"]].concat();
        assert_eq!(found(std::slice::from_ref(&all)), of_both);
        let v4 = listening("0.0.0.0:8080", &Scheme::HTTP, Reach::Network);
        assert_eq!(found(std::slice::from_ref(&v4)), of_v4);
        assert_eq!(found(&[v4, all]), of_both, "each address is named once");
    }

    #[test]
    fn other_addresses_are_named_as_they_are() {
        let one = listening("192.0.2.7:443", &Scheme::HTTPS, Reach::Network);
        let loopback = listening("127.0.0.1:8080", &Scheme::HTTP, Reach::Loopback);
        let unix = Traits { address: Address::Unix(None), ..one.clone() };
        assert_eq!(found(&[loopback, unix, one]), ["https://192.0.2.7:443/"]);
    }

    #[test]
    fn a_machine_with_many_addresses_names_a_few() {
        let interfaces: Vec<IpAddr> = (1..=100).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        let all = listening("0.0.0.0:8080", &Scheme::HTTP, Reach::Network);
        assert_eq!(urls([all].iter(), &interfaces).len(), MAX_URLS);
    }

    #[test]
    fn a_code_is_square_with_a_border() {
        let code = code("http://192.0.2.7:8080/").unwrap();
        let drawn = |line: &str| line.chars().filter(|drawn| " ▀▄█".contains(*drawn)).count();
        // Version 2 has 25 modules, with a border of four on each side (ISO/IEC 18004).
        assert_eq!(code.lines().map(drawn).collect::<Vec<_>>(), [33; 17]);
        assert!(super::code(&"x".repeat(5000)).is_none());
    }
}
