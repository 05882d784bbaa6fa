//! The kernel's states of TCP sockets on IPv4, as in `ss -tan`.

use std::net::{Ipv4Addr, SocketAddr};

/// The state of a TCP socket (RFC 9293 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// An open connection.
    Established,
    /// Waits for connections.
    Listen,
    /// Another state, by Linux's number for it.
    Other(u8),
}

/// The state of the socket with these addresses; `None` if there is no such socket.
pub fn state(local: SocketAddr, remote: SocketAddr) -> Option<State> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (found_local, found_remote) = (address(fields.next()?), address(fields.next()?));
        let state = u8::from_str_radix(fields.next()?, 16).unwrap();
        (found_local == local && found_remote == remote).then_some(match state {
            0x01 => State::Established,
            0x0a => State::Listen,
            other => State::Other(other),
        })
    })
}

/// The state of the socket that listens at this address; `None` if there is none.
pub fn listening(address: SocketAddr) -> Option<State> {
    state(address, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}

/// Parses an address as the kernel writes it: a number in native byte order, a colon, and the port.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').unwrap();
    let ip = u32::from_str_radix(ip, 16).unwrap().to_ne_bytes();
    SocketAddr::from((ip, u16::from_str_radix(port, 16).unwrap()))
}
