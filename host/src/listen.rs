//! Listening sockets: bound before anything slow happens, and served until the server stops.

use crate::config::grants::HostPort;
use crate::connection::{Connections, Phase, reach};
use crate::lane::Socket;
use crate::stall::Watched;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::warn;

/// Connections that the system holds for us while we are busy accepting others.
const BACKLOG: u32 = 1024;

/// The most connections at a time, where the system allows as many files: at some 16 KiB each, these are some hundreds of
/// megabytes.
const MAX_CONNECTIONS: usize = 12_000;

/// Files that the process needs besides connections and what guests open: standard streams, listeners, the cache.
const OTHER_FILES: usize = 64;

/// How often a free port is looked for that both loopback addresses have.
const PORT_TRIES: usize = 16;

/// How long to wait when the system has no file left for a connection: until one is closed, asking again is idle.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds every address.
pub fn bind(addresses: &[HostPort]) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for HostPort { host, port } in addresses {
        if host.eq_ignore_ascii_case("localhost") {
            listeners.append(&mut bind_localhost(*port)?);
        } else {
            for address in resolve(host, *port)? {
                listeners.push(bind_one(address).with_context(|| format!("cannot listen on {address}"))?);
            }
        }
    }
    Ok(listeners)
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot find the address of `{host}`; --addr takes a name or address of this machine")
        })?
        .collect();
    if found.is_empty() {
        bail!("`{host}` has no address; --addr takes a name or address of this machine");
    }
    Ok(found)
}

/// Both loopback addresses at one port, or the first alone where the machine has no IPv6.
fn bind_localhost(port: u16) -> Result<Vec<TcpListener>> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..PORT_TRIES {
        let first = bind_one(v4).with_context(|| format!("cannot listen on {v4}"))?;
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, first.local_addr()?.port()));
        match bind_one(v6) {
            Ok(second) => return Ok(vec![first, second]),
            Err(BindError(error)) => match error.kind() {
                ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => return Ok(vec![first]),
                _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
                    return Ok(vec![first]);
                }
                ErrorKind::AddrInUse if port == 0 => {}
                _ => return Err(BindError(error)).with_context(|| format!("cannot listen on {v6}")),
            },
        }
    }
    bail!("no port is free on both 127.0.0.1 and [::1]; name one with --addr localhost:PORT");
}

/// Why an address cannot be bound, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}{hint}", hint = hint(.0.kind()))]
struct BindError(std::io::Error);

fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "; another program has it: stop that, or take another port with --addr HOST:PORT"
        }
        ErrorKind::AddrNotAvailable => {
            "; it is not an address of this machine: take another with --addr HOST:PORT"
        }
        ErrorKind::PermissionDenied => {
            "; low ports are the superuser's: take one from 1024 on, such as --addr localhost:8080"
        }
        _ => "; take another address with --addr HOST:PORT",
    }
}

fn bind_one(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that is started again must not wait for the connections of the last one to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(BindError)
}

/// Files that a connection needs: its socket, and the file that it sends.
const FILES_EACH: usize = 2;

/// How many connections may be open at a time, when guests may open `guest_files`. The process's limit of open files is
/// raised as far as it may be.
pub fn max_connections(guest_files: u32) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let reserved = OTHER_FILES + guest_files as usize;
    let available = files.saturating_sub(reserved).max(files / 4) / FILES_EACH;
    // Somewhat fewer are nobody's trouble.
    if available < MAX_CONNECTIONS / 2 {
        warn!(
            "at most {available} connections at a time: the limit of open files is {files}; `ulimit -n` raises it"
        );
    }
    available.min(MAX_CONNECTIONS)
}

/// Accepts connections until the server drains. Each holds a clone of `alive` until it has ended, and is cut when its
/// client takes none of what it is sent for as long as `stall`.
pub async fn accept(
    listener: TcpListener,
    connections: Arc<Connections>,
    places: Arc<Semaphore>,
    stall: Duration,
    mut stopping: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let mut is_short_of_files = false;
    loop {
        let accepted = tokio::select! {
            accepted = async {
                // Without a place, nothing is accepted: the system's own queue is the waiting room.
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
            () = reach(&mut stopping, Phase::Draining) => return,
        };
        let (place, stream, peer) = match accepted {
            (Ok(place), Ok((stream, peer))) => (place, stream, peer),
            (Ok(_), Err(error)) => {
                if !is_of_one_connection(&error) {
                    if !std::mem::replace(&mut is_short_of_files, true) {
                        warn!("cannot accept connections for the moment: {error}");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
            (Err(_), _) => return,
        };
        is_short_of_files = false;
        // An answer is written as a whole, so that there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        let (socket, files) = Socket::new(stream);
        let stream = Watched::new(socket, stall);
        let serving = Arc::clone(&connections).serve(stream, Some(files), plain(peer.ip()), stopping.clone());
        let alive = alive.clone();
        tokio::spawn(async move {
            serving.await;
            drop((place, alive));
        });
    }
}

/// Whether an error of `accept` speaks of a connection that ended before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}

/// An IPv4 address as such, also where an IPv6 listener took the connection.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
