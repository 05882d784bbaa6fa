//! A connection, in whichever version of HTTP its client speaks.
//!
//! A client of HTTP/2 says so in the first bytes that it sends, which are no head of HTTP/1.1. So the connection begins
//! with HTTP/1.1, to which this costs nothing, and goes on with HTTP/2 where the first head turns out to be its preface.

use super::check::Names;
use super::http1::Http1;
use super::http2::Http2;
use super::shutdown::{Known, Phase, may_have_changed, reached};
use crate::app::App;
use crate::config::ClientTimes;
use crate::net::conn::{Conn, Stream};
use crate::report::Report;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::watch;
use tokio::task::coop::unconstrained;

/// Everything that connections share.
pub struct Connections {
    pub(super) app: Arc<App>,
    pub(super) names: Names,
    pub(super) report: Report,
    pub(super) times: ClientTimes,
    pub(super) http1: Http1,
    pub(super) http2: Http2,
}

/// How much there may be at a time, and of a request.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of a head.
    pub head: usize,
    /// Fields of a head.
    pub fields: usize,
    /// Connections.
    pub connections: usize,
    /// Instances of the component.
    pub instances: u32,
}

impl Connections {
    /// Connections whose requests `app` answers, as far as they are for one of `names` and come in time.
    pub fn new(app: Arc<App>, names: Names, report: Report, times: ClientTimes, room: Room) -> Self {
        let (http1, http2) = (Http1::new(room), Http2::new(room));
        Self { app, names, report, times, http1, http2 }
    }

    /// Serves a connection until either side ends it. Once the server drains, it ends with the answers under way; once
    /// the server cuts, at once.
    pub async fn serve<S: Stream>(self: Arc<Self>, conn: Conn<S>, mut phase: watch::Receiver<Phase>) {
        let (since, mut cut) = (phase.clone(), phase.clone());
        let mut cut = pin!(unconstrained(reached(&mut cut, Phase::Cutting)));
        let mut known = Known::default();
        let mut serving = pin!(self.serve_http1(conn, &mut phase));
        poll_fn(|context| {
            let is_due = known.is_new(context) || may_have_changed(&since);
            if is_due && cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            serving.as_mut().poll(context)
        })
        .await;
    }
}
