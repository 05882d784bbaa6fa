//! Counters: numbers that only grow, added to by all threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. Threads that add to it at the same time take its cache line from each other, which costs less
/// than a counter for each thread that has to be found first.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
