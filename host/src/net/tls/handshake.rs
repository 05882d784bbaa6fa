//! From an accepted connection to one that is encrypted, within a time limit and beside so many others.

use super::HTTP2;
use super::stream::Encrypted;
use crate::net::conn::{Conn, Stream, readable};
use crate::net::linger::{self, Patience};
use crate::report::metrics::{Handshake as Outcome, Limit};
use http::uri::Scheme;
use rustls::server::Acceptor;
use rustls::{ProtocolVersion, ServerConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tracing::debug;

/// Handshakes at a time, from the client's first message on; others wait for their turn, within their time. Each takes some
/// 20 KiB. Clients that begin and do not go on must not fill the memory, and are few beside those that take 12,000
/// connections.
const MAX_HANDSHAKES: usize = 2_048;

/// The type of a record that holds a message of the handshake (RFC 8446 §5.1): the first byte of a client that speaks TLS.
/// No request in the clear begins with it.
const HANDSHAKE: u8 = 22;

/// Whether bytes begin a handshake: with a record that holds a `ClientHello` (RFC 8446 §4, §5.1).
pub fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [HANDSHAKE, 3, _, _, _, 1, ..])
}

/// A fatal alert, `handshake_failure`, as a record of its own (RFC 8446 §6): the answer to a client that speaks TLS where
/// there is none.
pub const NO_TLS: [u8; 7] = [21, 3, 1, 0, 2, 2, 40];

/// What TLS listeners share. Clones refer to the same.
#[derive(Clone, Debug)]
pub struct Handshakes {
    config: Arc<ServerConfig>,
    places: Arc<Semaphore>,
    limit: Duration,
}

/// How a client has begun.
pub enum Beginning<S> {
    /// With a handshake, which is done.
    Encrypted(Conn<Encrypted<S>>),
    /// The same, with which HTTP/2 was agreed on (ALPN).
    Http2(Conn<Encrypted<S>>),
    /// Without one. Nothing was read.
    Clear(Conn<S>),
}

impl Handshakes {
    /// Handshakes with this configuration, each of which may take so long.
    pub fn new(config: Arc<ServerConfig>, limit: Duration) -> Self {
        Self { config, places: Arc::new(Semaphore::new(MAX_HANDSHAKES)), limit }
    }

    /// Has the handshake of a connection; `None` if it has failed, and the connection is over.
    pub async fn begin<S: Stream>(&self, conn: Conn<S>) -> Option<Beginning<S>> {
        let peer = conn.info.peer;
        match timeout(self.limit, self.try_begin(conn)).await {
            Ok(Ok(beginning)) => {
                match &beginning {
                    Some(Beginning::Encrypted(_) | Beginning::Http2(_)) => {}
                    Some(Beginning::Clear(_)) => Outcome::Clear.count(),
                    None => Outcome::Failed.count(),
                }
                beginning
            }
            // Most are of programs that look for open ports: no failure of the server.
            Ok(Err(error)) => {
                debug!("handshake of {peer}: {error}");
                Outcome::Failed.count();
                None
            }
            Err(_) => {
                debug!("handshake of {peer}: it took too long");
                Outcome::Late.count();
                Limit::HeadTime.hit();
                None
            }
        }
    }

    async fn try_begin<S: Stream>(&self, conn: Conn<S>) -> io::Result<Option<Beginning<S>>> {
        let Conn { mut stream, mut info } = conn;
        match readable(&mut stream).await {
            Some(HANDSHAKE) => {}
            Some(_) => {
                info.scheme = Scheme::HTTP;
                return Ok(Some(Beginning::Clear(Conn { stream, info })));
            }
            None => return Ok(None),
        }
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(error) => {
                if let Some(stream) = acceptor.take_io() {
                    linger::close(stream, Patience::WithUnread).await;
                }
                return Err(error);
            }
        };
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let tls = match start.into_stream(Arc::clone(&self.config)).into_fallible().await {
            Ok(tls) => tls,
            Err((error, stream)) => {
                // The alert arrives only if nothing unread is left.
                linger::close(stream, Patience::WithUnread).await;
                return Err(error);
            }
        };
        info.scheme = Scheme::HTTPS;
        let version = tls.get_ref().1.protocol_version();
        if version == Some(ProtocolVersion::TLSv1_2) { Outcome::Tls12 } else { Outcome::Tls13 }.count();
        info.tls = version.and_then(name);
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
        let files = info.files.get_or_insert_default().clone();
        let conn = Conn { stream: Encrypted::new(tls, files), info };
        Ok(Some(if is_http2 { Beginning::Http2(conn) } else { Beginning::Encrypted(conn) }))
    }
}

/// A version of TLS as logs have it.
fn name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        // The library speaks no other one.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Beginning, Handshakes, is_client_hello};
    use crate::net::conn::{Conn, ConnInfo, Reach};
    use crate::net::socket::Socket;
    use crate::net::tls::store::{Choice, Store};
    use crate::net::tls::{dev, server_config};
    use http::uri::Scheme;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;

    /// A server that speaks TLS, and a client that trusts it.
    fn both(limit: Duration) -> (Handshakes, Arc<ClientConfig>) {
        let dev = dev::open_in(tempfile::tempdir().unwrap().path()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(dev.certificate.key.cert[0].clone()).unwrap();
        let config = server_config(Arc::new(Store::new(Choice::new(&[dev.certificate])))).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap();
        (Handshakes::new(config, limit), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
    }

    async fn pair() -> (Conn<Socket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let (scheme, reach) = (Scheme::HTTP, Reach::Loopback);
        let info = ConnInfo {
            peer: peer.ip().into(),
            scheme,
            tls: None,
            reach,
            files: None,
            hangup: None,
            forwarding: None,
        };
        (Conn { stream: Socket::new(stream), info }, client)
    }

    #[tokio::test]
    async fn a_handshake_waits_for_a_place_within_its_time() {
        let (handshakes, client_config) = both(Duration::from_secs(1));
        let all = handshakes.places.available_permits();
        let taken =
            Arc::clone(&handshakes.places).acquire_many_owned(u32::try_from(all).unwrap()).await.unwrap();
        let connector = TlsConnector::from(client_config);
        let connect = |client| connector.connect(ServerName::try_from("localhost").unwrap(), client);
        let (conn, client) = pair().await;
        let (begun, connected) = tokio::join!(handshakes.begin(conn), connect(client));
        assert!(begun.is_none() && connected.is_err());
        drop(taken);
        let (conn, client) = pair().await;
        let (begun, connected) = tokio::join!(handshakes.begin(conn), connect(client));
        let Some(Beginning::Encrypted(conn)) = begun else { panic!("no handshake") };
        assert!(connected.is_ok() && conn.info.scheme == Scheme::HTTPS && conn.info.files.is_some());
        assert_eq!(conn.info.tls, Some("TLSv1.3"));
        assert_eq!(handshakes.places.available_permits(), all, "the place is free again");
    }

    #[test]
    fn a_client_hello_is_known_by_its_first_bytes() {
        let (_, config) = both(Duration::from_secs(1));
        let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        assert!(is_client_hello(&hello));
        assert!(!is_client_hello(&hello[..5]) && !is_client_hello(b"GET / HTTP/1.1"));
    }
}
