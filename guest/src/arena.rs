//! The layout of the component's heap: allocations follow each other in an arena, which is part of the initial memory.
//!
//! An instance that answers a single request allocates some kilobytes and ends. Growing its memory would cost more than
//! all of its allocations: system calls when the memory grows, and more when the instance is reset. So allocations are
//! placed one after another in the arena. Once all of them have been freed, as they are between two requests, the next
//! one starts at the beginning again, or behind those that are kept for every request. An allocation that does not fit goes to the standard library's allocator.
//!
//! [`Places`] computes offsets in safe code and touches no memory; the component's `heap` turns them into addresses.

use std::alloc::Layout;

/// The bytes of an arena that are in use. An allocation is named by its offset from the start, and is never empty.
#[derive(Debug)]
pub struct Places {
    size: usize,
    /// The end of the part that may be used until allocations are kept.
    limit: usize,
    /// The offset of the next allocation, before alignment.
    next: usize,
    /// The number of allocations that are not freed yet, without those that are kept.
    live: usize,
    /// Where the allocations begin that are kept.
    kept_from: usize,
    /// Where they end.
    kept: usize,
    /// The number of allocations that were not freed before them.
    live_before: usize,
}

impl Places {
    /// An arena of `size` bytes, all free.
    pub const fn new(size: usize) -> Self {
        Self { size, limit: size, next: 0, live: 0, kept_from: 0, kept: 0, live_before: 0 }
    }

    /// Allocations from now until [`keep`](Self::keep) are to be kept. Leaves all but the first `limit` bytes unused until then, so
    /// that they leave room. Present allocations are freed afterwards.
    pub const fn keep_within(&mut self, limit: usize) {
        (self.kept_from, self.live_before) = (self.next, self.live);
        if limit < self.size {
            self.limit = limit;
        }
    }

    /// Reserves room for an allocation and returns its offset; `None` if it does not fit. The caller aligns the start
    /// of the arena to at least `layout.align()`.
    pub const fn take(&mut self, layout: Layout) -> Option<usize> {
        // Alignments are powers of two, and `next` is at most the size of the arena, so that this does not overflow.
        let offset = (self.next + layout.align() - 1) & !(layout.align() - 1);
        match offset.checked_add(layout.size()) {
            Some(end) if end <= self.limit => {
                self.next = end;
                self.live += 1;
                Some(offset)
            }
            _ => None,
        }
    }

    /// Frees the allocation of `size` bytes at this offset.
    pub const fn free(&mut self, offset: usize, size: usize) {
        self.live -= 1;
        if self.live == 0 {
            self.next = self.kept;
        } else if offset + size == self.next {
            self.next = offset;
        }
    }

    /// Keeps the allocations since [`keep_within`](Self::keep_within), or all, for ever: they are never freed, and others start behind
    /// them again and again.
    pub const fn keep(&mut self) {
        (self.kept, self.live, self.limit) = (self.next, self.live_before, self.size);
    }

    /// Whether the allocation at this offset is kept.
    pub const fn is_kept(&self, offset: usize) -> bool {
        self.kept_from <= offset && offset < self.kept
    }

