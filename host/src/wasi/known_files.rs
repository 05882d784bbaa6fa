//! Which paths have led to regular files.
//!
//! Opening a device or FIFO can have side effects, so what an unknown path leads to is examined with `O_PATH` first. A
//! path that has led to a regular file is opened at once, which saves two system calls of five.
//!
//! All instances of a component share this, so that one can tell by the time that a call takes, a microsecond or two,
//! whether a path was used lately. The kernel's cache of directory entries tells the same, and cannot be turned off.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many paths are remembered; further ones take the places of others.
const PLACES: usize = 4_096;

/// Paths that are likely to lead to regular files. It may be wrong: the files behind them change, and the hashes of two
/// paths may be the same.
#[derive(Debug)]
pub struct KnownFiles {
    hasher: RandomState,
    /// Hashes only, each in the place that it names; 0 where there is none.
    places: Box<[AtomicU64]>,
}

impl Default for KnownFiles {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl KnownFiles {
    fn place(&self, directory: i32, path: &str) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one((directory, path));
        #[allow(clippy::cast_possible_truncation)]
        let place = &self.places[hash as usize % PLACES];
        (place, hash.max(1))
    }

    /// Whether this path has led to a regular file. It begins at a directory that is open as this file descriptor.
    pub fn has(&self, directory: i32, path: &str) -> bool {
        let (place, hash) = self.place(directory, path);
        place.load(Ordering::Relaxed) == hash
    }

    /// Remembers whether it does.
    pub fn set(&self, directory: i32, path: &str, is_file: bool) {
        let (place, hash) = self.place(directory, path);
        let known = place.load(Ordering::Relaxed) == hash;
        if is_file != known {
            place.store(if is_file { hash } else { 0 }, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KnownFiles;

    #[test]
    fn what_was_last_seen_is_remembered() {
        let known = KnownFiles::default();
        assert!(!known.has(3, "a"));
        known.set(3, "a", true);
        assert!(known.has(3, "a") && !known.has(4, "a") && !known.has(3, "b"));
        known.set(3, "a", false);
        assert!(!known.has(3, "a"));
    }

    #[test]
    fn so_many_and_no_more() {
        let known = KnownFiles::default();
        for number in 0..100_000 {
            known.set(3, &number.to_string(), true);
        }
        let remembered = (0..100_000).filter(|number| known.has(3, &number.to_string())).count();
        assert!((1..=super::PLACES).contains(&remembered), "{remembered}");
    }
}
