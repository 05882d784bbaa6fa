//! How many instances live at a time: those that answer requests, for which others wait, and those that are kept in between.

use super::archives::Permit;
use crate::report::metrics::{InstanceCounts, Limit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many requests may wait, as a multiple of the instances: more could hardly be served in time.
const WAITING_PER_INSTANCE: u32 = 4;

/// How many instances are kept between requests at a time. Each has a few hundred kilobytes, and a processor needs one; the
/// others are for requests that wait for something.
const MAX_KEPT: u32 = 64;

/// How many instances there are at a time where at most so many answer requests: the size of the pools.
pub const fn with_kept(instances: u32) -> u32 {
    instances.saturating_add(if instances < MAX_KEPT { instances } else { MAX_KEPT })
}

/// The right to have one instance answer a request, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// Of the site, where it may have fewer than all sites together.
    _of_site: Option<OwnedSemaphorePermit>,
    /// To send an archive, where it does.
    _archive: Option<Permit>,
}

impl Slot {
    /// The same, with the right to send an archive.
    pub(super) fn with_archive(self, permit: Option<Permit>) -> Self {
        Self { _archive: permit, ..self }
    }
}

/// The right to keep one instance, which is to be [given back](Slots::release).
#[derive(Debug)]
#[must_use]
pub(super) struct Kept;

/// The slots of all sites, or of one that may have fewer.
#[derive(Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicU32,
    max_waiting: u32,
    /// How long a request waits.
    max_wait: Duration,
    /// How many more instances may be kept.
    keepable: AtomicU32,
}

impl Slots {
    /// As many slots as `instances`, for which requests wait no longer than this.
    pub fn new(instances: u32, max_wait: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(instances as usize)),
            waiting: AtomicU32::new(0),
            max_waiting: instances.saturating_mul(WAITING_PER_INSTANCE),
            max_wait,
            keepable: AtomicU32::new(with_kept(instances) - instances),
        }
    }

    /// How long a request waits for a slot.
    pub(super) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// A slot, perhaps after a while; `None` when too many requests wait already, or this one has waited for too long. A site
    /// that may have fewer than all sites together has slots `of_site`, too. `counts` has the requests that wait.
    pub(super) async fn take(&self, of_site: Option<&Self>, counts: Option<&InstanceCounts>) -> Option<Slot> {
        let of_site = match of_site {
            Some(slots) => Some(slots.permit(counts).await?),
            None => None,
        };
        Some(Slot { _permit: self.permit(counts).await?, _of_site: of_site, _archive: None })
    }

    async fn permit(&self, counts: Option<&InstanceCounts>) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(permit);
        }
        let Some(_place) = Place::take(self) else {
            Limit::Queue.hit();
            return None;
        };
        let _waiting = counts.map(|counts| counts.waiting.raise());
        let Ok(permit) = timeout(self.max_wait, Arc::clone(&self.free).acquire_owned()).await else {
            Limit::QueueTime.hit();
            return None;
        };
        permit.ok()
    }

    /// The right to keep an instance, unless enough are kept.
    pub(super) fn try_keep(&self) -> Option<Kept> {
        let less = |keepable: u32| keepable.checked_sub(1);
        self.keepable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok().map(|_| Kept)
    }

    /// An instance is not kept any more: it answers a request in a slot, or is gone.
    pub(super) fn release(&self, Kept: Kept) {
        self.keepable.fetch_add(1, Ordering::Relaxed);
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
        let slot = slots.take(None, None).await.unwrap();
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take(None, None).await.is_some() }
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
        let _slot = slots.take(None, None).await.unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move { slots.take(None, None).await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(slots.take(None, None).await.is_none(), "the fifth is turned away at once");
        for waiting in waiting {
            assert!(!waiting.await.unwrap(), "the others after the longest wait");
        }
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_has_no_more_than_its_own_share() {
        let all = Slots::new(2, MAX_WAIT);
        let small = Slots::new(1, MAX_WAIT);
        let slot = all.take(Some(&small), None).await.unwrap();
        assert!(all.take(Some(&small), None).await.is_none(), "it has one");
        let other = all.take(None, None).await.unwrap();
        assert!(all.take(None, None).await.is_none(), "there are two");
        drop(other);
        drop(slot);
        assert!(all.take(Some(&small), None).await.is_some());
    }

    #[test]
    fn few_instances_are_kept() {
        let slots = Slots::new(1_000, MAX_WAIT);
        let kept: Vec<_> = std::iter::from_fn(|| slots.try_keep()).collect();
        assert_eq!(kept.len(), 64);
        for kept in kept {
            slots.release(kept);
        }
        assert!(slots.try_keep().is_some());
        let slots = Slots::new(3, MAX_WAIT);
        assert_eq!(std::iter::from_fn(|| slots.try_keep()).count(), 3);
    }
}
