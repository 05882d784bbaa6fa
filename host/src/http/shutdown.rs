//! How the server stops.

use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::watch;

/// How long a server that drains waits for the first request of a connection that it has accepted. Clients connect when
/// they have one to send. If its connection were closed, and the next one too, they would give up.
pub const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It serves, tells that it will stop, and has its clients move to other connections.
    Leaving,
    /// It takes no more connections and requests, and finishes answers.
    Draining,
    /// Its time is up.
    Cutting,
}

/// Waits until the server has come to this phase, or is gone.
pub async fn reached(current: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = current.wait_for(|&current| current >= phase).await;
}

/// Whether the phase may have changed since this receiver was made, or the server is gone. This is one atomic load, where
/// polling [`reached`] takes locks.
pub fn may_have_changed(since: &watch::Receiver<Phase>) -> bool {
    since.has_changed().unwrap_or(true)
}

/// The waker that timers and others know, which wake a connection for other reasons than its client does. As long as it
/// is the same one, they need not be polled again each time that the client sends or takes something.
#[derive(Debug, Default)]
pub struct Known(Option<Waker>);

impl Known {
    /// Whether they have to be polled so that they know the waker of this context, too. The caller polls them then, without
    /// a budget: a poll that tokio's budget ends does not leave the waker there.
    pub fn is_new(&mut self, context: &Context<'_>) -> bool {
        if self.0.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            return false;
        }
        self.0 = Some(context.waker().clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Phase, may_have_changed};
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    use tokio::sync::watch;

    struct Nothing;

    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn another_waker_is_new_once() {
        let [one, other] = [(); 2].map(|()| Waker::from(Arc::new(Nothing)));
        let mut known = Known::default();
        let news = [&one, &one, &other, &other, &one].map(|waker| known.is_new(&Context::from_waker(waker)));
        assert_eq!(news, [true, false, true, false, true]);
    }

    #[test]
    fn a_change_of_phase_shows_and_so_does_the_end() {
        let (sender, receiver) = watch::channel(Phase::Serving);
        assert!(!may_have_changed(&receiver));
        sender.send(Phase::Draining).unwrap();
        assert!(may_have_changed(&receiver));
        let later = receiver.clone();
        drop(sender);
        assert!(may_have_changed(&later));
    }
}
