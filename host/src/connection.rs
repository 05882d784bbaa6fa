//! HTTP/1.1 on one connection: keep-alive and pipelining, time limits, an orderly end.

use crate::access_log::{AccessLog, Logged};
use crate::dispatch::Dispatcher;
use crate::lane::SocketFiles;
use crate::linger::{Lent, Patience};
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
            .max_buf_size(BUFFER)
            // A client that has sent its request may say that it sends no more, and still wants its answer.
            .half_close(true)
            // Bytes are never copied together: some only stand for files.
            .writev(true);
        Self { http, dispatcher, log }
    }

    /// Serves a connection until either side ends it; with `files`, by a socket that sends those itself. Once the server drains, it ends with the answer under way; once the
    /// server cuts, at once.
    pub async fn serve<S>(
        self: Arc<Self>,
        stream: S,
        files: Option<SocketFiles>,
        peer: IpAddr,
        mut phase: watch::Receiver<Phase>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut cut = phase.clone();
        tokio::select! {
            () = self.serve_in_order(stream, files.as_ref(), peer, &mut phase) => {}
            () = reach(&mut cut, Phase::Cutting) => {}
        }
    }

    async fn serve_in_order<S>(
        &self,
        stream: S,
        files: Option<&SocketFiles>,
        peer: IpAddr,
        phase: &mut watch::Receiver<Phase>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| async {
            let entry = self.log.as_ref().map(|log| log.entry(peer, &request));
            let response = self.dispatcher.respond(request, files).await;
            let status = response.status().as_u16();
            Ok::<_, Infallible>(response.map(|body| Logged::new(body, entry, status)))
        });
        let (stream, home) = Lent::new(stream);
        let mut connection = Box::pin(self.http.serve_connection(TokioIo::new(stream), service));
        let mut draining = false;
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = reach(phase, Phase::Draining) => {
                draining = true;
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        drop(connection);
        // A client that goes away or talks nonsense is its own business.
        if let Err(error) = &outcome {
            debug!("connection of {peer}: {error}");
        }
        // A server that stops does not wait for clients that have sent nothing more.
        home.close(if draining && outcome.is_ok() { Patience::WithUnread } else { Patience::WithAll }).await;
    }
}

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It takes no further connections and requests, and finishes answers.
    Draining,
    /// Its time is up.
    Cutting,
}

/// Waits until the server has come to this phase, or is gone.
pub async fn reach(current: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = current.wait_for(|&current| current >= phase).await;
}
