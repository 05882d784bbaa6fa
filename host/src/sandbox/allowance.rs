//! Limits the growth of one instance's memories and tables.

use crate::engine::sizes::Sizes;
use crate::report::metrics::Limit;
use wasmtime::ResourceLimiter;

/// How far an instance may still grow.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Bytes that all its memories together may grow by.
    memory: usize,
    /// Elements that each of its tables may have.
    table: usize,
    /// Whether a growth was denied.
    exceeded: bool,
}

impl Allowance {
    pub(super) fn new(sizes: &Sizes) -> Self {
        Self { memory: sizes.memory, table: sizes.table, exceeded: false }
    }

    /// A memory of this size, in bytes, is not the guest's, and does not count.
    pub fn return_memory(&mut self, bytes: usize) {
        self.memory = self.memory.saturating_add(bytes);
    }

    /// Whether a growth was denied.
    pub fn was_exceeded(&self) -> bool {
        self.exceeded
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let left = self.memory.checked_sub(desired.saturating_sub(current));
        // A growth that is allowed here and fails in the runtime stays counted: the guest is close to its limit anyway.
        self.memory = left.unwrap_or(self.memory);
        if left.is_none() {
            self.exceeded = true;
            Limit::Memory.hit();
        }
        Ok(left.is_some())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table;
        if !allowed {
            self.exceeded = true;
            Limit::Table.hit();
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::Allowance;
    use wasmtime::ResourceLimiter as _;

    #[test]
    fn all_memories_together_stay_within_the_limit() {
        let mut allowance = Allowance { memory: 100, table: 10, exceeded: false };
        assert!(allowance.memory_growing(0, 60, None).unwrap());
        assert!(!allowance.memory_growing(0, 50, None).unwrap());
        assert!(allowance.memory_growing(60, 100, None).unwrap());
        assert!(!allowance.memory_growing(100, 101, None).unwrap());
        assert!(allowance.was_exceeded());
    }

    #[test]
    fn each_table_stays_within_the_limit() {
        let mut allowance = Allowance { memory: 0, table: 10, exceeded: false };
        assert!(allowance.table_growing(0, 10, None).unwrap());
        assert!(allowance.table_growing(0, 10, None).unwrap());
        assert!(!allowance.was_exceeded());
        assert!(!allowance.table_growing(10, 11, None).unwrap());
    }
}
