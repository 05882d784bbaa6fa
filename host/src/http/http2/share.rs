//! What one connection may take of what all connections share.
//!
//! With HTTP/1.1 a connection has one request at a time. With HTTP/2 it may have a hundred, and must not take every
//! instance, nor may all of them take every file that the process may open.

use crate::app::NoAnswer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The part of all instances that one connection may have, as a divisor. Four connections that want all they can get
/// leave nothing to others, as with four times as many connections of HTTP/1.1.
const PART: u32 = 4;

/// How long a request waits for its share: as long as for an instance.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The share of one connection.
pub(super) struct Share {
    instances: Arc<Semaphore>,
    /// Requests in flight of all connections.
    requests: Arc<Semaphore>,
}

/// The right to an answer, until it is dropped.
pub(super) struct Admission {
    /// `None` once the instance is gone.
    instance: Option<OwnedSemaphorePermit>,
    _request: OwnedSemaphorePermit,
}

impl Share {
    /// The share of a connection, where there are so many instances, and `requests` for all connections.
    pub(super) fn new(instances: u32, requests: Arc<Semaphore>) -> Self {
        let part = (instances / PART).max(1);
        Self { instances: Arc::new(Semaphore::new(part as usize)), requests }
    }

    /// Waits until the connection may have one more request answered.
    pub(super) async fn admit(&self) -> Result<Admission, NoAnswer> {
        let waiting = async {
            // The order matters: what waits for an instance of its own connection keeps nothing from others.
            let instance = Arc::clone(&self.instances).acquire_owned().await.ok()?;
            let request = Arc::clone(&self.requests).acquire_owned().await.ok()?;
            Some(Admission { instance: Some(instance), _request: request })
        };
        timeout(MAX_WAIT, waiting).await.ok().flatten().ok_or(NoAnswer::Busy(MAX_WAIT))
    }
}

impl Admission {
    /// The instance that worked for this answer is gone.
    pub(super) fn give_instance_back(&mut self) {
        self.instance = None;
    }
}

#[cfg(test)]
mod tests {
    use super::Share;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn a_connection_takes_a_part_of_the_instances_only() {
        let requests = Arc::new(Semaphore::new(100));
        let share = Share::new(8, Arc::clone(&requests));
        let mut first = share.admit().await.unwrap();
        let _second = share.admit().await.unwrap();
        assert!(share.admit().await.is_err());
        assert!(Share::new(8, requests).admit().await.is_ok(), "another connection has a share of its own");
        first.give_instance_back();
        assert!(share.admit().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_connections_have_a_limit_together() {
        let requests = Arc::new(Semaphore::new(2));
        let shares = [(); 2].map(|()| Share::new(1, Arc::clone(&requests)));
        let mut held = Vec::new();
        for share in &shares {
            let mut admission = share.admit().await.unwrap();
            admission.give_instance_back();
            held.push(admission);
        }
        assert!(shares[0].admit().await.is_err());
        held.clear();
        assert!(shares[0].admit().await.is_ok());
    }
}
