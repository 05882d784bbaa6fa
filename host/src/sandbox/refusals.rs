//! What guests asked for and were not given. A guest sees "access denied" and often says no more than that; the host
//! knows what it was and which flag allows it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use tracing::warn;

/// How many different refusals are told of; a guest that asks for everything does not fill a disk.
const MOST: usize = 16;

/// Something that a guest was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To listen at an address.
    Listen(SocketAddr),
    /// To connect to an address.
    Connect(SocketAddr),
    /// To learn the addresses of a name.
    Name(String),
    /// To send an HTTP request to a host, at a port.
    Request(String, u16),
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
            Self::Request(host, port) => {
                write!(
                    f,
                    "the guest may not send requests to {host}:{port}; --allow-host {host}:{port} allows it"
                )
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
    pub fn note(&self, refusal: Refusal) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= MOST || list.contains(&refusal) {
            return;
        }
        if self.told == Told::AtOnce {
            warn!("{refusal}");
        }
        list.push(refusal);
    }

    /// The first one, which is most likely why a guest failed.
    pub fn first(&self) -> Option<Refusal> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}
