//! The process's allocator: mimalloc, which makes the hundred small allocations of a request cheap.
//!
//! The crate of that name asks for an alignment with every allocation, and mimalloc then takes a slower way for sizes
//! that are no power of two. Its plain functions align to a machine word, which is what almost all of Rust needs.
//!
//! Each thread has a heap of its own, and looks through it for memory that other threads have freed only when it needs
//! more. So a server that was busy and is idle would keep what it had; [`trim`] gives it back.

use libmimalloc_sys::{
    mi_collect, mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// The alignment that every block has, in bytes.
const WORD: usize = 8;

/// Allocates by mimalloc.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: mimalloc's functions are safe to call from every thread and give blocks that are valid for their size, or null.
// Every block is aligned to a word at least ("mi_malloc: the returned pointer is always at least 8-byte aligned"), and
// the functions with an alignment give that one; `blocks_are_aligned_and_keep_their_content` tries both. `mi_free` and
// the functions that reallocate take blocks of any of them.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            if layout.align() <= WORD {
                mi_malloc(layout.size()).cast()
            } else {
                mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe {
            if layout.align() <= WORD {
                mi_zalloc(layout.size()).cast()
            } else {
                mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if layout.align() <= WORD {
                mi_realloc(block.cast(), size).cast()
            } else {
                mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

/// How many times [`note_release`] is called for one [`trim`], which takes some hundred microseconds.
const RELEASES_PER_TRIM: u32 = 128;

static RELEASES: AtomicU32 = AtomicU32::new(0);

/// Notes that some kilobytes were freed that may not be needed again soon.
pub fn note_release() {
    RELEASES.fetch_add(1, Ordering::Relaxed);
}

/// Gives memory of this thread's heap back to the system, if much was released since it last did. A runtime calls it on
/// threads that have nothing else to do.
pub fn trim() {
    thread_local! {
        static TRIMMED: Cell<u32> = const { Cell::new(0) };
    }
    let releases = RELEASES.load(Ordering::Relaxed);
    if releases.wrapping_sub(TRIMMED.get()) >= RELEASES_PER_TRIM {
        TRIMMED.set(releases);
        collect();
        // What was released here may be another thread's, which sleeps: a task that does nothing wakes it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async {});
        }
    }
}

/// Gives the free memory of this thread's heap back to the system, which takes some hundred microseconds.
pub fn collect() {
    // SAFETY: it may be called at any time, by any thread, and concerns free memory only.
    #[allow(unsafe_code)]
    unsafe {
        mi_collect(true);
    }
}

#[cfg(test)]
mod tests {
    use super::Allocator;
    use std::alloc::{GlobalAlloc as _, Layout};

    #[test]
    #[allow(unsafe_code)]
    fn blocks_are_aligned_and_keep_their_content() {
        for size in (1..200).chain([1_000, 4_095, 65_537, 3 << 20]) {
            for align in [1, 2, 4, 8, 16, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not of size zero, the block is written within it, and freed once.
                unsafe {
                    let block = Allocator.alloc(layout);
                    assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                    block.write_bytes(7, size);
                    let block = Allocator.realloc(block, layout, size * 2);
                    assert!(block.addr().is_multiple_of(align), "{layout:?}");
                    assert!(std::slice::from_raw_parts(block, size).iter().all(|&byte| byte == 7));
                    Allocator.dealloc(block, Layout::from_size_align(size * 2, align).unwrap());
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(align), "{layout:?}");
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
