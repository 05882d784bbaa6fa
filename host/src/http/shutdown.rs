//! How the server stops.

use tokio::sync::watch;

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It takes no more connections and requests, and finishes answers.
    Draining,
    /// Its time is up.
    Cutting,
}

/// Waits until the server has come to this phase, or is gone.
pub async fn reached(current: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = current.wait_for(|&current| current >= phase).await;
}
