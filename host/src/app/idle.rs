//! Instances that have answered a request and may answer another one.

use super::slots::Slots;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long an instance is kept that no request needs: longer than the pauses of a page that is loading.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// How many instances are kept at a time. Each has a few hundred kilobytes, and a processor needs one; the others are for
/// requests that wait for something.
const MAX_KEPT: usize = 64;

/// How long to wait when an instance cannot be dropped because all slots are taken.
const RETRY: Duration = Duration::from_secs(1);

/// Instances at rest.
#[derive(Debug)]
pub(super) struct Idle<T> {
    list: Arc<Mutex<List<T>>>,
    slots: Weak<Slots>,
}

#[derive(Debug)]
struct List<T> {
    /// The one that was used last at the end.
    instances: VecDeque<(Instant, T)>,
    /// Whether a task looks after them.
    has_keeper: bool,
}

impl<T: Send + 'static> Idle<T> {
    /// No instances yet. All together, idle or not, are no more than the slots.
    pub(super) fn new(slots: &Arc<Slots>) -> Self {
        let list = List { instances: VecDeque::new(), has_keeper: false };
        Self { list: Arc::new(Mutex::new(list)), slots: Arc::downgrade(slots) }
    }

    fn lock(&self) -> MutexGuard<'_, List<T>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last: most of what it needs is still in the processor's caches.
    pub(super) fn take(&self) -> Option<T> {
        self.lock().instances.pop_back().map(|(_, instance)| instance)
    }

    /// Keeps one, until it is taken or its time is up. It is dropped if enough are kept already.
    pub(super) fn keep(&self, instance: T) {
        let mut list = self.lock();
        if list.instances.len() >= MAX_KEPT {
            // Dropping it takes a while, in which others want the list.
            drop(list);
            drop(instance);
            return;
        }
        list.instances.push_back((Instant::now(), instance));
        // One task looks after all of them, for as long as there are any. Without a runtime the process is ending.
        if !list.has_keeper
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            list.has_keeper = true;
            runtime.spawn(Self { list: Arc::clone(&self.list), slots: self.slots.clone() }.look_after());
        }
    }

    /// Drops those whose time is up, until there are none.
    async fn look_after(self) {
        loop {
            let oldest = {
                let mut list = self.lock();
                let oldest = list.instances.front().map(|(since, _)| *since);
                list.has_keeper = oldest.is_some();
                oldest
            };
            let Some(since) = oldest else { return };
            tokio::time::sleep_until(since + MAX_IDLE).await;
            while let Some(since) = self.oldest().filter(|since| since.elapsed() >= MAX_IDLE) {
                // To drop an instance takes a while, in which it still counts: the pool has no place for another one.
                let Some(slots) = self.slots.upgrade() else { return };
                let Some(_slot) = slots.try_take() else {
                    tokio::time::sleep(RETRY).await;
                    continue;
                };
                let expired = {
                    let mut list = self.lock();
                    // It may have been taken meanwhile.
                    let is_same = list.instances.front().is_some_and(|(oldest, _)| *oldest == since);
                    if is_same { list.instances.pop_front() } else { None }
                };
                drop(expired);
            }
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.lock().instances.front().map(|(since, _)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::{Idle, MAX_IDLE, MAX_KEPT};
    use std::sync::{Arc, Weak};
    use std::time::Duration;
    use tokio::runtime::Handle;

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_taken_first_and_the_others_leave_in_time() {
        let slots = Arc::new(Slots::new(3, Duration::ZERO));
        let idle = Idle::new(&slots);
        let instances: Vec<Arc<u8>> = (0..3).map(Arc::new).collect();
        let watched: Vec<Weak<u8>> = instances.iter().map(Arc::downgrade).collect();
        let alive = || watched.iter().map(Weak::strong_count).collect::<Vec<_>>();
        for instance in instances {
            idle.keep(instance);
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
        tokio::time::sleep(MAX_IDLE * 2).await;
        assert_eq!(Arc::strong_count(&late), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_kept_than_are_useful() {
        let slots = Arc::new(Slots::new(1_000, Duration::ZERO));
        let idle = Idle::new(&slots);
        let instance = Arc::new(());
        for _ in 0..MAX_KEPT + 10 {
            idle.keep(Arc::clone(&instance));
        }
        assert_eq!(Arc::strong_count(&instance), MAX_KEPT + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_looks_after_them_however_often_they_are_used() {
        let slots = Arc::new(Slots::new(1, Duration::ZERO));
        let idle = Idle::new(&slots);
        let before = Handle::current().metrics().num_alive_tasks();
        for request in 0..1_000 {
            idle.keep(request);
            assert_eq!(idle.take(), Some(request));
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before + 1);
        tokio::time::sleep(MAX_IDLE * 2).await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_holds_a_slot_meanwhile() {
        let slots = Arc::new(Slots::new(1, Duration::ZERO));
        let idle = Idle::new(&slots);
        let instance = Arc::new(());
        idle.keep(Arc::clone(&instance));
        let slot = slots.take().await.unwrap();
        tokio::time::sleep(MAX_IDLE * 2).await;
        assert_eq!(Arc::strong_count(&instance), 2, "a request has the only slot and may want it");
        drop(slot);
        tokio::time::sleep(MAX_IDLE).await;
        assert_eq!(Arc::strong_count(&instance), 1);
    }
}
