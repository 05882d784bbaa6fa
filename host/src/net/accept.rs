//! Accepting connections until the server stops: each gets a task of its own.

use super::conn::{Conn, ConnInfo};
use super::listener::{Listener, Source, Traits};
use super::per_address::{Counted, Full, PerAddress};
use super::proxy::header::Origin;
use super::proxy::{Forwarding, read_header};
use super::socket::Socket;
use super::stall::StallGuard;
use crate::config::proxies::Proxies;
use crate::report::metrics::{ConnectionCounts, Limit};
use crate::report::{Occasionally, Peer};
use anyhow::{Context as _, Result};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::warn;

/// How long to wait when the process can have no more files: until a connection is closed, trying again is pointless.
const PAUSE: Duration = Duration::from_millis(100);

/// What accepted connections are.
pub type Accepted = Conn<StallGuard<Socket>>;

/// What holds for all connections.
#[derive(Debug)]
pub struct Terms {
    /// They are reset when their client takes nothing of what it is sent for so long.
    pub stall: Duration,
    /// How long a proxy may take for the header by which it says whose connection it passes on.
    pub head: Duration,
    /// The proxies that are believed.
    pub proxies: Arc<Proxies>,
    /// How many there may be of each address.
    pub per_address: Arc<PerAddress>,
}

impl Terms {
    /// Counts a connection. Those of proxies are many clients' and do not count; a PROXY header tells whose one of them
    /// is, and it counts from then on.
    fn count(&self, source: Source) -> Result<Option<Counted>, Full> {
        let Proxies { proxy_protocol, forwarded, x_forwarded } = &*self.proxies;
        if [proxy_protocol, forwarded, x_forwarded].into_iter().any(|peers| source.is_among(peers)) {
            return Ok(None);
        }
        self.per_address.count(source).inspect_err(|Full| {
            static WARNING: Occasionally = Occasionally::new();
            Limit::PerAddress.hit();
            if WARNING.is_due() {
                let (peer, most) = (Peer::from(source), self.per_address.most());
                warn!("further connections of {peer} are closed: it has {most}, the limit of --max-connections-per-address");
            }
        })
    }
}

/// What all listeners share.
#[derive(Clone, Debug)]
pub struct Acceptor {
    places: Arc<Semaphore>,
    terms: Arc<Terms>,
    /// Counts them, with `--admin`.
    counts: Option<Arc<ConnectionCounts>>,
    /// Each connection holds a clone until it has ended.
    alive: mpsc::Sender<()>,
}

/// Completes when the acceptor and all its connections are gone.
#[derive(Debug)]
pub struct AllEnded(mpsc::Receiver<()>);

impl AllEnded {
    /// Waits.
    pub async fn wait(mut self) {
        // Nothing is ever sent: this is the end of the last sender.
        self.0.recv().await;
    }
}

impl Acceptor {
    /// Accepts at most so many connections at a time.
    pub fn new(max_connections: usize, terms: Terms) -> (Self, AllEnded) {
        let (alive, ended) = mpsc::channel(1);
        let places = Arc::new(Semaphore::new(max_connections));
        (Self { places, terms: Arc::new(terms), counts: None, alive }, AllEnded(ended))
    }

    /// Has connections counted from now on.
    pub fn count(&mut self) -> Arc<ConnectionCounts> {
        let most = self.places.available_permits();
        let counts = Arc::new(ConnectionCounts::new(most));
        self.counts = Some(Arc::clone(&counts));
        counts
    }

