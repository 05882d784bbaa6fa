//! Listening: what each listener does with its connections.

use super::open::OpenedTls;
use crate::config::tls::Tls;
use crate::http::connection::Connections;
use crate::http::redirect::{HTTPS_PORT, Redirect};
use crate::http::shutdown::{FIRST_REQUEST_TIMEOUT, Phase, reached};
use crate::net::Listener;
use crate::net::accept::{Accepted, Acceptor};
use crate::net::listener::Address;
use crate::net::tls::handshake::{Beginning, Handshakes};
use crate::report::stderr;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::error;

/// Accepts connections, which speak TLS, and others, which are redirected to that.
pub(super) fn over_tls(
    listening: &Listening,
    listeners: Vec<Listener>,
    opened: OpenedTls,
    connections: &Arc<Connections>,
    config: Option<Tls>,
) {
    let OpenedTls { handshakes, redirects, about, .. } = opened;
    if let Some(about) = about {
        stderr::line(&about);
    }
    let port = listeners.iter().find_map(|listener| match listener.traits.address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    });
    let over_tls = OverTls {
        handshakes,
        connections: Arc::new(connections.with_hsts(config.and_then(|tls| tls.hsts))),
        refusing: Arc::new(connections.refusing()),
    };
    for listener in listeners {
        let started = format!("Listening on {}", listener.traits);
        listening.over_tls(listener, over_tls.clone());
        stderr::line(&started);
    }
    // Before a unix socket there is a proxy, which has the port that clients know.
    let redirect = Redirect::to_port(port.unwrap_or(HTTPS_PORT));
    let redirecting = Arc::new(connections.redirecting(redirect));
    for listener in redirects {
        let started = format!("Redirecting {} to https:", listener.traits);
        listening.clear(listener, &redirecting);
        stderr::line(&started);
    }
}

/// Accepts connections until the server drains.
pub(super) struct Listening {
    pub(super) acceptor: Acceptor,
    pub(super) phase: watch::Receiver<Phase>,
}

/// What answers where TLS is spoken.
#[derive(Clone)]
struct OverTls {
    handshakes: Handshakes,
    connections: Arc<Connections>,
    /// What answers clients that do not.
    refusing: Arc<Connections>,
}

impl Listening {
    /// Serves clear HTTP.
    pub(super) fn clear(&self, listener: Listener, connections: &Arc<Connections>) {
        let (connections, phase) = (Arc::clone(connections), self.phase.clone());
        let serve = move |conn| Arc::clone(&connections).serve(conn, phase.clone());
        self.accept(listener, serve);
    }

    /// Serves HTTP over TLS.
    fn over_tls(&self, listener: Listener, over_tls: OverTls) {
        let phase = self.phase.clone();
        let serve = move |conn| {
            let (OverTls { handshakes, connections, refusing }, mut phase) =
                (over_tls.clone(), phase.clone());
            async move {
                let mut draining = phase.clone();
                let beginning = tokio::select! {
                    beginning = handshakes.begin(conn) => beginning,
                    // A server that stops does not wait for clients that have not asked for anything, but their first
                    // request may be under way.
                    () = async {
                        reached(&mut draining, Phase::Draining).await;
                        tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
                    } => None,
                };
                match beginning {
                    Some(Beginning::Encrypted(conn)) => connections.serve(conn, phase).await,
                    // In memory of its own: connections with HTTP/1.1 need none of it.
                    Some(Beginning::Http2(conn)) => {
                        Box::pin(connections.serve_http2(conn, Bytes::new(), &mut phase)).await;
                    }
                    Some(Beginning::Clear(conn)) => refusing.serve(conn, phase).await,
                    None => {}
                }
            }
        };
        self.accept(listener, serve);
    }

    fn accept<S, F>(&self, listener: Listener, serve: S)
    where
        S: Fn(Accepted) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let shown = listener.traits.to_string();
        let (acceptor, mut stop) = (self.acceptor.clone(), self.phase.clone());
        tokio::spawn(async move {
            let stop = async move { reached(&mut stop, Phase::Draining).await };
            if let Err(failure) = acceptor.run(listener, serve, stop).await {
                error!("cannot serve {shown}: {failure:#}");
            }
        });
    }
}
