//! How many bytes of bodies are in memory at a time, over all connections.
//!
//! A client that asks and does not read holds what was buffered for it until it is cut. Thousands of them must not hold
//! gigabytes, and must not keep others from their answers either: beyond the limit, each body gets less ahead, but never
//! nothing.

use bytes::{Buf, Bytes};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all bodies together beyond which each gets [`MIN_AHEAD`] only.
const MAX_HELD: usize = 128 * 1024 * 1024;

/// Bytes that each body may always hold.
const MIN_AHEAD: usize = 4 * 1024;

/// Bytes that bodies hold now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Of `wanted` bytes, how many one body may hold now.
pub(super) fn allowance(wanted: usize) -> usize {
    share(wanted, HELD.load(Ordering::Relaxed))
}

/// Whether bodies hold so much that each may hold a little only, and how many bytes that is.
pub fn scarcity() -> Option<usize> {
    (allowance(usize::MAX) < usize::MAX).then_some(MIN_AHEAD)
}

fn share(wanted: usize, held: usize) -> usize {
    if held > MAX_HELD { wanted.min(MIN_AHEAD) } else { wanted }
}

/// Bytes of a body, counted until they are dropped.
#[derive(Debug)]
pub struct Buffered {
    bytes: Bytes,
    counted: usize,
}

impl Buffered {
    /// Counts bytes that were allocated for a body.
    pub(super) fn counted(bytes: Bytes) -> Self {
        let counted = bytes.len();
        HELD.fetch_add(counted, Ordering::Relaxed);
        Self { bytes, counted }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes at most so many bytes from the beginning. All are counted until the last ones are taken and dropped, because
    /// until then they share one allocation.
    pub(super) fn take(&mut self, most: usize) -> Self {
        let all = self.bytes.len();
        let bytes = self.bytes.split_to(most.min(all));
        let counted = if bytes.len() == all { std::mem::take(&mut self.counted) } else { 0 };
        Self { bytes, counted }
    }

    /// The bytes, no longer counted.
    pub(super) fn into_bytes(mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }
}

impl From<Bytes> for Buffered {
    /// Bytes that are short or shared, and not counted.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, counted: 0 }
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        if self.counted > 0 {
            HELD.fetch_sub(self.counted, Ordering::Relaxed);
        }
    }
}

impl Buf for Buffered {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_HELD, MIN_AHEAD, share};

    #[test]
    fn a_body_gets_less_ahead_when_all_hold_much_and_never_nothing() {
        assert_eq!(share(65_536, MAX_HELD), 65_536);
        assert_eq!(share(65_536, MAX_HELD + 1), MIN_AHEAD);
        assert_eq!(share(10, usize::MAX), 10);
    }
}
