//! How many connections each address may have, so that one client cannot take the places of all others.
//!
//! An IPv6 client has a whole network of 64 bits, from which it chooses addresses as it likes (RFC 8981), so the network is
//! what counts.

use super::listener::Source;
use crate::report::Peer;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of each address.
#[derive(Debug)]
pub struct PerAddress {
    most: u32,
    counts: Mutex<HashMap<Network, u32>>,
}

/// What counts as one client: an IPv4 address, or the first half of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// An IPv4 address.
    V4(u32),
    /// The first half of an IPv6 address.
    V6(u64),
    /// A program on this machine, through a unix socket.
    Unix,
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            #[allow(clippy::cast_possible_truncation)]
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl From<Peer> for Network {
    fn from(peer: Peer) -> Self {
        peer.address().map_or(Self::Unix, Into::into)
    }
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub struct Counted {
    all: Arc<PerAddress>,
    network: Network,
}

/// The address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl PerAddress {
    /// At most so many connections for each address.
    pub fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// How many connections each address may have.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Counts a connection. Those of this machine do not count: a program on this machine needs no limit of this kind,
    /// and it is where proxies and tests of load are.
    pub fn count(self: &Arc<Self>, source: Source) -> Result<Option<Counted>, Full> {
        let network = match source {
            Source::Unix => return Ok(None),
            Source::Ip(address) if address.is_loopback() => return Ok(None),
            Source::Ip(address) => address.into(),
        };
        let mut counts = self.lock();
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        Ok(Some(Counted { all: Arc::clone(self), network }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Network, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.all.lock().entry(self.network) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, PerAddress, Source};
    use std::sync::Arc;

    fn source(text: &str) -> Source {
        Source::Ip(text.parse().unwrap())
    }

    #[test]
    fn each_address_has_places_of_its_own() {
        let all = Arc::new(PerAddress::new(2));
        let count = |text: &str| all.count(source(text));
        let first = count("192.0.2.1").unwrap();
        let second = count("192.0.2.1").unwrap();
        assert_eq!(count("192.0.2.1").unwrap_err(), Full);
        let other = count("192.0.2.2").unwrap();
        drop(first);
        let third = count("192.0.2.1").unwrap();
        assert_eq!(count("192.0.2.1").unwrap_err(), Full);
        drop((second, third, other));
        assert!(all.lock().is_empty(), "no memory is kept of addresses without connections");
    }

    #[test]
    fn an_ipv6_client_has_64_bits_of_addresses() {
        let all = Arc::new(PerAddress::new(1));
        let _first = all.count(source("2001:db8::1")).unwrap();
        assert_eq!(all.count(source("2001:db8::ffff:1:2:3")).unwrap_err(), Full);
        assert!(all.count(source("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn this_machine_does_not_count() {
        let all = Arc::new(PerAddress::new(1));
        for source in [Source::Unix, source("127.0.0.1"), source("127.1.2.3"), source("::1")] {
            let counted = [(); 3].map(|()| all.count(source).unwrap());
            assert!(counted.iter().all(Option::is_none), "{source:?}");
        }
    }
}
