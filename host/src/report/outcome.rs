//! What became of a request.

use super::subject::Subject;
use http::Version;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(IpAddr);

impl From<SocketAddr> for Peer {
    /// An IPv4 address stays one where an IPv6 listener took the connection.
    fn from(address: SocketAddr) -> Self {
        Self(address.ip().to_canonical())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first line of a request.
#[derive(Debug)]
pub enum RequestLine {
    /// Method and target, and the version of HTTP.
    Read(Subject, Version),
    /// As it was sent, for its head could not be read; empty where not even the line arrived.
    Raw(Box<[u8]>),
}

/// What became of one request.
#[derive(Debug)]
pub struct Outcome {
    /// Where it came from.
    pub peer: Peer,
    /// When its head had arrived.
    pub arrived: SystemTime,
    /// Its first line.
    pub line: RequestLine,
    /// The fields `Referer` and `User-Agent`.
    pub referer: Option<Box<[u8]>>,
    /// See `referer`.
    pub user_agent: Option<Box<[u8]>>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
}
