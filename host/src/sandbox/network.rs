//! Where in the network a guest may connect and listen, which names it may look up, and to whom it may send requests.
//!
//! TCP is decided by address: names are looked up once, at the start, so that their owners cannot move them elsewhere
//! later. HTTP requests are decided by name: it is looked up for each, because large servers have many addresses, and
//! leads wherever its owner has it lead.

use super::denials::{Denial, Denials};
use crate::component::Purpose;
use crate::config::grants::{Holder, HostGrant, HostPort, NetworkGrants};
use crate::outgoing::{Client, trust};
use anyhow::{Context as _, Result, ensure};
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use wasmtime_wasi::sockets::SocketAddrUse;

/// The ports of HTTP and HTTPS.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// The network of one sandbox.
#[derive(Debug)]
pub struct Network {
    purpose: Purpose,
    hosts: Vec<HostGrant>,
    /// What sends requests to those, if there are any.
    client: Option<Client>,
    authorities: Vec<PathBuf>,
    connect: Vec<Place>,
    listen: Vec<SocketAddr>,
    /// What was not allowed.
    pub denials: Denials,
}

/// Where connections may lead.
#[derive(Debug)]
struct Place {
    name: String,
    addresses: Vec<IpAddr>,
    /// `None` is any port.
    port: Option<u16>,
}

/// What the runtime asks before it touches an address.
pub(super) type SocketCheck = Box<dyn Fn(SocketAddr, SocketAddrUse) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = bool> + Send + Sync>>;

impl Network {
    /// Looks up every name, and reads the certificates of authorities.
    pub fn new(grants: &NetworkGrants, purpose: Purpose, holder: Holder) -> Result<Self> {
        let place = |HostGrant { host, port }: &HostGrant| -> Result<Place> {
            let addresses = addresses("--allow-tcp-connect", host)?;
            Ok(Place { name: host.clone(), addresses, port: *port })
        };
        let mut listen = Vec::new();
        for HostPort { host, port } in &grants.listen {
            let addresses = addresses("--allow-tcp-listen", host)?;
            listen.extend(addresses.into_iter().map(|address| SocketAddr::new(address, *port)));
        }
        let client = if grants.hosts.is_empty() {
            None
        } else {
            Some(Client::new(trust::client_config(grants.roots, &grants.authorities)?))
        };
        Ok(Self {
            purpose,
            hosts: grants.hosts.clone(),
            client,
            authorities: grants.authorities.clone(),
            connect: grants.connect.iter().map(place).collect::<Result<_>>()?,
            listen,
            denials: Denials::new(purpose, holder),
        })
    }

    /// Whether there are TCP sockets at all. A server that may connect nowhere has none: each would take a file.
    pub fn has_sockets(&self) -> bool {
        self.purpose == Purpose::Run || !self.connect.is_empty()
    }

    /// Whether a guest that asks for a TCP socket gets one. That it gets none is a denial.
    pub fn permits_tcp_socket(&self) -> bool {
        let permits = self.has_sockets();
        if !permits {
            self.denials.note(&Denial::TcpSocket);
        }
        permits
    }

    /// Whether names are looked up while the guest runs: those of requests are, and those of TCP connections are not.
    pub fn looks_names_up(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// What sends requests, if any may be sent.
    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The files of authorities, which a reload reads again.
    pub fn authorities(&self) -> &[PathBuf] {
        &self.authorities
    }

    /// The ports that connections and requests may lead to; `None` is any.
    pub fn ports_to_connect(&self) -> impl Iterator<Item = Option<u16>> {
        let requests = self.hosts.iter().flat_map(|grant| match grant.port {
            Some(port) => vec![Some(port)],
            None => DEFAULT_PORTS.map(Some).to_vec(),
        });
        requests.chain(self.connect.iter().map(|place| place.port))
    }

    /// The addresses at which the guest may listen.
    pub fn addresses_to_listen(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().copied()
    }

    /// The ports that sockets may be bound to. Port 0 is one that the kernel chooses, which every socket may have.
    pub fn ports_to_bind(&self) -> impl Iterator<Item = u16> {
        let chosen = self.has_sockets().then_some(0);
        self.listen.iter().map(SocketAddr::port).chain(chosen)
    }

    /// What the runtime is to ask before it touches an address; `None` where there are no sockets.
    pub(super) fn check(this: &Arc<Self>) -> Option<SocketCheck> {
        let network = this.has_sockets().then(|| Arc::clone(this))?;
        Some(Box::new(move |address, purpose| Box::pin(ready(network.allows(address, purpose)))))
    }

    /// Whether a guest may do this with a socket.
    fn allows(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        match purpose {
            // Binding to no address and no port leaves both to the kernel, as connecting does. Nothing can connect to a
            // socket that is only bound, and listening is asked for separately.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => true,
            SocketAddrUse::TcpBind => {
                let allowed = self.may_bind(address);
                if !allowed {
                    self.denials.note(&Denial::Listen(address));
                }
                allowed
            }
            SocketAddrUse::TcpListen => {
                let allowed = self.listen.iter().any(|&granted| is_at(granted, address));
                if !allowed {
                    // Binding to a particular address would have been denied before. The port is one that the kernel
                    // has chosen, and will choose anew.
                    self.denials.note(&Denial::Listen(SocketAddr::new(address.ip(), 0)));
                }
                allowed
            }
            // The listening address was granted; who connects to it is not restricted.
            SocketAddrUse::TcpAccept => !self.listen.is_empty(),
            SocketAddrUse::TcpConnect => {
                let allowed = self.connect.iter().any(|place| place.covers(address));
                if !allowed {
                    self.denials.note(&Denial::Connect(address));
                }
                allowed
            }
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => false,
        }
    }

    /// Whether an address may be bound to: a granted one, with its port. Port 0 asks for a free port, and is granted as
    /// port 0.
    fn may_bind(&self, address: SocketAddr) -> bool {
        self.listen
            .iter()
            .any(|granted| covers(granted.ip(), address.ip()) && granted.port() == address.port())
    }

    /// The addresses of a host: of an address itself, and of a name those that connections may lead to.
    pub fn resolve(&self, host: &str) -> Option<Vec<IpAddr>> {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        literal.parse().map_or_else(|_| self.look_up(host), |address| Some(vec![address]))
    }

    fn look_up(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut found: Vec<IpAddr> = Vec::new();
        for place in self.connect.iter().filter(|place| place.name.eq_ignore_ascii_case(name)) {
            for address in &place.addresses {
                if !found.contains(address) {
                    found.push(*address);
                }
            }
        }
        if found.is_empty() {
            self.denials.note(&Denial::Name(name.to_owned()));
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
            self.denials.note(&Denial::Request(HostPort { host: host.to_owned(), port }));
        }
        allowed
    }
}

impl Place {
    fn covers(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address.ip()) && self.port.is_none_or(|port| port == address.port())
    }
}

