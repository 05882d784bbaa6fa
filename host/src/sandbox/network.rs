//! Where in the network a guest may connect and listen, which names it may look up, and to whom it may send requests.
//!
//! Of TCP, addresses decide: names are looked up once, at the start, so that nobody can move them elsewhere later. Of HTTP
//! requests, the name decides: it is looked up for each, as servers with many addresses ask for, and leads where its
//! owner has it lead.

use super::Streams;
use super::refusals::{Refusal, Refusals, Told};
use crate::config::grants::{AllowedHost, HostPort, NetworkGrants};
use anyhow::{Context as _, Result, ensure};
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use wasmtime_wasi::sockets::SocketAddrUse;

/// The network of one sandbox.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<AllowedHost>,
    connect: Vec<Place>,
    listen: Vec<SocketAddr>,
    /// What was not allowed.
    pub refusals: Refusals,
}

/// Where connections may lead.
#[derive(Debug)]
struct Place {
    name: String,
    addresses: Vec<SocketAddr>,
}

/// What the runtime asks before it touches an address.
type Check = Box<dyn Fn(SocketAddr, SocketAddrUse) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = bool> + Send + Sync>>;

impl Network {
    /// Looks up every name.
    pub fn new(grants: &NetworkGrants, told: Told) -> Result<Self> {
        let place = |place: &HostPort| -> Result<Place> {
            Ok(Place { name: place.host.clone(), addresses: addresses("--allow-tcp-connect", place)? })
        };
        let listen: Vec<Vec<_>> = grants
            .listen
            .iter()
            .map(|place| addresses("--allow-tcp-listen", place))
            .collect::<Result<_>>()?;
        Ok(Self {
            hosts: grants.hosts.clone(),
            connect: grants.connect.iter().map(place).collect::<Result<_>>()?,
            listen: listen.into_iter().flatten().collect(),
            refusals: Refusals::new(told),
        })
    }

    /// What the runtime is to ask before it touches an address; `None` where there is no socket to be had, which is when
    /// a server may connect nowhere.
    pub(super) fn check(this: &Arc<Self>, streams: &Streams) -> Option<Check> {
        if matches!(streams, Streams::Marked) && this.connect.is_empty() {
            return None;
        }
        let network = Arc::clone(this);
        Some(Box::new(move |address, purpose| Box::pin(ready(network.allows(address, purpose)))))
    }