    /// Accepts connections and runs `serve` for each in a task, until `stop` completes.
    pub async fn run<S, F>(self, listener: Listener, serve: S, stop: impl Future<Output = ()>) -> Result<()>
    where
        S: Fn(Accepted) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener.start().context("cannot wait for connections")?;
        let mut stop = pin!(stop);
        // Tells that this is over, when it is dropped.
        let (_listening, closed) = watch::channel(());
        let mut is_short_of_files = false;
        loop {
            let accepted = tokio::select! {
                accepted = async {
                    // Without a place nothing is accepted: the kernel's queue is the waiting room.
                    if self.places.available_permits() == 0 {
                        Limit::Connections.hit();
                    }
                    let place = Arc::clone(&self.places).acquire_owned().await;
                    (place, listener.accept().await)
                } => accepted,
                () = stop.as_mut() => return Ok(()),
            };
            let (place, stream, source) = match accepted {
                (Ok(place), Ok((stream, source))) => (place, stream, source),
                (Ok(_), Err(error)) => {
                    if !is_of_one_connection(&error) {
                        if !std::mem::replace(&mut is_short_of_files, true) {
                            warn!("cannot accept connections for the moment: {error}");
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    continue;
                }
                // The semaphore is never closed.
                (Err(_), _) => return Ok(()),
            };
            is_short_of_files = false;
            let open = self.counts.as_deref().map(ConnectionCounts::accept);
            let Ok(counted) = self.terms.count(source) else { continue };
            let mut connection = self.connection(Socket::new(stream), source, &listener.traits);
            let (serve, alive) = (serve.clone(), self.alive.clone());
            let is_of_proxy = source.is_among(&self.terms.proxies.proxy_protocol);
            let header =
                is_of_proxy.then(|| Header { terms: Arc::clone(&self.terms), closed: closed.clone() });
            // The future is made inside of the task: one that is moved into it takes twice the memory.
            tokio::spawn(async move {
                let counted = match header {
                    None => Some(counted),
                    // In memory of its own, which other connections do without.
                    Some(header) => Box::pin(header.read(&mut connection)).await,
                };
                if let Some(counted) = counted {
                    serve(connection).await;
                    drop(counted);
                }
                drop((open, place, alive));
            });
        }
    }

    fn connection(&self, socket: Socket, source: Source, listener: &Traits) -> Accepted {
        let info = ConnInfo {
            peer: source.into(),
            scheme: listener.scheme.clone(),
            tls: None,
            reach: listener.reach,
            files: listener.sends_files.then(|| socket.files()),
            hangup: Some(socket.hangup()),
            forwarding: Forwarding::of(source, &self.terms.proxies),
        };
        Conn { stream: StallGuard::new(socket, self.terms.stall), info }
    }
}

/// What reads the header that a connection begins with.
struct Header {
    terms: Arc<Terms>,
    /// Tells by its end that the listener is closed.
    closed: watch::Receiver<()>,
}

impl Header {
    /// Finds out whose connection it is, and counts it. `None`: it is to be closed, because there is no header, or its
    /// client has too many connections.
    async fn read(mut self, connection: &mut Accepted) -> Option<Option<Counted>> {
        let Conn { stream, info } = connection;
        let header = tokio::select! {
            header = timeout(self.terms.head, read_header(stream)) => header,
            // A server that stops does not wait for proxies that have sent nothing.
            _ = self.closed.changed() => return None,
        };
        match header {
            Ok(Ok(Origin::Proxy)) => return Some(None),
            Ok(Ok(Origin::Client(address))) => {
                let source = Source::Ip(address);
                info.peer = source.into();
                info.forwarding = Forwarding::of(source, &self.terms.proxies);
                return self.terms.count(source).ok();
            }
            // The proxy has only looked whether the server is there, or has left.
            Ok(Err(error)) if error.kind() != ErrorKind::InvalidData => {}
            Ok(Err(_)) | Err(_) => {
                static WARNING: Occasionally = Occasionally::new();
                if WARNING.is_due() {
                    let peer = info.peer;
                    warn!(
                        "{peer} is named by --proxy-protocol-from, and has sent no PROXY header: its connection was closed"
                    );
                }
            }
        }
        None
    }
}

/// Whether an error of `accept` is about a connection that ended before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::{Full, PerAddress, Source, Terms};
    use crate::config::proxies::{Peers, Proxies};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn connections_of_clients_count_and_those_of_proxies_do_not() {
        let peers = |text: &str| Peers::parse("--x", &[text.to_owned()]).unwrap();
        let proxies = Proxies {
            proxy_protocol: peers("10.0.0.1"),
            forwarded: peers("10.0.0.2"),
            x_forwarded: peers("2001:db8::/32"),
        };
        let (stall, head) = (Duration::MAX, Duration::MAX);
        let per_address = Arc::new(PerAddress::new(1));
        let terms = Terms { stall, head, proxies: Arc::new(proxies), per_address };
        let count = |text: &str| terms.count(Source::Ip(text.parse().unwrap()));
        let first = count("192.0.2.1").unwrap();
        assert!(first.is_some());
        assert_eq!(count("192.0.2.1").unwrap_err(), Full);
        for proxy in ["10.0.0.1", "10.0.0.2", "2001:db8::1"] {
            assert!(count(proxy).unwrap().is_none(), "{proxy}");
        }
    }
}
