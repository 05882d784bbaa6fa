//! A new connection: the addresses of a name, TCP to the first of them that answers, TLS, and the protocol that both sides
//! speak. Each phase has a time limit of its own, and all together that of the request.

use super::Origin;
use super::body::Upload;
use super::fault::of_connecting;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

/// The name of HTTP/2 in ALPN (RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// For the addresses of a name. Resolvers ask the next name server after five seconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// For TCP: three attempts of the kernel, of which the third is made after three seconds.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// For TLS and its round trips, with servers that are busy.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an address may take before the next one is tried as well (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of a name are tried: large services name up to eight of each family.
const MAX_ADDRESSES: usize = 16;

/// The head of a response and its trailers, in bytes: what large servers send at most, twice.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of a response that are kept until the guest reads them, for each connection with HTTP/1.1.
const HTTP1_BUFFER: usize = 128 * 1024;

/// The same for each request with HTTP/2. It is also what can be on its way, so that it limits how fast a distant server is.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all requests of a connection with HTTP/2.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of a request with HTTP/2 that are taken from the guest before the peer has taken them.
const SEND_BUFFER: usize = 64 * 1024;

/// What requests are sent on.
pub(super) enum Connection {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

/// Connects to a server until this time. `held` is dropped when the connection has ended.
pub(super) async fn connect(
    origin: &Origin,
    tls: &Arc<ClientConfig>,
    until: Instant,
    held: impl Send + 'static,
) -> Result<(Connection, AbortHandle), Error> {
    let by = |limit: Duration| until.min(Instant::now() + limit);
    let found = timeout_at(by(LOOKUP_TIMEOUT), addresses(&origin.host, origin.port)).await;
    let addresses = found.map_err(|_| Error::DnsTimeout)??;
    let connected = timeout_at(by(TCP_TIMEOUT), first_to_answer(addresses)).await;
    let stream = connected.map_err(|_| Error::ConnectionTimeout)?.map_err(|error| of_connecting(&error))?;
    // Requests are written at once, and wait for nothing.
    let _ = stream.set_nodelay(true);
    if !origin.is_tls {
        return http1(TokioIo::new(stream), held).await;
    }
    let name = ServerName::try_from(origin.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let shaken = timeout_at(by(TLS_TIMEOUT), TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await;
    let stream = shaken.map_err(|_| Error::ConnectionTimeout)?.map_err(Error::Tls)?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    if is_http2 { http2(TokioIo::new(stream), held).await } else { http1(TokioIo::new(stream), held).await }
}

async fn http1<S>(stream: S, held: impl Send + 'static) -> Result<(Connection, AbortHandle), Error>
where
    S: Read + Write + Send + Unpin + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD).max_buf_size(HTTP1_BUFFER);
    let (sender, connection) = builder.handshake(stream).await.map_err(|_| Error::ConnectionTerminated)?;
    Ok((Connection::Http1(sender), keep(connection, held)))
}

async fn http2<S>(stream: S, held: impl Send + 'static) -> Result<(Connection, AbortHandle), Error>
where
    S: Read + Write + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    let (sender, connection) = builder.handshake(stream).await.map_err(|_| Error::ConnectionTerminated)?;
    Ok((Connection::Http2(sender), keep(connection, held)))
}

/// Runs a connection until it ends.
fn keep(
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    held: impl Send + 'static,
) -> AbortHandle {
    let task = tokio::spawn(async move {
        // What fails on it fails for the request as well.
        let _ = connection.await;
        drop(held);
    });
    task.abort_handle()
}

/// The addresses of a host, in the order in which they are tried.
async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if host == "localhost" {
        // Both, whatever the machine's list of names says, as for TCP connections of guests.
        return Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()]);
    }
    let failed = |_| Error::DnsError { rcode: None, info_code: None };
    let found = lookup_host((host, port)).await.map_err(failed)?;
    let mut addresses: Vec<_> = interleaved(found.collect());
    addresses.truncate(MAX_ADDRESSES);
    Ok(addresses)
}

/// Addresses of both families in turn, beginning with the one that comes first (RFC 8305 §4): the resolver has put the best
/// ones first, and where one family leads nowhere, the other one is the second to be tried.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (own, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut own, mut other) = (own.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (own.next(), other.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0);
        all.extend(pair.1);
    }
}

/// Connects to the first of several addresses that answers. Each is given a moment before the next one is tried beside it.
async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut failure = io::ErrorKind::NotFound.into();
    let mut left = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = left.next() {
            attempts.push(TcpStream::connect(address));
        }
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            },
            () = sleep(ATTEMPT_DELAY), if left.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{first_to_answer, interleaved};
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        assert_eq!(
            interleaved(addresses(&["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.1:1"])),
            addresses(&["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "[2001:db8::3]:1"])
        );
        assert_eq!(
            interleaved(addresses(&["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1"])),
            addresses(&["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1"])
        );
        assert_eq!(interleaved(Vec::new()), []);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let address = open.local_addr().unwrap();
        let stream = first_to_answer(vec![closed, closed, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = first_to_answer(vec![closed, closed]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
