//! Instances that have answered a request and may answer another one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long something is kept that nobody needs: longer than the pauses of a page that is loading.
const LONGEST: Duration = Duration::from_secs(10);

/// Things at rest, the one that was used last at the end.
#[derive(Debug)]
pub(super) struct Idle<T>(Arc<Mutex<VecDeque<(Instant, T)>>>);

impl<T: Send + 'static> Idle<T> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last: most of what it needs is still in the processor's caches.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().pop_back().map(|(_, thing)| thing)
    }

    /// Keeps one, until it is taken or its time is up.
    pub(super) fn keep(&self, thing: T) {
        let mut list = self.lock();
        list.push_back((Instant::now(), thing));
        // One task looks after all of them, for as long as there are any. Without a runtime the process is ending.
        if list.len() == 1
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(Self(Arc::clone(&self.0)).look_after());
        }
    }

    async fn look_after(self) {
        loop {
            let Some(oldest) = self.lock().front().map(|(since, _)| *since) else { return };
            tokio::time::sleep_until(oldest + LONGEST).await;
            let mut list = self.lock();
            let expired = list.iter().take_while(|(since, _)| since.elapsed() >= LONGEST).count();
            let expired: Vec<_> = list.drain(..expired).collect();
            // To drop one may take a while.
            drop(list);
            drop(expired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Idle, LONGEST};
    use std::sync::{Arc, Weak};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_taken_first_and_the_others_leave_in_time() {
        let idle = Idle::new();
        let things: Vec<Arc<u8>> = (0..3).map(Arc::new).collect();
        let watched: Vec<Weak<u8>> = things.iter().map(Arc::downgrade).collect();
        let alive = || watched.iter().map(Weak::strong_count).collect::<Vec<_>>();
        for thing in things {
            idle.keep(thing);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(idle.take().as_deref(), Some(&2));
        assert_eq!(alive(), [1, 1, 0]);
        tokio::time::sleep(Duration::from_millis(7_500)).await;
        assert_eq!(alive(), [0, 1, 0]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(alive(), [0, 0, 0]);
        assert_eq!(idle.take(), None);
        // And again, after there were none.
        let late = Arc::new(3);
        idle.keep(Arc::clone(&late));
        tokio::time::sleep(LONGEST * 2).await;
        assert_eq!(Arc::strong_count(&late), 1);
    }
}
