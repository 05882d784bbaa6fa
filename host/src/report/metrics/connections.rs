//! Connections: how many were accepted, how many are open, and how many of those wait for a request.

use super::counter::Counter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections of a server.
#[derive(Debug)]
pub struct ConnectionCounts {
    most: usize,
    accepted: Counter,
    open: Arc<AtomicUsize>,
    idle: Arc<AtomicUsize>,
}

/// Connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Those that a request is being read from or answered on, or that have had one in the last second.
    pub active: usize,
    /// The others.
    pub idle: usize,
}

impl ConnectionCounts {
    /// No connections yet, of which `most` may be open at a time.
    pub fn new(most: usize) -> Self {
        Self { most, accepted: Counter::new(), open: Arc::default(), idle: Arc::default() }
    }

    /// One more was accepted, and is open until what this gives is dropped.
    pub fn accept(&self) -> Held {
        self.accepted.increment();
        let mut held = Held { count: Arc::clone(&self.open), is_counted: false };
        held.set(true);
        held
    }

    /// How many were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// How many may be open at a time.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many are open.
    pub fn open(&self) -> Open {
        let open = self.open.load(Ordering::Relaxed);
        let idle = self.idle.load(Ordering::Relaxed).min(open);
        Open { active: open - idle, idle }
    }

    /// Counts one as idle, whenever that is set.
    pub fn idle(&self) -> Held {
        Held { count: Arc::clone(&self.idle), is_counted: false }
    }
}

/// A connection in a count, until this is dropped.
#[derive(Debug)]
pub struct Held {
    count: Arc<AtomicUsize>,
    is_counted: bool,
}

impl Held {
    /// Whether it counts.
    pub fn set(&mut self, counts: bool) {
        if counts == std::mem::replace(&mut self.is_counted, counts) {
            return;
        }
        if counts {
            self.count.fetch_add(1, Ordering::Relaxed);
        } else {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionCounts, Open};

    #[test]
    fn open_connections_are_idle_or_active() {
        let counts = ConnectionCounts::new(3);
        let open = [(); 2].map(|()| counts.accept());
        assert_eq!(counts.open(), Open { active: 2, idle: 0 });
        let mut idle = counts.idle();
        for is_idle in [true, true, false, true] {
            idle.set(is_idle);
            assert_eq!(counts.open().idle, usize::from(is_idle));
        }
        drop(idle);
        assert_eq!(counts.open(), Open { active: 2, idle: 0 });
        drop(open);
        assert_eq!((counts.open(), counts.accepted(), counts.most()), (Open { active: 0, idle: 0 }, 2, 3));
    }
}
