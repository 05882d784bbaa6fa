//! A socket that waits for connections, and what they need to know about it.

use super::conn::Reach;
use super::transport::Transport;
use super::unix::SocketFile;
use crate::report::Peer;
use http::uri::Scheme;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A listener, as it is before the threads start.
#[derive(Debug)]
pub struct Listener {
    /// Comes first, so that it is removed while the socket is still open.
    file: Option<SocketFile>,
    socket: Bound,
    /// What its connections need to know.
    pub traits: Traits,
}

#[derive(Debug)]
enum Bound {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

/// What the connections of a listener have in common.
#[derive(Clone, Debug)]
pub struct Traits {
    /// Where it listens.
    pub address: Address,
    /// The scheme of the URLs that are requested.
    pub scheme: Scheme,
    /// Who can reach it.
    pub reach: Reach,
    /// Whether its sockets send files by themselves, because nothing stands between them and HTTP.
    pub sends_files: bool,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At an address and a port.
    Tcp(SocketAddr),
    /// At this path; `None` is a socket without a name, which another program has opened.
    Unix(Option<PathBuf>),
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An address, which is an IPv4 one also where an IPv6 listener took the connection.
    Ip(IpAddr),
    /// A program on this machine, through a unix socket.
    Unix,
}

impl Address {
    /// Whether both are TCP and cannot be listened on at the same time.
    pub(super) fn overlaps(&self, other: SocketAddr) -> bool {
        let Self::Tcp(address) = self else { return false };
        // The unspecified IPv6 address takes connections over IPv4 too.
        let covers = |one: IpAddr, other: IpAddr| {
            one == other || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4())
        };
        let (one, two) = (address.ip(), other.ip());
        address.port() == other.port() && (covers(one, two) || covers(two, one))
    }
}

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip().to_canonical())
    }
}

impl From<Source> for Peer {
    fn from(source: Source) -> Self {
        match source {
            Source::Ip(address) => address.into(),
            Source::Unix => Self::UNIX,
        }
    }
}

/// As in `Listening on …`.
impl fmt::Display for Traits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(address) => write!(f, "{}://{address}/", self.scheme),
            Address::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Address::Unix(None) => f.write_str("a unix socket without a path"),
        }
    }
}

impl Listener {
    /// A listener for HTTP on TCP.
    pub fn tcp(socket: std::net::TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let is_loopback = address.ip().to_canonical().is_loopback();
        let traits = Traits {
            address: Address::Tcp(address),
            scheme: Scheme::HTTP,
            reach: if is_loopback { Reach::Loopback } else { Reach::Network },
            sends_files: true,
        };
        Ok(Self { file: None, socket: Bound::Tcp(socket), traits })
    }

    /// A listener for HTTP on a unix socket.
    pub fn unix(socket: UnixListener) -> io::Result<Self> {
        let path = socket.local_addr()?.as_pathname().map(PathBuf::from);
        let traits = Traits {
            address: Address::Unix(path),
            scheme: Scheme::HTTP,
            reach: Reach::Unix,
            sends_files: true,
        };
        Ok(Self { file: None, socket: Bound::Unix(socket), traits })
    }

    /// The listener, which removes the file of its socket at the end.
    pub(super) fn with_file(self, file: SocketFile) -> Self {
        Self { file: Some(file), ..self }
    }

    /// The file that it removes at the end.
    pub(super) fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// Takes over to remove the file of its socket, which is done when that is dropped.
    pub fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// The directory from which its socket is removed at the end.
    pub fn directory(&self) -> Option<&Path> {
        self.file.as_ref().map(SocketFile::directory)
    }

    /// Begins to wait for connections, inside of the runtime. Nothing may block on the socket from then on.
    pub(super) fn start(self) -> io::Result<Started> {
        let Self { file, socket, traits } = self;
        let socket = match socket {
            Bound::Tcp(socket) => Waiting::Tcp(tokio::net::TcpListener::from_std(socket)?),
            Bound::Unix(socket) => Waiting::Unix(tokio::net::UnixListener::from_std(socket)?),
        };
        Ok(Started { _file: file, socket, traits })
    }
}

/// A listener in the runtime.
#[derive(Debug)]
pub(super) struct Started {
    /// As in [`Listener`].
    _file: Option<SocketFile>,
    socket: Waiting,
    pub(super) traits: Traits,
}

#[derive(Debug)]
enum Waiting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Started {
    /// Waits for a connection. If this is dropped, no connection is lost.
    pub(super) async fn accept(&self) -> io::Result<(Transport, Source)> {
        match &self.socket {
            Waiting::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok((stream.into(), address.into()))
            }
            Waiting::Unix(socket) => Ok((socket.accept().await?.0.into(), Source::Unix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Listener, Source};
    use crate::net::Reach;
    use crate::report::Peer;
    use std::net::SocketAddr;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_listener_knows_who_reaches_it_and_how_it_is_written() {
        for (bind, reach) in [("127.0.0.1:0", Reach::Loopback), ("0.0.0.0:0", Reach::Network)] {
            let socket = std::net::TcpListener::bind(bind).unwrap();
            let address = socket.local_addr().unwrap();
            let traits = Listener::tcp(socket).unwrap().traits;
            assert_eq!((traits.reach, &traits.address), (reach, &Address::Tcp(address)));
            assert_eq!(traits.to_string(), format!("http://{address}/"));
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let traits = Listener::unix(UnixListener::bind(&path).unwrap()).unwrap().traits;
        assert_eq!(traits.reach, Reach::Unix);
        assert_eq!(traits.to_string(), format!("unix:{}", path.display()));
    }

    #[test]
    fn addresses_overlap_where_one_covers_the_other() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("0.0.0.0:80", "[::]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
        ] {
            let [one, other]: [SocketAddr; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(Address::Tcp(one).overlaps(other), expected, "{one} {other}");
        }
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:1".parse().unwrap();
        assert_eq!(Source::from(mapped), Source::Ip([192, 0, 2, 1].into()));
        assert_eq!(Peer::from(Source::from(mapped)).to_string(), "192.0.2.1");
        assert_eq!(Peer::from(Source::Unix).to_string(), "unix");
    }
}
