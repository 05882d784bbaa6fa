//! What one connection may take of what all connections share.
//!
//! With HTTP/1.1 a connection has one request at a time. With HTTP/2 it may have a hundred. It must not take every
//! instance, all of them together must not take every file that the process may open, and what waits for its socket must
//! not take all the memory.

use crate::app::NoAnswer;
use crate::body::scarcity;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The part of all instances that one connection may have, as a divisor: four greedy connections leave nothing to others,
/// as do four times as many connections of HTTP/1.1 as there are instances.
const PART: u32 = 4;

/// Bytes of bodies of one connection that may wait for its socket: enough to fill it whenever it has room.
const MAX_WAITING: usize = 256 * 1024;

/// How many times as much bytes count while memory is scarce, so that a connection has 16 KiB of them.
const SCARCE_WEIGHT: usize = 16;

/// The share of one connection.
pub(super) struct Share {
    /// The request that each connection may have in any case.
    first: Arc<Semaphore>,
    /// Further requests, of all connections.
    further: Arc<Semaphore>,
    instances: Arc<Semaphore>,
    /// How long a request waits for one of them.
    max_wait: Duration,
    bytes: Arc<Semaphore>,
}

/// The right to something, until it is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

impl Share {
    /// The share of a connection, where there are so many instances, for which requests wait no longer than `max_wait`.
    /// `further` is for requests of all connections beyond one for each.
    pub(super) fn new(instances: u32, max_wait: Duration, further: Arc<Semaphore>) -> Self {
        let part = (instances / PART).max(1);
        Self {
            first: Arc::new(Semaphore::new(1)),
            further,
            instances: Arc::new(Semaphore::new(part as usize)),
            max_wait,
            bytes: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// The right to have a request in flight. Without it, nothing of the request may stay in memory.
    pub(super) fn admit(&self) -> Option<Permit> {
        let first = Arc::clone(&self.first).try_acquire_owned();
        first.or_else(|_| Arc::clone(&self.further).try_acquire_owned()).ok()
    }

    /// The right to have an instance, perhaps after a while.
    pub(super) async fn instance(&self) -> Result<Permit, NoAnswer> {
        let permit = timeout(self.max_wait, Arc::clone(&self.instances).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(NoAnswer::Busy(self.max_wait))
    }

    /// The right to have bytes wait for the socket: some of `wanted`, perhaps after a while. `None` never comes.
    pub(super) async fn bytes(&self, wanted: usize) -> Option<(usize, Permit)> {
        let (granted, weight) = match scarcity() {
            Some(most) => (wanted.min(most), SCARCE_WEIGHT),
            None => (wanted, 1),
        };
        let count = u32::try_from((granted * weight).min(MAX_WAITING)).ok()?;
        let permit = Arc::clone(&self.bytes).acquire_many_owned(count).await.ok()?;
        Some((granted, permit))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WAITING, Share};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Semaphore;

    const MAX_WAIT: Duration = Duration::from_secs(5);

    fn share(instances: u32, further: usize) -> Share {
        Share::new(instances, MAX_WAIT, Arc::new(Semaphore::new(further)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_takes_a_part_of_the_instances_only() {
        let share = share(8, 0);
        let first = share.instance().await.unwrap();
        let _second = share.instance().await.unwrap();
        assert!(share.instance().await.is_err());
        drop(first);
        assert!(share.instance().await.is_ok());
    }

    #[test]
    fn each_connection_may_have_a_request_and_all_together_some_more() {
        let further = Arc::new(Semaphore::new(2));
        let [one, other] = [(); 2].map(|()| Share::new(1, MAX_WAIT, Arc::clone(&further)));
        let held: Vec<_> = (0..3).map(|_| one.admit().unwrap()).collect();
        assert!(one.admit().is_none());
        let first = other.admit().unwrap();
        assert!(other.admit().is_none());
        drop(held);
        assert!(other.admit().is_some());
        drop(first);
    }

    #[tokio::test]
    async fn bytes_wait_for_those_before_them() {
        let share = share(1, 0);
        let (granted, held) = share.bytes(MAX_WAITING).await.unwrap();
        assert_eq!(granted, MAX_WAITING);
        let mut waiting = Box::pin(share.bytes(1));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        assert_eq!(waiting.await.unwrap().0, 1);
    }
}
