//! The component's allocator: an [arena](crate::arena), with the standard library's allocator as the fallback.

// A global allocator returns raw addresses and needs `unsafe`. A component has one thread and cannot be reentered while
// it runs, so no function here runs twice at the same time.
#![allow(unsafe_code)]

use crate::arena::Places;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;

/// The size of the arena, in bytes: what the stack and the data leave of the first page of the memory. A request for a file needs
/// one kilobyte, an error page or the fields of a browser some more. Long listings and rules overflow it: they take so long that
/// the fallback does not matter.
const ARENA_BYTES: usize = 22 * 1024;

/// How much of it may be kept for every request. The rest is for requests; settings and rules that are longer lie in memory of their
/// own.
const KEPT_BYTES: usize = 8 * 1024;

/// The memory of the arena, aligned for every type.
#[repr(align(16))]
struct Bytes(UnsafeCell<[u8; ARENA_BYTES]>);

// SAFETY: a component has one thread.
unsafe impl Sync for Bytes {}

/// The arena. It is a static apart from [`HEAP`] so that it is all zeros, which take no space in the component's file.
static ARENA: Bytes = Bytes(UnsafeCell::new([0; ARENA_BYTES]));

struct Heap(UnsafeCell<Places>);

// SAFETY: a component has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Places::new(ARENA_BYTES)));

impl Heap {
    #[allow(clippy::mut_from_ref)]
    fn places(&self) -> &mut Places {
        // SAFETY: there is one thread, and every caller drops the reference before it calls another method of the heap.
        unsafe { &mut *self.0.get() }
    }
}

/// What is allocated from now on may be kept.
pub fn begin_to_keep() {
    HEAP.places().keep_within(KEPT_BYTES);
}

/// Keeps what is allocated now for ever, so that later allocations can start behind it again and again.
pub fn keep() {
    HEAP.places().keep();
}

fn base() -> *mut u8 {
    ARENA.0.get().cast()
}

/// The offset of an address in the arena; `None` if it lies outside.
fn offset(address: *mut u8) -> Option<usize> {
    let offset = address.addr().wrapping_sub(base().addr());
    (offset < ARENA_BYTES).then_some(offset)
}

// SAFETY: offsets lie within the arena, are aligned, and do not overlap while in use, as the tests of `Places` check.
// An address in the arena was allocated there, and every other address by the fallback. An empty allocation could lie
// at the end of the arena, but `GlobalAlloc` forbids callers to request one.
unsafe impl GlobalAlloc for Heap {
    // Inlined into every caller, these functions would make up a fifth of the component.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= align_of::<Bytes>()
            && let Some(offset) = self.places().take(layout)
        {
            return base().wrapping_add(offset);
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        match offset(address) {
            // In an instance of WASI 0.3, what is kept for later requests may be replaced by them.
            Some(offset) if cfg!(feature = "v03") && self.places().is_kept(offset) => {}
            Some(offset) => self.places().free(offset, layout.size()),
            // SAFETY: the caller keeps the contract of `GlobalAlloc`, and the address is not from the arena.
            None => unsafe { System.dealloc(address, layout) },
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, address: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = offset(address) else {
            // SAFETY: the caller keeps the contract of `GlobalAlloc`, and the address is not from the arena.
            return unsafe { System.realloc(address, layout, size) };
        };
        if self.places().resize(offset, layout.size(), size) {
            return address;
        }
        // SAFETY: the caller guarantees that the size and alignment are a valid layout. Both addresses are valid for
        // the bytes that are copied, and the new allocation does not overlap the old one.
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
