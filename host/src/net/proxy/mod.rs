//! Connections that proxies pass on: who made them.
//!
//! - [`header`]: the PROXY protocol, by which a proxy says it at the beginning of a connection
//! - this module: reads that header, and knows which proxies say in a field of each request whose it is

pub mod header;

use super::listener::Source;
use crate::config::proxies::{Peers, Proxies};
use header::{NoHeader, Origin, Parsed, parse};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How the proxy at the other end of a connection says whose requests it sends.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// The field in which it does.
    pub field: Field,
    proxies: Arc<Proxies>,
}

/// A field in which proxies name clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `Forwarded`.
    Forwarded,
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwarded,
}

impl Forwarding {
    /// How this peer does it, if it is a proxy that is believed.
    pub(super) fn of(source: Source, proxies: &Arc<Proxies>) -> Option<Self> {
        let fields = [(Field::Forwarded, &proxies.forwarded), (Field::XForwarded, &proxies.x_forwarded)];
        let (field, _) = fields.into_iter().find(|(_, peers)| source.is_among(peers))?;
        Some(Self { field, proxies: Arc::clone(proxies) })
    }

    /// Whether what a proxy at this address says in the same field is believed as well.
    pub fn is_trusted(&self, address: IpAddr) -> bool {
        match self.field {
            Field::Forwarded => &self.proxies.forwarded,
            Field::XForwarded => &self.proxies.x_forwarded,
        }
        .contain(address)
    }
}

impl Source {
    /// Whether the flag that names these peers names this one.
    pub(super) fn is_among(self, peers: &Peers) -> bool {
        match self {
            Self::Ip(address) => peers.contain(address),
            Self::Unix => peers.unix,
        }
    }
}

/// Reads the header that a connection begins with, and nothing of what follows.
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Origin> {
    let mut bytes = Vec::new();
    loop {
        let have = bytes.len();
        match parse(&bytes) {
            Ok(Parsed::Complete(origin, _)) => return Ok(origin),
            Ok(Parsed::Partial(missing)) => bytes.resize(have + missing, 0),
            Err(NoHeader) => return Err(io::Error::new(ErrorKind::InvalidData, NoHeader)),
        }
        let read = stream.read(&mut bytes[have..]).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(have + read);
    }
}

#[cfg(test)]
mod tests {
    use super::header::Origin;
    use super::read_header;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn what_follows_the_header_is_left() {
        for (header, origin) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Origin::Client([192, 0, 2, 1].into())),
            ("PROXY UNKNOWN\r\n", Origin::Proxy),
            ("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Origin::Proxy),
        ] {
            let text = format!("{header}GET / HTTP/1.1");
            let mut stream = text.as_bytes();
            assert_eq!(read_header(&mut stream).await.unwrap(), origin);
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "GET / HTTP/1.1");
        }
        for wrong in ["", "PROXY", "GET / HTTP/1.1\r\n\r\n"] {
            assert!(read_header(&mut wrong.as_bytes()).await.is_err(), "{wrong}");
        }
    }
}