    /// Resizes the allocation at this offset without moving it. Fails unless it is the last one and fits.
    pub const fn resize(&mut self, offset: usize, old: usize, new: usize) -> bool {
        if offset + old != self.next {
            return false;
        }
        match offset.checked_add(new) {
            Some(end) if end <= self.limit => {
                self.next = end;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Places;
    use proptest::prelude::*;
    use std::alloc::Layout;

    #[derive(Clone, Debug)]
    enum Step {
        Take { size: usize, align: u32 },
        Free(usize),
        Resize { which: usize, new: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..200_usize, 0..5_u32).prop_map(|(size, align)| Step::Take { size, align }),
            2 => any::<usize>().prop_map(Step::Free),
            1 => (any::<usize>(), 1..200_usize).prop_map(|(which, new)| Step::Resize { which, new }),
        ]
    }

    proptest! {
        #[test]
        fn allocations_never_overlap_or_leave_the_arena(steps in proptest::collection::vec(step(), 0..200)) {
            let mut places = Places::new(1_000);
            let mut live: Vec<(usize, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take { size, align } => {
                        let layout = Layout::from_size_align(size, 1 << align).unwrap();
                        if let Some(offset) = places.take(layout) {
                            prop_assert_eq!(offset % layout.align(), 0);
                            live.push((offset, size));
                        } else {
                            prop_assert!(!live.is_empty(), "an empty arena has no room");
                        }
                    }
                    Step::Free(which) if !live.is_empty() => {
                        let (offset, size) = live.swap_remove(which % live.len());
                        places.free(offset, size);
                    }
                    Step::Resize { which, new } if !live.is_empty() => {
                        let at = which % live.len();
                        let (offset, size) = live[at];
                        if places.resize(offset, size, new) {
                            live[at].1 = new;
                        }
                    }
                    Step::Free(_) | Step::Resize { .. } => {}
                }
                let mut sorted = live.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
                prop_assert!(sorted.last().is_none_or(|(offset, size)| offset + size <= 1_000));
            }
            while let Some((offset, size)) = live.pop() {
                places.free(offset, size);
            }
            prop_assert_eq!(places.take(Layout::from_size_align(1_000, 1).unwrap()), Some(0));
        }
    }

    #[test]
    fn only_the_last_allocation_is_resized() {
        let mut places = Places::new(100);
        let byte = Layout::new::<u8>();
        assert_eq!((places.take(byte), places.take(byte)), (Some(0), Some(1)));
        assert!(!places.resize(0, 1, 2));
        assert!(places.resize(1, 1, 99));
        assert!(!places.resize(1, 99, 100));
        assert!(!places.resize(1, 99, usize::MAX));
        assert_eq!(places.take(byte), None);
        places.free(1, 99);
        assert_eq!(places.take(byte), Some(1));
    }

    #[test]
    fn what_is_kept_stays_in_its_place() {
        let mut places = Places::new(100);
        let ten = Layout::from_size_align(10, 1).unwrap();
        assert_eq!((places.take(ten), places.take(ten)), (Some(0), Some(10)));
        places.free(0, 10);
        places.keep();
        for _ in 0..2 {
            assert_eq!((places.take(ten), places.take(ten)), (Some(20), Some(30)));
            places.free(20, 10);
            places.free(30, 10);
        }
    }

    #[test]
    fn what_is_there_before_is_not_kept() {
        let mut places = Places::new(100);
        let ten = Layout::from_size_align(10, 1).unwrap();
        assert_eq!(places.take(ten), Some(0));
        places.keep_within(50);
        assert_eq!(places.take(ten), Some(10));
        places.keep();
        assert_eq!(
            (places.take(ten), [0, 10, 20].map(|offset| places.is_kept(offset))),
            (Some(20), [false, true, false])
        );
        places.free(0, 10);
        places.free(20, 10);
        assert_eq!(places.take(ten), Some(20));
    }

    #[test]
    fn a_size_near_the_address_limit_does_not_overflow() {
        let mut places = Places::new(100);
        assert!(places.take(Layout::new::<u8>()).is_some());
        let huge = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        assert_eq!(places.take(huge), None);
    }
    #[test]
    fn what_is_kept_leaves_room() {
        let mut places = Places::new(100);
        places.keep_within(30);
        let ten = Layout::from_size_align(10, 1).unwrap();
        assert_eq!((places.take(ten), places.take(ten)), (Some(0), Some(10)));
        assert_eq!(places.take(Layout::from_size_align(11, 1).unwrap()), None);
        assert!(!places.resize(10, 10, 21));
        places.keep();
        assert_eq!(places.take(Layout::from_size_align(80, 1).unwrap()), Some(20));
    }
}
