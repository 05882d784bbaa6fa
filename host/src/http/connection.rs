//! What all connections share, and the life of one.

use super::check::Names;
use super::http1::Http1;
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
}

impl Connections {
    /// Connections whose requests `app` answers, as far as they are for one of `names` and come in time.
    pub fn new(app: Arc<App>, names: Names, report: Report, times: ClientTimes) -> Self {
        Self { app, names, report, times, http1: Http1::new() }
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
