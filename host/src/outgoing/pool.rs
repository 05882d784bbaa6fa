//! The connections of this process to other servers: those that are open, and places for new ones.
//!
//! A connection with HTTP/1.1 is used for one request after another, and one with HTTP/2 for several at the same time. Those of
//! one client to one origin are kept together ([`Host`]), and only requests of that client use them.

use super::Origin;
use super::connect::{Connection, connect};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wasmtime_wasi_http::Error;

/// How many connections there may be: as many as there are instances by default, which mostly send one request at a time.
/// Each takes a file.
pub const MAX_CONNECTIONS: u32 = 1024;

/// How many of them may lead to one origin, so that one that is slow leaves some for others.
const MAX_PER_HOST: usize = 256;

/// How many connections to one origin are kept without a request. More than these are seldom needed at the same time again.
const MAX_IDLE_PER_HOST: usize = 32;

/// How many requests a connection with HTTP/2 has at the same time: what most servers allow (RFC 9113 §6.5.2 recommends no
/// less).
const MAX_STREAMS: usize = 100;

/// How long a connection is kept without a request: less than most servers keep theirs (60 to 75 seconds), so that it is seldom
/// the server that closes it, at a moment at which it may be used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// How often those that are idle for too long are closed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection whose last response was read may take until the next request can be sent on it. It waits for what is
/// in its own buffers only.
const READY_TIMEOUT: Duration = Duration::from_millis(100);

/// All of this process.
pub(super) static POOL: LazyLock<Pool> = LazyLock::new(Pool::default);

/// Whose connections lead where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) owner: u64,
    pub(super) origin: Origin,
}

/// Connections, by client and origin. The number of origins is bounded by what clients may ask.
pub(super) struct Pool {
    places: Arc<Semaphore>,
    hosts: Mutex<HashMap<Key, Arc<Host>>>,
    sweeper: Mutex<Option<AbortHandle>>,
}

impl Default for Pool {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        Self { places, hosts: Mutex::default(), sweeper: Mutex::default() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections of one client to one origin.
struct Host {
    places: Arc<Semaphore>,
    /// Told when a connection becomes idle or ends, and when a request on one that is shared ends.
    freed: Arc<Notify>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// With HTTP/1.1: the one that was used last is the last one.
    idle: Vec<Idle>,
    /// With HTTP/2.
    shared: Vec<Shared>,
}

/// A connection without a request.
struct Idle {
    connection: Connection,
    task: AbortHandle,
    since: Instant,
}

/// A connection that several requests use.
struct Shared {
    sender: hyper::client::conn::http2::SendRequest<super::body::Upload>,
    task: AbortHandle,
    streams: Arc<Semaphore>,
    /// When a request began on it or was seen on it for the last time.
    used: Instant,
}

impl Shared {
    fn is_idle(&self) -> bool {
        self.streams.available_permits() == MAX_STREAMS
    }
}

impl Kept {
    /// Drops those that have ended, and those that were idle for too long.
    fn prune(&mut self, now: Instant) {
        self.idle.retain(|idle| !idle.connection.is_closed() && now - idle.since < IDLE_TIMEOUT);
        self.shared.retain_mut(|shared| {
            if !shared.is_idle() {
                shared.used = now;
            }
            !shared.sender.is_closed() && now - shared.used < IDLE_TIMEOUT
        });
    }

    /// When the connection that was idle for the longest time became that.
    fn oldest(&self) -> Option<Instant> {
        let idle = self.idle.first().map(|idle| idle.since);
        let shared = self.shared.iter().filter(|shared| shared.is_idle()).map(|shared| shared.used).min();
        idle.into_iter().chain(shared).min()
    }