/// Whether an address is the granted one; "any address" stands for each of its family.
fn covers(granted: IpAddr, address: IpAddr) -> bool {
    granted == address || (granted.is_unspecified() && granted.is_ipv4() == address.is_ipv4())
}

/// Whether what is bound may be listened at. A free port was chosen by then, and is covered by port 0.
fn is_at(granted: SocketAddr, address: SocketAddr) -> bool {
    covers(granted.ip(), address.ip()) && (granted.port() == 0 || granted.port() == address.port())
}

/// The addresses of a host, which the user named with this flag.
fn addresses(flag: &str, host: &str) -> Result<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        // Both, whatever the machine's list of names says.
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let found = (host, 0)
        .to_socket_addrs()
        .with_context(|| format!("cannot find the address of `{host}`, which {flag} names"))?;
    let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    ensure!(!addresses.is_empty(), "`{host}`, which {flag} names, has no address");
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::{Network, SocketAddrUse};
    use crate::component::Purpose;
    use crate::config::grants::{Holder, HostGrant, HostPort, NetworkGrants};

    fn network(connect: &[(&str, u16)], listen: &[(&str, u16)], to: &[(&str, Option<u16>)]) -> Network {
        let places = |places: &[(&str, u16)]| {
            places.iter().map(|&(host, port)| HostPort { host: host.to_owned(), port }).collect()
        };
        let hosts = |hosts: &[(&str, Option<u16>)]| {
            hosts.iter().map(|&(host, port)| HostGrant { host: host.to_owned(), port }).collect()
        };
        let connect: Vec<_> = connect.iter().map(|&(host, port)| (host, Some(port))).collect();
        let grants = NetworkGrants {
            hosts: hosts(to),
            connect: hosts(&connect),
            listen: places(listen),
            ..NetworkGrants::default()
        };
        Network::new(&grants, Purpose::Run, Holder::default()).unwrap()
    }

    /// What is allowed of these, and what was refused first.
    fn allowed(network: &Network, asked: &[(&str, SocketAddrUse)]) -> (Vec<bool>, Option<String>) {
        let allowed =
            asked.iter().map(|&(at, purpose)| network.allows(at.parse().unwrap(), purpose)).collect();
        (allowed, network.denials.first())
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
            let (is_allowed, denial) = allowed(&network, &[(at, purpose)]);
            assert_eq!(is_allowed, [false], "{at} {purpose:?}");
            let denial = denial.unwrap_or_default();
            assert!(flag.is_none_or(|flag| denial.contains(flag)), "{denial}");
        }
        assert_eq!(nothing.look_up("localhost"), None);
        assert!(!nothing.allows_request("localhost", None, 80));
    }

    #[test]
    fn a_connection_leads_where_it_may_and_listens_nowhere() {
        let network = network(&[("127.0.0.1", 80)], &[], &[]);
        let (is_allowed, denial) = allowed(
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
        assert!(denial.unwrap().contains("127.0.0.1:81"));
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
        assert!(network.denials.first().unwrap().contains("--allow-tcp-connect other:PORT"));
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
        assert!(network.denials.first().unwrap().contains("--allow-host example.com:8080"));
    }

    #[test]
    fn a_host_without_a_port_is_allowed_with_any() {
        let connect = vec![HostGrant { host: "127.0.0.1".to_owned(), port: None }];
        let grants = NetworkGrants { connect, ..NetworkGrants::default() };
        let network = Network::new(&grants, Purpose::Run, Holder::default()).unwrap();
        let connect = SocketAddrUse::TcpConnect;
        let (is_allowed, _) = allowed(&network, &[("127.0.0.1:1", connect), ("127.0.0.2:1", connect)]);
        assert_eq!(is_allowed, [true, false]);
    }

    #[test]
    fn a_name_that_has_no_address_is_said_with_its_flag() {
        let connect = vec![HostGrant { host: "no-such-name.invalid".to_owned(), port: Some(80) }];
        let grants = NetworkGrants { connect, ..NetworkGrants::default() };
        let error = format!("{:#}", Network::new(&grants, Purpose::Serve, Holder::default()).unwrap_err());
        assert!(error.contains("no-such-name.invalid") && error.contains("--allow-tcp-connect"), "{error}");
    }
}
