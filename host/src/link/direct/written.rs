//! Which blocks of a memory were written to since it was in its initial state: by the guest, which [marks] them, and by the host.
//!
//! [marks]: crate::component::rewrite::marks

use crate::component::rewrite::marks::{BLOCK_BYTES, SPILL_BYTES};
use std::ops::Range;

/// The largest memory whose blocks are told apart, in bytes.
pub const TRACKED_BYTES_MAX: usize = 256 * 1024;

const WORDS: usize = TRACKED_BYTES_MAX / BLOCK_BYTES / 64;

/// The blocks that were written to, a bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Written([u64; WORDS]);

impl Written {
    /// The host has written these bytes. What is beyond [`TRACKED_BYTES_MAX`] is in no memory that is restored.
    pub(super) fn note(&mut self, address: usize, length: usize) {
        let last = address.saturating_add(length.saturating_sub(1)) / BLOCK_BYTES;
        for block in address / BLOCK_BYTES..=last.min(WORDS * 64 - 1) {
            self.set(block);
        }
    }

    /// The guest has written to the blocks whose marks are set: one byte each, 0 or 1. The marks are cleared.
    pub(super) fn take(&mut self, marks: &mut [u8]) {
        for (word, marks) in self.0.iter_mut().zip(marks.as_chunks_mut::<64>().0) {
            for (at, marks) in marks.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let all = u64::from_le_bytes(*marks);
                if all != 0 {
                    *word |= gathered(all) << (at * 8);
                    *marks = [0; 8];
                }
            }
        }
    }

    fn set(&mut self, block: usize) {
        if let Some(word) = self.0.get_mut(block / 64) {
            *word |= 1 << (block % 64);
        }
    }

    /// The bytes of a memory of this length that may have changed, adjacent blocks mostly together.
    pub(super) fn ranges(&self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        let runs = words.flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let start = rest.trailing_zeros();
                let count = rest.checked_shr(start)?.trailing_ones();
                let end = start + count;
                rest &= u64::MAX.checked_shl(end).unwrap_or(0);
                Some((at * 64 + start as usize) * BLOCK_BYTES..(at * 64 + end as usize) * BLOCK_BYTES)
            })
        });
        runs.map(move |run| run.start..(run.end + SPILL_BYTES).min(length))
            .take_while(|range| !range.is_empty())
    }
}

/// The lowest bit of each of eight bytes.
fn gathered(bytes: u64) -> u64 {
    (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, TRACKED_BYTES_MAX, WORDS, Written};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_that_was_written_is_in_the_ranges(
            by_host in prop::collection::vec((0..TRACKED_BYTES_MAX, 0..5_000_usize), 0..6),
            by_guest in prop::collection::vec(0..TRACKED_BYTES_MAX, 0..20),
            pages in 1..=4_usize,
        ) {
            let length = pages * 65_536;
            let mut memory = vec![0_u8; length];
            let mut written = Written::default();
            for (address, count) in by_host {
                written.note(address, count);
                memory.iter_mut().skip(address).take(count).for_each(|byte| *byte = 1);
            }
            let mut marks = vec![0; 1 << 16];
            for address in by_guest {
                marks[address / BLOCK_BYTES] = 1;
                memory.iter_mut().skip(address).take(16).for_each(|byte| *byte = 1);
            }
            written.take(&mut marks);
            prop_assert!(marks.iter().all(|mark| *mark == 0));
            let mut end = 0;
            for range in written.ranges(length) {
                prop_assert!(range.start >= end || end - range.start <= 15);
                end = range.end;
                memory[range].fill(0);
            }
            prop_assert!(memory.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn what_no_memory_has_is_passed_over() {
        let mut written = Written::default();
        written.note(usize::MAX - 1, 100);
        written.note(TRACKED_BYTES_MAX, 1);
        assert_eq!(written.ranges(TRACKED_BYTES_MAX).count(), 0);
        written.note(TRACKED_BYTES_MAX - 1, usize::MAX);
        let last = TRACKED_BYTES_MAX - BLOCK_BYTES..TRACKED_BYTES_MAX;
        assert_eq!(written.ranges(TRACKED_BYTES_MAX).collect::<Vec<_>>(), [last]);
        assert_eq!(WORDS * 64 * BLOCK_BYTES, TRACKED_BYTES_MAX);
        assert_eq!(Written::default().ranges(1).count(), 0);
    }
}
