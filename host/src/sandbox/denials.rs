//! What guests asked for and were not given. A guest sees "access denied" and often says no more than that; the host
//! knows what it was, and which flag allows it.

use crate::component::Purpose;
use crate::config::grants::{Holder, HostPort};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// How many different denials are kept and told: a guest that asks for everything must not fill a disk.
const MAX_DENIALS: usize = 16;

/// The longest name of a host, in bytes (RFC 1035 §2.3.4). What is longer is no name, and not worth a line.
const MAX_NAME: usize = 253;

/// How much of a path is shown, in bytes.
const MAX_PATH: usize = 256;

/// Something that a guest was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// To listen at an address.
    Listen(SocketAddr),
    /// To connect to an address.
    Connect(SocketAddr),
    /// To learn the addresses of a name.
    Name(String),
    /// To send an HTTP request to a host.
    Request(HostPort),
    /// To ask a server by HTTPS whose certificate is not trusted.
    Certificate {
        /// The server, as the guest named it.
        host: String,
        /// What is wrong with its certificate.
        fault: String,
        /// Whether nothing else is wrong with it than that its authority is unknown.
        is_unknown: bool,
    },
    /// To open a store of keys and values.
    Store(String),
    /// To create a TCP socket.
    TcpSocket,
    /// To create a UDP socket.
    UdpSocket,
    /// To write to a path, or to an open file where it is empty.
    Write(String),
    /// To open what is neither a regular file nor a directory.
    SpecialFile(String),
}

impl Denial {
    /// What a component asked for, and what grants it.
    fn text(&self, holder: &Holder) -> String {
        let who = holder.name();
        let allows = |flag, value: &str, what: &str| match holder.grant(flag, value) {
            Some(grant) => format!("{grant} {what}"),
            None => "no grant of --middleware allows it".to_owned(),
        };
        match self {
            // A server listens itself, and has no such flag.
            Self::Listen(address) => {
                let flag = "wasi-httpd run --allow-tcp-listen";
                format!("{who} may not listen at {address}; `{flag} {address}` allows it")
            }
            Self::Connect(address) => {
                let (flag, host) = ("--allow-tcp-connect", Bracketed(address.ip()));
                let what = format!("allows it, and {flag} {host} any port there");
                format!("{who} may not connect to {address}; {}", allows(flag, &address.to_string(), &what))
            }
            Self::Name(name) => {
                let name = name.escape_debug();
                let what = "allows it, and connections there";
                let allows = allows("--allow-tcp-connect", &format!("{name}:PORT"), what);
                format!("{who} may not look up `{name}`; {allows}")
            }
            Self::Request(host) => {
                let allows = allows("--allow-host", &host.to_string(), "allows it");
                format!("{who} may not send requests to {host}; {allows}")
            }
            Self::Certificate { host, fault, is_unknown } => {
                let host = host.escape_debug();
                let text = format!(
                    "requests of {who} to {host} fail, because its certificate is not trusted: {fault}"
                );
                if *is_unknown {
                    format!("{text}; {}", allows("--outgoing-ca", "FILE", "trusts another authority"))
                } else {
                    text
                }
            }
            Self::Store(name) => {
                let name = shown(name).escape_debug();
                let allows = allows("--keyvalue", &format!("{name}=memory"), "gives it one");
                format!("{who} may not open the store `{name}`; {allows}")
            }
            Self::TcpSocket => {
                let allows = allows("--allow-tcp-connect", "HOST:PORT", "allows it, and connections there");
                format!("{who} may not create a TCP socket; {allows}")
            }
            Self::UdpSocket => format!("{who} may not create a UDP socket, and no flag allows it"),
            Self::Write(path) if path.is_empty() => {
                format!("{who} may not write to a file: directories are read-only, and no flag changes that")
            }
            Self::Write(path) => format!(
                "{who} may not write to `{}`: directories are read-only, and no flag changes that",
                shown(path).escape_debug()
            ),
            Self::SpecialFile(path) => format!(
                "{who} may not open `{}`: it is neither a regular file nor a directory, and could block the server",
                shown(path).escape_debug()
            ),
        }
    }
}

/// An address as it is written where a port may follow.
struct Bracketed(IpAddr);

impl fmt::Display for Bracketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ipv6() { write!(f, "[{}]", self.0) } else { self.0.fmt(f) }
    }
}

fn shown(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_PATH)]
}

/// The different denials so far.
#[derive(Debug)]
pub struct Denials {
    /// Who asked.
    holder: Holder,
    /// Whether each is told as it happens. Serving has no end at which the first could be told as the cause of it.
    are_told: bool,
    list: Mutex<Vec<Denial>>,
}

impl Denials {
    /// None yet.
    pub fn new(purpose: Purpose, holder: Holder) -> Self {
        Self { holder, are_told: purpose == Purpose::Serve, list: Mutex::default() }
    }

    /// Takes note of one.
    pub fn note(&self, denial: &Denial) {
        if let Denial::Name(name) | Denial::Request(HostPort { host: name, .. }) = denial
            && name.len() > MAX_NAME
        {
            return;
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= MAX_DENIALS || list.contains(denial) {
            return;
        }
        list.push(denial.clone());
        if self.are_told {
            warn!("{}", denial.text(&self.holder));
            if list.len() == MAX_DENIALS {
                warn!("what else {} asks for in vain is not shown", self.holder.name());
            }
        }
    }

    /// What is to be said of the first one, which is most likely why a guest failed.
    pub fn first(&self) -> Option<String> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.first().map(|denial| denial.text(&self.holder))
    }
}

#[cfg(test)]
mod tests {
    use super::{Denial, Denials, Holder, HostPort, MAX_DENIALS, MAX_NAME};
    use crate::component::Purpose;

    #[test]
    fn what_is_no_name_is_not_kept() {
        let denials = Denials::new(Purpose::Run, Holder::default());
        denials.note(&Denial::Name("x".repeat(MAX_NAME + 1)));
        denials.note(&Denial::Request(HostPort { host: "x".repeat(1 << 20), port: 80 }));
        assert_eq!(denials.first(), None);
    }

    #[test]
    fn different_ones_are_kept_once_each_up_to_a_number() {
        let denials = Denials::new(Purpose::Run, Holder::default());
        for at in 0..2 * MAX_DENIALS {
            denials.note(&Denial::Name(at.to_string()));
            denials.note(&Denial::Name("0".to_owned()));
        }
        assert_eq!(denials.list.lock().unwrap().len(), MAX_DENIALS);
        assert!(
            denials.first().unwrap().starts_with("the guest may not look up `0`; --allow-tcp-connect 0:PORT")
        );
    }
}