    /// Ends the connection that was idle for the longest time.
    fn end_oldest(&mut self) {
        let oldest = self.oldest();
        if self.idle.first().is_some_and(|idle| Some(idle.since) == oldest) {
            self.idle.remove(0).task.abort();
        } else if let Some(at) =
            self.shared.iter().position(|shared| shared.is_idle() && Some(shared.used) == oldest)
        {
            self.shared.remove(at).task.abort();
        }
    }

    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty()
    }
}

impl Host {
    fn new() -> Self {
        let places = Arc::new(Semaphore::new(MAX_PER_HOST));
        Self { places, freed: Arc::default(), kept: Mutex::default() }
    }

    /// A connection that is open.
    fn take(self: &Arc<Self>) -> Option<Lease> {
        let mut kept = lock(&self.kept);
        let now = Instant::now();
        kept.prune(now);
        for shared in &mut kept.shared {
            if let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() {
                shared.used = now;
                let connection = Connection::Http2(shared.sender.clone());
                let stream = Stream { permit: Some(permit), freed: Arc::clone(&self.freed) };
                return Some(Lease {
                    host: Arc::clone(self),
                    connection: Some((connection, shared.task.clone())),
                    _stream: Some(stream),
                    was_used: true,
                });
            }
        }
        let Idle { connection, task, .. } = kept.idle.pop()?;
        let connection = Some((connection, task));
        Some(Lease { host: Arc::clone(self), connection, _stream: None, was_used: true })
    }

    /// Keeps a connection that has no request any more.
    fn keep(&self, connection: Connection, task: AbortHandle) {
        let mut kept = lock(&self.kept);
        if kept.idle.len() < MAX_IDLE_PER_HOST && !connection.is_closed() {
            kept.idle.push(Idle { connection, task, since: Instant::now() });
            drop(kept);
            self.freed.notify_one();
            POOL.start_sweeping();
        }
    }

    /// Shares a new connection with HTTP/2, if there is none yet that requests have room on.
    fn share(self: &Arc<Self>, connection: &Connection, task: &AbortHandle) -> Option<Stream> {
        let Connection::Http2(sender) = connection else { return None };
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        let permit = Arc::clone(&streams).try_acquire_owned().ok();
        let mut kept = lock(&self.kept);
        if kept.shared.iter().all(|shared| shared.streams.available_permits() == 0) {
            let (sender, task) = (sender.clone(), task.clone());
            kept.shared.push(Shared { sender, task, streams, used: Instant::now() });
            drop(kept);
            // Requests that wait for a connection have room on this one.
            self.freed.notify_waiters();
            POOL.start_sweeping();
        }
        Some(Stream { permit, freed: Arc::clone(&self.freed) })
    }

    /// Uses a shared connection for no more requests.
    fn forget(&self, task: &AbortHandle) {
        lock(&self.kept).shared.retain(|shared| shared.task.id() != task.id());
    }
}

impl Pool {
    fn host(&self, key: &Key) -> Arc<Host> {
        let mut hosts = lock(&self.hosts);
        Arc::clone(hosts.entry(key.clone()).or_insert_with(|| Arc::new(Host::new())))
    }

    /// Closes what a client has kept.
    pub(super) fn forget(&self, owner: u64) {
        lock(&self.hosts).retain(|key, _| key.owner != owner);
    }

    /// Ends the connection that was idle for the longest time, of whatever client.
    fn end_oldest(&self) {
        let hosts: Vec<_> = lock(&self.hosts).values().cloned().collect();
        let oldest = hosts
            .iter()
            .filter_map(|host| Some((lock(&host.kept).oldest()?, host)))
            .min_by_key(|(since, _)| *since);
        if let Some((_, host)) = oldest {
            lock(&host.kept).end_oldest();
        }
    }

    /// Starts the task that closes connections, unless it runs.
    fn start_sweeping(&'static self) {
        let mut sweeper = lock(&self.sweeper);
        if sweeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let sweep = async move {
                loop {
                    sleep(SWEEP_INTERVAL).await;
                    self.sweep();
                }
            };
            *sweeper = Some(tokio::spawn(sweep).abort_handle());
        }
    }

