//! The component's allocator: an [arena](crate::arena), and behind it the standard library's allocator.

// To be an allocator is to hand out addresses, which has no safe form. A component has one thread and cannot be entered
// while it runs, so that nothing here is ever reached twice at a time.
#![allow(unsafe_code)]

use crate::arena::Places;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;

/// How large the arena is, in bytes. A request for a file takes some kilobytes of it, and what browsers and proxies send
/// along some more; pages and listings may need another allocator, for which they are slow enough anyway.
const SIZE: usize = 32 * 1024;

/// Aligned to as much as any type asks for.
#[repr(align(16))]
struct Bytes(UnsafeCell<[u8; SIZE]>);

// SAFETY: a component has one thread.
unsafe impl Sync for Bytes {}

/// The arena. Apart from what is known of it, for it is all zeros, which take no place in the component.
static ARENA: Bytes = Bytes(UnsafeCell::new([0; SIZE]));

struct Heap(UnsafeCell<Places>);

// SAFETY: a component has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Places::new(SIZE)));

impl Heap {
    #[allow(clippy::mut_from_ref)]
    fn places(&self) -> &mut Places {
        // SAFETY: there is one thread, every caller is done with this before it returns, and none calls another.
        unsafe { &mut *self.0.get() }
    }
}

fn base() -> *mut u8 {
    ARENA.0.get().cast()
}

/// The place of an address, if it is in the arena.
fn place(address: *mut u8) -> Option<usize> {
    let place = address.addr().wrapping_sub(base().addr());
    (place < SIZE).then_some(place)
}

// SAFETY: places are within the arena, aligned, and no two that are in use overlap, which the tests of `Places` are about;
// an address that is in the arena came from there, and all others from the allocator behind it. Allocations of no bytes,
// whose place could be the arena's end, are never asked for.
unsafe impl GlobalAlloc for Heap {
    // Put into every place that calls them, these would make up a fifth of the component.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= align_of::<Bytes>()
            && let Some(place) = self.places().take(layout)
        {
            return base().wrapping_add(place);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        match place(address) {
            Some(place) => self.places().free(place, layout.size()),
            // SAFETY: as the caller promises, and it is not from the arena.
            None => unsafe { System.dealloc(address, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(place) = place(address) else {
            // SAFETY: as the caller promises, and it is not from the arena.
            return unsafe { System.realloc(address, layout, size) };
        };
        if self.places().resize(place, layout.size(), size) {
            return address;
        }
        // SAFETY: the caller promises that this is a layout; both addresses are good for as many bytes as are copied, and
        // a new allocation is none that is in use.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(address, layout.size().min(size));
                self.dealloc(address, layout);
            }
            new
        }
    }
}
