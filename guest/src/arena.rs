//! Where the component's allocations lie: one after the other in a piece of memory that every instance begins with.
//!
//! An instance that answers a single request allocates some kilobytes and ends. Asking the runtime for more memory would
//! cost it more than all of that: system calls when memory grows, and others when it is reset. So allocations are placed
//! one behind the other in an arena that is part of the initial memory, and it begins anew whenever the last one of them
//! has been freed, as it has between two requests. What finds no room there is left to the standard library's allocator.
//!
//! [`Places`] decides, without touching any memory; the component's `heap` does as it says.

use std::alloc::Layout;

/// Which bytes of an arena are taken. Places are counted from its beginning. No allocation is of no bytes.
#[derive(Debug)]
pub struct Places {
    size: usize,
    /// Where the next allocation goes.
    next: usize,
    /// How many allocations have not been freed.
    live: usize,
}

impl Places {
    /// An arena of so many bytes, all free.
    pub const fn new(size: usize) -> Self {
        Self { size, next: 0, live: 0 }
    }

    /// Takes a place for an allocation, in an arena whose beginning is aligned to any alignment that is asked for;
    /// `None` where there is no room.
    pub const fn take(&mut self, layout: Layout) -> Option<usize> {
        let Some(place) = self.next.checked_next_multiple_of(layout.align()) else { return None };
        match place.checked_add(layout.size()) {
            Some(end) if end <= self.size => {
                self.next = end;
                self.live += 1;
                Some(place)
            }
            _ => None,
        }
    }

    /// Gives back the place of an allocation of so many bytes.
    pub const fn free(&mut self, place: usize, size: usize) {
        self.live -= 1;
        if self.live == 0 {
            self.next = 0;
        } else if place + size == self.next {
            self.next = place;
        }
    }

    /// Gives the allocation at a place another size, if it is the last one and there is room.
    pub const fn resize(&mut self, place: usize, old: usize, new: usize) -> bool {
        if place + old != self.next {
            return false;
        }
        match place.checked_add(new) {
            Some(end) if end <= self.size => {
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
        fn no_two_allocations_overlap_and_none_leaves_the_arena(steps in proptest::collection::vec(step(), 0..200)) {
            let mut places = Places::new(1_000);
            let mut live: Vec<(usize, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take { size, align } => {
                        let layout = Layout::from_size_align(size, 1 << align).unwrap();
                        if let Some(place) = places.take(layout) {
                            prop_assert_eq!(place % layout.align(), 0);
                            live.push((place, size));
                        } else {
                            prop_assert!(!live.is_empty(), "there is room in an empty arena");
                        }
                    }
                    Step::Free(which) if !live.is_empty() => {
                        let (place, size) = live.swap_remove(which % live.len());
                        places.free(place, size);
                    }
                    Step::Resize { which, new } if !live.is_empty() => {
                        let at = which % live.len();
                        let (place, size) = live[at];
                        if places.resize(place, size, new) {
                            live[at].1 = new;
                        }
                    }
                    Step::Free(_) | Step::Resize { .. } => {}
                }
                let mut sorted = live.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
                prop_assert!(sorted.last().is_none_or(|(place, size)| place + size <= 1_000));
            }
            while let Some((place, size)) = live.pop() {
                places.free(place, size);
            }
            prop_assert_eq!(places.take(Layout::from_size_align(1_000, 1).unwrap()), Some(0));
        }
    }

    #[test]
    fn the_last_allocation_grows_where_it_is_and_no_other_does() {
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
    fn sizes_near_the_end_of_all_addresses_find_no_room() {
        let mut places = Places::new(100);
        assert!(places.take(Layout::new::<u8>()).is_some());
        let huge = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        assert_eq!(places.take(huge), None);
    }
}
