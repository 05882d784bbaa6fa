//! Which paths have led to regular files.
//!
//! Opening a device or FIFO can have side effects, so what an unknown path leads to is examined with `O_PATH` first. A
//! path that has led to a regular file is opened at once, which saves two system calls of five.
//!
//! All instances of a component share this, so that one can tell by the time that a call takes, a microsecond or two,
//! whether a path was used lately. The kernel's cache of directory entries tells the same, and cannot be turned off.

use super::path_key::PathKey;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many paths are remembered; further ones take the places of others.
const PLACES: usize = 4_096;

/// Paths that are likely to lead to regular files. It may be wrong: the files behind them change, and the hashes of two
/// paths may be the same.
#[derive(Debug)]
pub struct KnownFiles {
    /// Keys, each in the place that it names; 0 where there is none.
    places: Box<[AtomicU64]>,
}

impl Default for KnownFiles {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl KnownFiles {
    fn place(&self, path: PathKey) -> &AtomicU64 {
        &self.places[path.place(PLACES)]
    }

    /// Whether this path has led to a regular file.
    pub fn has(&self, path: PathKey) -> bool {
        self.place(path).load(Ordering::Relaxed) == path.number()
    }

    /// Remembers whether it does.
    pub fn set(&self, path: PathKey, is_file: bool) {
        if is_file != self.has(path) {
            self.place(path).store(if is_file { path.number() } else { 0 }, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path_key::PathKeys;
    use super::KnownFiles;

    #[test]
    fn what_was_last_seen_is_remembered() {
        let (known, keys) = (KnownFiles::default(), PathKeys::default());
        let [a, other_a, b] =
            [(3, "a"), (4, "a"), (3, "b")].map(|(directory, path)| keys.of(directory, path));
        assert!(!known.has(a));
        known.set(a, true);
        assert!(known.has(a) && !known.has(other_a) && !known.has(b));
        known.set(a, false);
        assert!(!known.has(a));
    }

    #[test]
    fn so_many_and_no_more() {
        let (known, keys) = (KnownFiles::default(), PathKeys::default());
        let key = |number: i32| keys.of(3, &number.to_string());
        for number in 0..100_000 {
            known.set(key(number), true);
        }
        let remembered = (0..100_000).filter(|&number| known.has(key(number))).count();
        assert!((1..=super::PLACES).contains(&remembered), "{remembered}");
    }
}
