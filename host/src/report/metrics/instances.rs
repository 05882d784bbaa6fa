//! The instances of a site: where they came from, and how many work.

use super::counter::Counter;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is counted of the instances of a site.
#[derive(Debug, Default)]
pub struct InstanceCounts {
    /// Instances that were made.
    pub created: Counter,
    /// Instances that were put back into their initial state after a request, to answer another one.
    pub restored: Counter,
    /// Instances that work for a request.
    pub in_use: Level,
    /// Requests that wait for an instance.
    pub waiting: Level,
}

/// A number of things that are there.
#[derive(Debug, Default)]
pub struct Level(AtomicU32);

impl Level {
    /// One more, until what this gives is dropped.
    pub fn raise(&self) -> Raised<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Raised(self)
    }

    /// How many there are.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of the things of a [`Level`].
#[derive(Debug)]
pub struct Raised<'a>(&'a Level);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
