//! Paths as what is remembered of them is found: by one hash, which is computed once for each call of a guest.

use std::hash::{BuildHasher as _, Hash, RandomState};

/// What tells a path from others. Two paths may have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKey(u64);

/// Makes keys that no guest can foresee.
#[derive(Clone, Debug, Default)]
pub struct PathKeys(RandomState);

impl PathKeys {
    /// The key of a path that begins at a directory that is open as this file descriptor.
    pub fn of(&self, directory: i32, path: &str) -> PathKey {
        PathKey(self.hash((directory, path)))
    }

    /// The hash of something else, which no guest can foresee either.
    pub fn hash(&self, value: impl Hash) -> u64 {
        self.0.hash_one(value)
    }
}

impl PathKey {
    /// As a number above 0.
    pub fn number(self) -> u64 {
        self.0.max(1)
    }

    /// One of so many places.
    pub fn place(self, places: usize) -> usize {
        #[allow(clippy::cast_possible_truncation)]
        let number = self.0 as usize;
        number % places
    }
}