    /// Whether a guest may do this with a socket.
    fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        match purpose {
            // The system chooses where a connection comes from, and to bind to nothing in particular is to leave it to
            // that. Nobody can connect to what is only bound; whether it may listen is asked again.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => true,
            SocketAddrUse::TcpBind => {
                let allowed = self.may_bind(address);
                if !allowed {
                    self.refusals.note(&Refusal::Listen(address));
                }
                allowed
            }
            SocketAddrUse::TcpListen => {
                let allowed = self.listen.iter().any(|&granted| is_at(granted, address));
                if !allowed {
                    // It was bound to no address in particular, or this would not be the first refusal; the port is one
                    // that the system chose, and will choose anew.
                    self.refusals.note(&Refusal::Listen(SocketAddr::new(address.ip(), 0)));
                }
                allowed
            }
            // Whoever can reach a granted address may come.
            SocketAddrUse::TcpAccept => !self.listen.is_empty(),
            SocketAddrUse::TcpConnect => {
                let allowed = self.connect.iter().any(|place| place.addresses.contains(&address));
                if !allowed {
                    self.refusals.note(&Refusal::Connect(address));
                }
                allowed
            }
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => false,
        }
    }

    /// Whether an address may be bound to: a granted one, with its port. Port 0 is a free port, and free ports are
    /// granted by port 0.
    fn may_bind(&self, address: SocketAddr) -> bool {
        self.listen
            .iter()
            .any(|granted| covers(granted.ip(), address.ip()) && granted.port() == address.port())
    }

    /// The addresses of a name that connections may lead to.
    pub fn look_up(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut found: Vec<IpAddr> = Vec::new();
        for place in self.connect.iter().filter(|place| place.name.eq_ignore_ascii_case(name)) {
            for address in place.addresses.iter().map(SocketAddr::ip) {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        if found.is_empty() {
            self.refusals.note(&Refusal::Name(name.to_owned()));
            return None;
        }
        Some(found)
    }

    /// Whether a guest may send a request to this host; without a port it is that of the scheme.
    pub(super) fn allows_request(&self, host: &str, port: Option<u16>, default_port: u16) -> bool {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = host.strip_suffix('.').unwrap_or(host);
        let port = port.unwrap_or(default_port);
        let allowed = self.hosts.iter().any(|granted| {
            granted.host.eq_ignore_ascii_case(name) && granted.port.unwrap_or(default_port) == port
        });
        if !allowed {
            self.refusals.note(&Refusal::Request(HostPort { host: host.to_owned(), port }));
        }
        allowed
    }
}

/// Whether an address is, or is within, a granted one: "any address" stands for each.
fn covers(granted: IpAddr, address: IpAddr) -> bool {
    granted == address || (granted.is_unspecified() && granted.is_ipv4() == address.is_ipv4())
}

/// Whether what is bound may be listened at. A port that was free when it was bound is known by now.
fn is_at(granted: SocketAddr, address: SocketAddr) -> bool {
    covers(granted.ip(), address.ip()) && (granted.port() == 0 || granted.port() == address.port())
}

/// The addresses of a host, which the user named with this flag.
fn addresses(flag: &str, HostPort { host, port }: &HostPort) -> Result<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        // Both, whatever the system's own list of names says.
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|address| SocketAddr::new(address, *port)).into());
    }
    let found: Vec<_> = (host.as_str(), *port)
        .to_socket_addrs()
        .with_context(|| format!("cannot find the address of `{host}`, which {flag} names"))?
        .collect();
    ensure!(!found.is_empty(), "`{host}`, which {flag} names, has no address");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Network, SocketAddrUse, Told};
    use crate::config::grants::{AllowedHost, HostPort, NetworkGrants};

    fn network(connect: &[(&str, u16)], listen: &[(&str, u16)], hosts: &[(&str, Option<u16>)]) -> Network {
        let places = |places: &[(&str, u16)]| {
            places.iter().map(|&(host, port)| HostPort { host: host.to_owned(), port }).collect()
        };
        let hosts = hosts.iter().map(|&(host, port)| AllowedHost { host: host.to_owned(), port }).collect();
        let grants = NetworkGrants { hosts, connect: places(connect), listen: places(listen) };
        Network::new(&grants, Told::AtTheEnd).unwrap()
    }

    /// What is allowed of these, and what was refused first.
    fn allowed(network: &Network, asked: &[(&str, SocketAddrUse)]) -> (Vec<bool>, Option<String>) {
        let allowed =
            asked.iter().map(|&(at, purpose)| network.allows(at.parse().unwrap(), purpose)).collect();
        (allowed, network.refusals.first().map(|refusal| refusal.to_string()))
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let nothing = network(&[], &[], &[]);
        for (at, purpose, flag) in [
            ("127.0.0.1:80", SocketAddrUse::TcpBind, Some("--allow-tcp-listen 127.0.0.1:80")),
            ("0.0.0.0:40000", SocketAddrUse::TcpListen, Some("--allow-tcp-listen 0.0.0.0:0")),
            ("[::1]:80", SocketAddrUse::TcpConnect, Some("--allow-tcp-connect [::1]:80")),
            ("127.0.0.1:80", SocketAddrUse::TcpAccept, None),
            ("127.0.0.1:80", SocketAddrUse::UdpSend, None),
        ] {
            let network = network(&[], &[], &[]);
            let (is_allowed, refusal) = allowed(&network, &[(at, purpose)]);
            assert_eq!(is_allowed, [false], "{at} {purpose:?}");
            let refusal = refusal.unwrap_or_default();
            assert!(flag.is_none_or(|flag| refusal.contains(flag)), "{refusal}");
        }
        assert_eq!(nothing.look_up("localhost"), None);
        assert!(!nothing.allows_request("localhost", None, 80));
    }

    #[test]
    fn a_connection_leads_where_it_may_and_listens_nowhere() {
        let network = network(&[("127.0.0.1", 80)], &[], &[]);
        let (is_allowed, refusal) = allowed(
            &network,
            &[
                ("0.0.0.0:0", SocketAddrUse::TcpBind),
                ("127.0.0.1:80", SocketAddrUse::TcpConnect),
                ("127.0.0.1:81", SocketAddrUse::TcpConnect),
                ("127.0.0.2:80", SocketAddrUse::TcpConnect),
                ("0.0.0.0:40000", SocketAddrUse::TcpListen),
                ("0.0.0.0:80", SocketAddrUse::TcpBind),
            ],
        );
        assert_eq!(is_allowed, [true, true, false, false, false, false]);
        assert!(refusal.unwrap().contains("127.0.0.1:81"));
    }

    #[test]
    fn listening_is_allowed_at_one_address_and_port() {
        let network = network(&[], &[("127.0.0.1", 80)], &[]);
        let (is_allowed, _) = allowed(
            &network,
            &[
                ("127.0.0.1:80", SocketAddrUse::TcpBind),
                ("127.0.0.1:80", SocketAddrUse::TcpListen),
                ("192.0.2.7:5", SocketAddrUse::TcpAccept),
                ("127.0.0.1:81", SocketAddrUse::TcpBind),
                ("127.0.0.1:0", SocketAddrUse::TcpBind),
                ("0.0.0.0:80", SocketAddrUse::TcpBind),
                ("127.0.0.1:80", SocketAddrUse::TcpConnect),
                // Nothing was bound, and the system would choose.
                ("0.0.0.0:0", SocketAddrUse::TcpBind),
                ("0.0.0.0:40000", SocketAddrUse::TcpListen),
            ],
        );
        assert_eq!(is_allowed, [true, true, true, false, false, false, false, true, false]);
    }

    #[test]
    fn port_0_grants_free_ports_and_any_address_grants_each() {
        let free = network(&[], &[("127.0.0.1", 0)], &[]);
        let bind = SocketAddrUse::TcpBind;
        let (is_allowed, _) = allowed(
            &free,
            &[("127.0.0.1:0", bind), ("127.0.0.1:40000", SocketAddrUse::TcpListen), ("127.0.0.1:80", bind)],
        );
        assert_eq!(is_allowed, [true, true, false]);
        let any = network(&[], &[("0.0.0.0", 80)], &[]);
        let (is_allowed, _) =
            allowed(&any, &[("0.0.0.0:80", bind), ("127.0.0.1:80", bind), ("[::1]:80", bind)]);
        assert_eq!(is_allowed, [true, true, false]);
    }

    #[test]
    fn localhost_is_both_loopback_addresses() {
        let network = network(&[("localhost", 80), ("LOCALHOST", 81)], &[], &[]);
        let expected: [super::IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(network.look_up("LocalHost.").unwrap(), expected);
        assert_eq!(network.look_up("other"), None);
        assert!(network.refusals.first().unwrap().to_string().contains("--allow-tcp-connect other:PORT"));
    }

    #[test]
    fn requests_go_to_the_named_host_and_port() {
        let network = network(&[], &[], &[("example.com", None), ("example.org", Some(8443)), ("::1", None)]);
        assert!(network.allows_request("Example.com", None, 443));
        assert!(network.allows_request("example.com", Some(80), 80));
        assert!(!network.allows_request("example.com", Some(8080), 80));
        assert!(network.allows_request("example.org", Some(8443), 443));
        assert!(!network.allows_request("example.org", None, 443));
        assert!(network.allows_request("[::1]", None, 80));
        assert!(!network.allows_request("sub.example.com", None, 80));
        assert!(network.refusals.first().unwrap().to_string().contains("--allow-host example.com:8080"));
    }

    #[test]
    fn a_name_that_has_no_address_is_said_with_its_flag() {
        let connect = vec![HostPort { host: "no-such-name.invalid".to_owned(), port: 80 }];
        let grants = NetworkGrants { connect, ..NetworkGrants::default() };
        let error = format!("{:#}", Network::new(&grants, Told::AtOnce).unwrap_err());
        assert!(error.contains("no-such-name.invalid") && error.contains("--allow-tcp-connect"), "{error}");
    }
}
