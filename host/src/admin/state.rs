//! What the admin listener has to tell, wherever it is kept.

use super::history::History;
use super::process::Process;
use super::status::Status;
use crate::app::App;
use crate::app::sites::Live;
use crate::http::shutdown::Phase;
use crate::report::metrics::{ConnectionCounts, Metrics};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What there is to tell.
pub struct State {
    /// The metrics of all sites that there have been.
    pub metrics: Arc<Metrics>,
    /// The connections of all listeners.
    pub connections: Arc<ConnectionCounts>,
    sites: Arc<Live>,
    /// The process.
    pub process: Process,
    phase: watch::Receiver<Phase>,
    history: Mutex<History>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl State {
    /// The state of a server that is about to serve.
    pub fn new(
        metrics: Arc<Metrics>,
        connections: Arc<ConnectionCounts>,
        sites: Arc<Live>,
        process: Process,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self { metrics, connections, sites, process, phase, history: Mutex::default() }
    }

    /// The sites that there are now.
    pub fn sites(&self) -> Vec<Arc<App>> {
        self.sites.apps()
    }

    /// Whether the server should be sent requests.
    pub fn is_ready(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// The last minutes.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A summary.
    pub(super) fn status(&self) -> Status {
        Status::of(self)
    }
}
