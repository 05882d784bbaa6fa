//! The admin listener: how the server is, for the programs and people that look after it. The host alone answers, and no guest
//! is involved.
//!
//! 1. [`route`]: what a request asks for
//! 2. [`state`]: what there is to tell; [`process`]: what the kernel knows of the process
//! 3. [`metrics`]: as Prometheus reads it
//! 4. [`history`]: the last minutes, second by second; [`status`]: a summary; [`page`]: that as a page, with each [`chart`]
//! 5. this module: the listener, with limits of its own, so that it answers while the other listeners are full

mod chart;
mod history;
mod metrics;
mod page;
mod process;
mod route;
mod state;
mod status;

use crate::app::sites::Live;
use crate::authority::Host;
use crate::config::proxies::Proxies;
use crate::http::check::{NoSite, check};
use crate::http::refusal::Refusal;
use crate::http::shutdown::Phase;
use crate::net::accept::{Accepted, Acceptor, Terms};
use crate::net::linger::{self, Patience};
use crate::net::per_address::PerAddress;
use crate::net::{Conn, ConnInfo, Listener, Reach, SocketFile};
use crate::report::metrics::{ConnectionCounts, Metrics, text};
use crate::report::{recent, stderr};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use process::Process;
use route::Route;
use state::State;
use std::convert::Infallible;
use std::future::{pending, poll_fn, ready};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::error;

/// Connections at a time: some scrapers, probes and open pages. Further ones wait in the kernel.
const MAX_CONNECTIONS: usize = 32;

/// How long a client may take for the head of its request. Those that belong here are near.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take in all, for its one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest head, in bytes: that of a browser with many cookies for this host.
const MAX_HEAD: usize = 32 * 1024;

/// The policy of all answers but the page: they are no documents.
const NO_DOCUMENT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What was opened before the process restricts itself.
#[derive(Debug)]
pub struct Opened {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// The metrics of all sites.
    pub metrics: Arc<Metrics>,
    process: Process,
}

/// What answers as soon as the server serves.
#[derive(Debug)]
pub struct Prepared {
    listeners: Vec<Listener>,
    state: Arc<State>,
}

/// The listeners while the server serves. Files of unix sockets are removed when this is dropped.
#[derive(Debug)]
pub struct Running {
    _files: Vec<SocketFile>,
}

impl Opened {
    /// Opens what else is needed than listeners, and keeps warnings from now on.
    pub fn new(listeners: Vec<Listener>) -> Self {
        recent::start();
        Self { listeners, metrics: Arc::default(), process: Process::open() }
    }

    /// Takes what there is to tell: the connections, the sites, and how far the server is on its way to its
    /// end.
    pub fn prepare(
        self,
        connections: Arc<ConnectionCounts>,
        sites: Arc<Live>,
        phase: watch::Receiver<Phase>,
    ) -> Prepared {
        let Self { listeners, metrics, process } = self;
        Prepared { listeners, state: Arc::new(State::new(metrics, connections, sites, process, phase)) }
    }
}

impl Prepared {
    /// Answers from now on, until the process ends, and says where.
    pub fn start(self) -> Running {
        let Self { listeners, state } = self;
        let terms = Terms {
            stall: STALL_TIMEOUT,
            head: HEAD_TIMEOUT,
            proxies: Arc::new(Proxies::default()),
            per_address: Arc::new(PerAddress::new(u32::MAX)),
        };
        let (acceptor, _) = Acceptor::new(MAX_CONNECTIONS, terms);
        let mut files = Vec::new();
        for mut listener in listeners {
            files.extend(listener.take_file());
            let shown = listener.traits.to_string();
            stderr::line(&format!("Admin on {shown}"));
            let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
            tokio::spawn(async move {
                let serve = move |conn| serve(conn, Arc::clone(&state));
                if let Err(failure) = acceptor.run(listener, serve, pending()).await {
                    error!("cannot serve {shown}: {failure:#}");
                }
            });
        }
        tokio::spawn(history::sample(state));
        Running { _files: files }
    }
}

/// Answers one request.
async fn serve(conn: Accepted, state: Arc<State>) {
    let Conn { stream, info } = conn;
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(request, &info, &state))));
    let mut library = http1::Builder::new();
    library.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection =
        library.keep_alive(false).half_close(true).serve_connection(TokioIo::new(stream), service);
    let served = poll_fn(|context| connection.poll_without_shutdown(context));
    // Whatever has come of it, the client may still read what it was sent.
    if timeout(CONNECTION_TIMEOUT, served).await.is_ok() {
        linger::close(connection.into_parts().io.into_inner(), Patience::WithUnread).await;
    }
}

/// The answer to a request.
fn answer(mut request: Request<Incoming>, info: &ConnInfo, state: &State) -> Response<Full<Bytes>> {
    // On a loopback address, a page of another site must not read this by way of its own name (DNS rebinding).
    let is_own = |host: Option<Host<'_>>, _: &str| match host {
        Some(host) if info.reach == Reach::Loopback && !host.is_loopback() => Err(NoSite::NotAllowed),
        _ => Ok(()),
    };
    if let Err(refusal) = check(&mut request, &Scheme::HTTP, is_own) {
        return refused(&refusal, info.reach);
    }
    match Route::of(request.method(), request.uri().path()) {
        Route::Metrics => answer_with(StatusCode::OK, text::MEDIA_TYPE, metrics::render(state)),
        Route::Health => plain(StatusCode::OK, "ok\n"),
        Route::Ready if state.is_ready() => plain(StatusCode::OK, "ready\n"),
        Route::Ready => plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        Route::Status => {
            let nonce = page::Nonce::new();
            let html = page::render(&state.status(), &nonce);
            let mut response = answer_with(StatusCode::OK, "text/html; charset=utf-8", html);
            if let Ok(policy) = HeaderValue::try_from(nonce.policy()) {
                response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            }
            response
        }
        Route::StatusJson => match serde_json::to_string(&state.status()) {
            Ok(json) => answer_with(StatusCode::OK, "application/json", json),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        Route::Root => {
            let mut response = plain(StatusCode::FOUND, "see /status\n");
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/status"));
            response
        }
        Route::Unknown => {
            plain(StatusCode::NOT_FOUND, "here are /metrics, /healthz, /readyz, /status and /status.json\n")
        }
        Route::NotRead => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    }
}

/// The answer to a request that the check has refused.
fn refused(refusal: &Refusal, reach: Reach) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::Misdirected(_) if reach == Reach::Loopback => plain(
            refusal.status(),
            "ask for this by `localhost` or a loopback address: pages of other sites may not read it\n",
        ),
        _ => refusal.answer(&http::Method::GET).map(Full::new),
    }
}

fn plain(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    answer_with(status, "text/plain; charset=utf-8", body.to_owned())
}

fn answer_with(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, NO_DOCUMENT);
    response
}
