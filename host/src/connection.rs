//! HTTP/1.1 on one connection: keep-alive and pipelining, time limits, an orderly end.

use crate::access_log::{AccessLog, Logged};
use crate::dispatch::Dispatcher;
use crate::linger::Lent;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tracing::debug;

/// How long a client may take for the head of a request, counted from the end of the last one: it bounds idle
/// connections as well as slow ones.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The longest request head, in bytes; a longer one is a 431. Browsers stay below 16 KiB even with many cookies.
const LONGEST_HEAD: usize = 64 * 1024;

/// What a connection reads ahead and holds back for a slow client, in bytes, apart from the piece of a body that is
/// being sent.
const BUFFER: usize = 128 * 1024;

/// Everything that connections share.
pub struct Connections {
    http: http1::Builder,
    dispatcher: Dispatcher,
    log: Option<AccessLog>,
}

impl Connections {
    /// Connections whose requests go to `dispatcher`, and to the log if there is one.
    pub fn new(dispatcher: Dispatcher, log: Option<AccessLog>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_header_size(LONGEST_HEAD)
            .max_buf_size(BUFFER);
        Self { http, dispatcher, log }
    }

    /// Serves a connection until either side ends it; once `stopping` turns true, until the answer under way is sent.
    pub async fn serve<S>(self: Arc<Self>, stream: S, peer: IpAddr, mut stopping: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| async {
            let entry = self.log.as_ref().map(|log| log.entry(peer, &request));
            let response = self.dispatcher.respond(request).await;
            let status = response.status().as_u16();
            Ok::<_, Infallible>(response.map(|body| Logged::new(body, entry, status)))
        });
        let (stream, home) = Lent::new(stream);
        let mut connection = Box::pin(self.http.serve_connection(TokioIo::new(stream), service));
        let mut stopped = false;
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = stop(&mut stopping) => {
                stopped = true;
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        drop(connection);
        // An answer that was finished before the server stops was read by whoever wanted it.
        if !stopped || outcome.is_err() {
            home.drain().await;
        }
        // A client that goes away or talks nonsense is its own business.
        if let Err(error) = outcome {
            debug!("connection of {peer}: {error}");
        }
    }
}

/// Waits until `stopping` turns true, or nobody is left to turn it.
pub async fn stop(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|&stopping| stopping).await;
}
