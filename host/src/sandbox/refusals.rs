//! What guests asked for and were not given. A guest sees "access denied" and often says no more than that; the host
//! knows what it was and which flag allows it.

use crate::config::grants::HostPort;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// How many different refusals are told of; a guest that asks for everything does not fill a disk.
const MOST: usize = 16;

/// The longest name of a host, in bytes (RFC 1035 §2.3.4). What is longer is no name, and not worth a line.
const LONGEST_NAME: usize = 253;

/// Something that a guest was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To listen at an address.
    Listen(SocketAddr),
    /// To connect to an address.
    Connect(SocketAddr),
    /// To learn the addresses of a name.
    Name(String),
    /// To send an HTTP request to a host.
    Request(HostPort),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Serving has no such flag: whoever serves has listened already.
            Self::Listen(address) => {
                let flag = "wasi-httpd run --allow-tcp-listen";
                write!(f, "the guest may not listen at {address}; `{flag} {address}` allows it")
            }
            Self::Connect(address) => {
                write!(f, "the guest may not connect to {address}; --allow-tcp-connect {address} allows it")
            }
            Self::Name(name) => write!(
                f,
                "the guest may not look up `{}`; --allow-tcp-connect {}:PORT allows it, and connections there",
                name.escape_debug(),
                name.escape_debug()
            ),
            Self::Request(host) => {
                write!(f, "the guest may not send requests to {host}; --allow-host {host} allows it")
            }
        }
    }
}

/// When the operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// As it happens: there is no end that it could be the cause of.
    AtOnce,
    /// When the guest has ended.
    AtTheEnd,
}

/// The different refusals so far.
#[derive(Debug)]
pub struct Refusals {
    told: Told,
    list: Mutex<Vec<Refusal>>,
}

impl Refusals {
    /// None yet.
    pub fn new(told: Told) -> Self {
        Self { told, list: Mutex::default() }
    }

    /// Takes note of one.
    pub fn note(&self, refusal: &Refusal) {
        if let Refusal::Name(name) | Refusal::Request(HostPort { host: name, .. }) = refusal
            && name.len() > LONGEST_NAME
        {
            return;
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= MOST || list.contains(refusal) {
            return;
        }
        list.push(refusal.clone());
        let is_last = list.len() == MOST;
        // Whoever reads the log slowly holds up this request only.
        drop(list);
        if self.told == Told::AtOnce {
            warn!("{refusal}");
            if is_last {
                warn!("what else the guest asks for in vain is not shown");
            }
        }
    }

    /// The first one, which is most likely why a guest failed.
    pub fn first(&self) -> Option<Refusal> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPort, LONGEST_NAME, MOST, Refusal, Refusals, Told};

    #[test]
    fn what_is_no_name_is_not_kept() {
        let refusals = Refusals::new(Told::AtTheEnd);
        refusals.note(&Refusal::Name("x".repeat(LONGEST_NAME + 1)));
        refusals.note(&Refusal::Request(HostPort { host: "x".repeat(1 << 20), port: 80 }));
        assert_eq!(refusals.first(), None);
    }

    #[test]
    fn different_ones_are_kept_once_each_up_to_a_number() {
        let refusals = Refusals::new(Told::AtTheEnd);
        for at in 0..2 * MOST {
            refusals.note(&Refusal::Name(at.to_string()));
            refusals.note(&Refusal::Name("0".to_owned()));
        }
        assert_eq!(refusals.list.lock().unwrap().len(), MOST);
        assert_eq!(refusals.first(), Some(Refusal::Name("0".to_owned())));
    }
}
