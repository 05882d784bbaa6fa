//! How many instances live at a time, and which requests wait for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests may wait, as a multiple of the instances: more could hardly be served in time.
const WAITING_PER_INSTANCE: u32 = 4;

/// The right to have one instance, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// The slots of a component.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicU32,
    max_waiting: u32,
    /// How long a request waits.
    max_wait: Duration,
}

impl Slots {
    /// As many slots as `instances`, for which requests wait no longer than this.
    pub(super) fn new(instances: u32, max_wait: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(instances as usize)),
            waiting: AtomicU32::new(0),
            max_waiting: instances.saturating_mul(WAITING_PER_INSTANCE),
            max_wait,
        }
    }

    /// A slot, if one is free.
    pub(super) fn try_take(&self) -> Option<Slot> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|permit| Slot { _permit: permit })
    }

    /// A slot, perhaps after a while; `None` when too many requests wait already, or this one has waited for too long.
    pub(super) async fn take(&self) -> Option<Slot> {
        if let Some(slot) = self.try_take() {
            return Some(slot);
        }
        let _place = Place::take(self)?;
        let permit =
            tokio::time::timeout(self.max_wait, Arc::clone(&self.free).acquire_owned()).await.ok()?;
        permit.ok().map(|permit| Slot { _permit: permit })
    }
}

/// A place in the queue, given up also when the client leaves.
struct Place<'a>(&'a Slots);

impl<'a> Place<'a> {
    fn take(slots: &'a Slots) -> Option<Self> {
        let place = Self(slots);
        // Counted first and compared then, so that two requests cannot take the last place.
        (slots.waiting.fetch_add(1, Ordering::Relaxed) < slots.max_waiting).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    const MAX_WAIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_freed_slot_goes_to_a_request_that_waits() {
        let slots = Arc::new(Slots::new(1, MAX_WAIT));
        let slot = slots.take().await.unwrap();
        assert!(slots.try_take().is_none());
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await.is_some() }
        });
        tokio::task::yield_now().await;
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 1);
        drop(slot);
        assert!(waiting.await.unwrap());
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_bounded_in_number_and_in_time() {
        let slots = Arc::new(Slots::new(1, MAX_WAIT));
        let _slot = slots.take().await.unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move { slots.take().await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(slots.take().await.is_none(), "the fifth is turned away at once");
        for waiting in waiting {
            assert!(!waiting.await.unwrap(), "the others after the longest wait");
        }
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }
}
