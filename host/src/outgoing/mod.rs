//! Requests to other servers: from a request with a streamed body to a response with one, whichever version of `wasi:http` the
//! guest speaks. Whom it may ask is decided before this ([`sandbox`](crate::sandbox)).
//!
//! 1. [`pool`]: a connection that is open, or a place for a new one
//! 2. [`connect`](mod@connect): the addresses of a name, a connection to the first that answers, and TLS where it is asked for
//! 3. [`exchange`]: the request and the head of its response, with the time-outs of both
//! 4. [`body`]: the bodies of both; what gives the connection back or ends it
//!
//! [`trust`] says which certificates are believed, and [`fault`] what failed, in the terms of `wasi:http`.
//!
//! Requests of one client share connections. Each site has a client of its own: what one site does to a connection, such as a
//! request that is framed wrongly, never meets the request of another one.

mod body;
mod connect;
mod exchange;
mod fault;
mod pool;
pub mod trust;

#[cfg(test)]
pub(crate) mod tests;

use body::{Download, InFlight, Upload};
use exchange::{Answered, Failed};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use pool::{Key, POOL};
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::Instant;
use wasmtime_wasi_http::{Error, WasiBody};

/// How many connections this process may have open for requests of its guests.
pub use pool::MAX_CONNECTIONS;

/// How many connections that were closed meanwhile are tried, before a new one is made.
const MAX_STALE: usize = 3;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    is_tls: bool,
    /// A name in lower case without a final dot, or an address without brackets.
    host: String,
    port: u16,
}

impl Origin {
    fn of(scheme: Option<&Scheme>, authority: &Authority) -> Self {
        let is_tls = scheme == Some(&Scheme::HTTPS);
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        Self { is_tls, host, port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }) }
    }
}

/// How long the phases of a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Until there is a connection: for a place, the name, the connection and TLS together.
    pub connect: Duration,
    /// From then on, or from the last piece of the request that was sent, to the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of the response.
    pub between_bytes: Duration,
    /// For all until the head of the response, where the request has no body that is still on its way.
    pub total: Duration,
}

/// What ends when the request is sent in full. Dropping it sooner ends the request.
pub type Sending = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What sends requests. Its clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    number: u64,
    tls: Arc<ClientConfig>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        POOL.forget(self.number);
    }
}

impl Client {
    /// A client that shares connections with no other one, and believes certificates by this configuration.
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Owner { number: NEXT.fetch_add(1, Ordering::Relaxed), tls }))
    }

    /// Sends a request, whose URI is absolute, and returns the response as soon as its head is there. `held` is dropped when
    /// both bodies have ended.
    ///
    /// A request is sent again only if it cannot have been processed, or if to process it twice has the same effect as once
    /// and none of its response has come (RFC 9110 §9.2.2): the peer may close a connection at the moment at which it is used
    /// again.
    pub async fn send<T: Send + Sync + 'static>(
        &self,
        request: Request<WasiBody>,
        times: Times,
        held: T,
    ) -> Result<(Response<WasiBody>, Sending), Error> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        // What follows a response to it is no HTTP any more.
        if parts.method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let authority = parts.uri.authority().ok_or(Error::HttpRequestUriInvalid)?.clone();
        let key = Key { owner: self.0.number, origin: Origin::of(parts.uri.scheme(), &authority) };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Error::HttpRequestUriInvalid)?;
        parts.headers.insert(HOST, host.clone());
        let uri = parts.uri.clone();
        let held = Arc::new(held);

        let copy = is_idempotent(&parts.method).then(|| parts.clone());
        let mut is_empty = body.is_end_stream();
        let mut in_flight = InFlight::new();
        let mut request = Request::from_parts(parts, Upload::new(body, Arc::clone(&in_flight)));
        let mut stale = 0;
        loop {
            let deadline = started + times.connect;
            let may_reuse = stale < MAX_STALE;
            let lease = pool::lease(&key, may_reuse, deadline, &self.0.tls).await?;
            let was_used = lease.was_used();
            // The last attempt may have been with the other version of HTTP, and has left them in its form.
            *request.uri_mut() = uri.clone();
            request.headers_mut().insert(HOST, host.clone());
            match exchange::exchange(lease, request, &in_flight, times, started).await {
                Ok(answered) => return respond(answered, in_flight, times, held),
                Err(Failed::Unsent(unsent, _)) if was_used => {
                    stale += 1;
                    request = *unsent;
                }
                Err(Failed::Lost(error)) if was_used => {
                    is_empty |= in_flight.was_empty();
                    let Some(copy) = copy.clone().filter(|_| is_empty) else { return Err(error) };
                    stale = MAX_STALE;
                    in_flight = InFlight::new();
                    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
                    request = Request::from_parts(copy, Upload::new(body, Arc::clone(&in_flight)));
                }
                Err(Failed::Unsent(_, error) | Failed::Lost(error) | Failed::Final(error)) => {
                    return Err(error);
                }
            }
        }
    }
}

/// Whether a request has the same effect if it is processed twice.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

fn respond<T: Send + Sync + 'static>(
    Answered { response, lease }: Answered,
    in_flight: Arc<InFlight>,
    times: Times,
    held: Arc<T>,
) -> Result<(Response<WasiBody>, Sending), Error> {
    // It was not asked for, and what follows is no HTTP any more.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    let sending = Sent { in_flight: Arc::clone(&in_flight), _held: Arc::clone(&held) };
    let response = response
        .map(|incoming| Download::new(incoming, lease, in_flight, times.between_bytes, held).boxed_unsync());
    Ok((response, Box::new(async move { sending.wait().await })))
}

/// The rest of a request that is being sent. It does not outlive what asked for it.
struct Sent<T> {
    in_flight: Arc<InFlight>,
    _held: Arc<T>,
}

impl<T> Sent<T> {
    async fn wait(&self) -> Result<(), Error> {
        let ended = self.in_flight.ended().await;
        if ended.is_err() {
            // The peer may have answered before it read everything, such as with 413. wasmtime's WASI 0.3 throws the response away
            // if this has failed when it asks for the first time.
            yield_now().await;
        }
        ended
    }
}

impl<T> Drop for Sent<T> {
    fn drop(&mut self) {
        self.in_flight.cancel();
    }
}
