//! What became of a request.

use super::request_id::RequestId;
use super::subject::Subject;
use super::tag::Label;
use http::Version;
use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The longest text of an address, in bytes: eight groups of an IPv6 address, and the colons between them.
const MAX_ADDRESS: usize = 39;

/// Where a request came from. It is kept as text, which is then made once for a connection and not for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    text: [u8; MAX_ADDRESS],
    length: u8,
}

impl Peer {
    /// A program on this machine, through a unix socket.
    pub const UNIX: Self = {
        let mut text = [0; MAX_ADDRESS];
        (text[0], text[1], text[2], text[3]) = (b'u', b'n', b'i', b'x');
        Self { text, length: 4 }
    };

    /// The address; `None` for a unix socket.
    pub fn address(&self) -> Option<IpAddr> {
        str::from_utf8(self.as_bytes()).ok()?.parse().ok()
    }

    /// The address as text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl From<IpAddr> for Peer {
    /// An IPv4 address stays one where an IPv6 listener took the connection.
    fn from(address: IpAddr) -> Self {
        let mut text = [0; MAX_ADDRESS];
        let mut rest = text.as_mut_slice();
        // It fits.
        let _ = write!(rest, "{}", address.to_canonical());
        let left = rest.len();
        #[allow(clippy::cast_possible_truncation)]
        let length = (MAX_ADDRESS - left) as u8;
        Self { text, length }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// Who sent it.
    pub peer: Peer,
    /// The scheme of its URL.
    pub scheme: &'static str,
    /// The version of TLS that its connection has, such as `TLSv1.3`.
    pub tls: Option<&'static str>,
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
    /// The site that it was for.
    pub site: Label,
    /// Its id.
    pub id: RequestId,
    /// How it came.
    pub via: Via,
    /// The user whose password it had, if that is [needed](Needs).
    pub user: Option<Box<[u8]>>,
    /// When its head had arrived.
    pub arrived: SystemTime,
    /// Its first line.
    pub line: RequestLine,
    /// The host that it named, if that is needed.
    pub host: Option<Box<[u8]>>,
    /// The field `Referer`, if that is needed.
    pub referer: Option<Box<[u8]>>,
    /// The field `User-Agent`, if that is needed.
    pub user_agent: Option<Box<[u8]>>,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the body that were handed to the connection.
    pub bytes: u64,
    /// How long after its arrival there was the head of an answer, if there was one and times are needed.
    pub head: Option<Duration>,
    /// How long after its arrival the last byte was handed to the connection, or the client had left, if its head could be
    /// read and times are needed.
    pub total: Option<Duration>,
    /// How long its guest has run, calls to the host included, if one has run and that is needed.
    pub cpu: Option<Duration>,
}

/// Which parts of outcomes are read. The others are neither measured nor copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Needs {
    /// `user`.
    pub user: bool,
    /// `head` and `total`.
    pub times: bool,
    /// `cpu`.
    pub cpu: bool,
    /// `host`.
    pub host: bool,
    /// `referer` and `user_agent`.
    pub fields: bool,
}

#[cfg(test)]
mod tests {
    use super::Peer;
    use std::net::IpAddr;

    #[test]
    fn a_peer_is_shown_as_its_address() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "2001:db8::1",
            "1111:2222:3333:4444:5555:6666:7777:8888",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let peer = Peer::from(address);
            assert_eq!(peer.to_string(), address.to_string());
        }
        let mapped: IpAddr = "::ffff:255.255.255.255".parse().unwrap();
        assert_eq!(Peer::from(mapped).to_string(), "255.255.255.255");
        assert_eq!(Peer::UNIX.to_string(), "unix");
    }
}