    fn sweep(&self) {
        let now = Instant::now();
        lock(&self.hosts).retain(|_, host| {
            let mut kept = lock(&host.kept);
            kept.prune(now);
            // Requests that are under way hold it, too.
            !kept.is_empty() || Arc::strong_count(host) > 1
        });
    }
}

/// The place of a connection, which is free again when that has ended.
struct Place {
    freed: Arc<Notify>,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permits.take());
        self.freed.notify_one();
    }
}

/// The place of a request on a connection that is shared.
struct Stream {
    permit: Option<OwnedSemaphorePermit>,
    freed: Arc<Notify>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.freed.notify_one();
    }
}

/// A connection for one request. It ends with this, unless it is [kept](Self::keep) or other requests use it.
pub(super) struct Lease {
    host: Arc<Host>,
    connection: Option<(Connection, AbortHandle)>,
    /// Held for the time of the request.
    _stream: Option<Stream>,
    was_used: bool,
}

impl Lease {
    /// Whether it was used before, so that the peer may have closed it.
    pub(super) fn was_used(&self) -> bool {
        self.was_used
    }

    /// What to send on.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut().map(|(connection, _)| connection)
    }

    /// The exchange is complete, and other requests may follow.
    pub(super) fn keep(mut self) {
        match self.connection.take() {
            Some((connection @ Connection::Http1(_), task)) => self.host.keep(connection, task),
            // It is kept since it was made.
            Some((Connection::Http2(_), _)) | None => {}
        }
    }

    /// No other request may follow, and what is still being sent goes on.
    pub(super) fn finish(mut self) {
        self.connection = None;
    }

    /// The peer does not answer: nothing else is sent on this connection.
    pub(super) fn give_up(self) {
        if let Some((_, task)) = &self.connection {
            self.host.forget(task);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // With HTTP/2, the stream is reset as soon as its futures are dropped.
        if let Some((Connection::Http1(_), task)) = self.connection.take() {
            task.abort();
        }
    }
}

/// A connection for a request: one that is open if there is one and it `may_reuse` that, or a new one as soon as there is a place
/// for it.
pub(super) async fn lease(
    key: &Key,
    may_reuse: bool,
    until: Instant,
    tls: &Arc<ClientConfig>,
) -> Result<Lease, Error> {
    let host = POOL.host(key);
    let place = loop {
        let freed = host.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if may_reuse {
            while let Some(mut lease) = host.take() {
                // Sockets are looked at meanwhile: that the peer has closed this one may not have been noticed yet.
                yield_now().await;
                let ready = async {
                    match lease.connection() {
                        Some(Connection::Http1(sender)) => sender.ready().await.is_ok(),
                        Some(Connection::Http2(sender)) => sender.ready().await.is_ok(),
                        None => false,
                    }
                };
                if timeout(READY_TIMEOUT, ready).await.unwrap_or(false) {
                    return Ok(lease);
                }
            }
        }
        if let Ok(own) = Arc::clone(&host.places).try_acquire_owned() {
            let mut of_all = Arc::clone(&POOL.places).try_acquire_owned();
            if of_all.is_err() {
                POOL.end_oldest();
                let waited = timeout_at(until, Arc::clone(&POOL.places).acquire_owned()).await;
                of_all = Ok(waited
                    .map_err(|_| Error::ConnectionLimitReached)?
                    .map_err(|_| Error::ConnectionLimitReached)?);
            }
            let permits = of_all.ok().map(|of_all| (own, of_all));
            break Place { freed: Arc::clone(&host.freed), permits };
        }
        if !may_reuse {
            // Those that are idle would not be used, and hold places.
            lock(&host.kept).end_oldest();
        }
        timeout_at(until, freed).await.map_err(|_| Error::ConnectionLimitReached)?;
    };
    let (connection, task) = connect(&key.origin, tls, until, place).await?;
    let stream = host.share(&connection, &task);
    Ok(Lease { host, connection: Some((connection, task)), _stream: stream, was_used: false })
}
