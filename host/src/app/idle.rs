//! Instances that have answered a request and may answer another one.

use super::slots::{Kept, Slots};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How long an instance is kept that no request needs: longer than the pauses of a page that is loading.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// Instances at rest.
#[derive(Debug)]
pub(super) struct Idle<T>(Arc<Mutex<List<T>>>);

#[derive(Debug)]
struct List<T> {
    /// The one that was used last at the end.
    instances: VecDeque<(Instant, T, Kept)>,
    /// Whether a task looks after them.
    has_keeper: bool,
    slots: Arc<Slots>,
}

impl<T: Send + 'static> Idle<T> {
    /// No instances yet. Those of all sites together are no more than there are `slots` to keep them in.
    pub(super) fn new(slots: &Arc<Slots>) -> Self {
        let slots = Arc::clone(slots);
        Self(Arc::new(Mutex::new(List { instances: VecDeque::new(), has_keeper: false, slots })))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        lock(&self.0).instances.len()
    }

    /// The one that was used last: most of what it needs is still in the processor's caches.
    pub(super) fn take(&self) -> Option<T> {
        let mut list = lock(&self.0);
        let (_, instance, kept) = list.instances.pop_back()?;
        list.slots.release(kept);
        Some(instance)
    }

    /// Keeps one, until it is taken or its time is up. It is dropped if enough are kept already.
    pub(super) fn keep(&self, instance: T) {
        let mut list = lock(&self.0);
        let Some(kept) = list.slots.try_keep() else {
            // Dropping it takes a while, in which others want the list.
            drop(list);
            drop(instance);
            return;
        };
        list.instances.push_back((Instant::now(), instance, kept));
        // One task looks after all of them, for as long as there are any. Without a runtime the process is ending.
        if !list.has_keeper
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            list.has_keeper = true;
            runtime.spawn(look_after(Arc::downgrade(&self.0)));
        }
    }
}

fn lock<T>(list: &Mutex<List<T>>) -> MutexGuard<'_, List<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops instances whose time is up, until there are none, or their site is gone.
async fn look_after<T>(list: Weak<Mutex<List<T>>>) {
    loop {
        let oldest = {
            let Some(list) = list.upgrade() else { return };
            let mut list = lock(&list);
            let oldest = list.instances.front().map(|(since, ..)| *since);
            list.has_keeper = oldest.is_some();
            oldest
        };
        let Some(since) = oldest else { return };
        tokio::time::sleep_until(since + MAX_IDLE).await;
        let Some(list) = list.upgrade() else { return };
        loop {
            let mut locked = lock(&list);
            let is_expired = |(since, ..): &(Instant, T, Kept)| since.elapsed() >= MAX_IDLE;
            let Some((_, instance, kept)) = locked.instances.pop_front_if(|oldest| is_expired(oldest)) else {
                break;
            };
            let slots = Arc::clone(&locked.slots);
            // To drop it takes a while, in which it still counts: the pool has no place for another one.
            drop(locked);
            drop(instance);
            slots.release(kept);
        }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        for (_, instance, kept) in self.instances.drain(..) {
            drop(instance);
            self.slots.release(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::{Idle, MAX_IDLE};
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
        let slots = Arc::new(Slots::new(3, Duration::ZERO));
        let [idle, other] = [(); 2].map(|()| Idle::new(&slots));
        let instance = Arc::new(());
        for _ in 0..10 {
            idle.keep(Arc::clone(&instance));
            other.keep(Arc::clone(&instance));
        }
        assert_eq!(Arc::strong_count(&instance), 4, "those of both together");
        drop(idle);
        assert_eq!(Arc::strong_count(&instance), 2);
        for _ in 0..10 {
            other.keep(Arc::clone(&instance));
        }
        assert_eq!(Arc::strong_count(&instance), 4, "what is gone makes room");
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
}
