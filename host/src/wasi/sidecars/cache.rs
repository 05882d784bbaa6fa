//! Which coded forms of files are kept: those that were used last, within bounds.

use crate::coding::FileVersion;
use guest::encoding::Coding;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the kernel and this program have for a form beside its content: an inode, an open file and an entry here.
const FORM_BYTES: u64 = 2 * 1024;

/// The content of a form takes whole pages.
const PAGE_BYTES: u64 = 4 * 1024;

/// Bytes for an entry that has no content.
const ENTRY_BYTES: u64 = 256;

/// A version of a file, in a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) version: FileVersion,
    pub(super) coding: Coding,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.version, self.coding.name()).hash(state);
    }
}

/// What there is of a version in a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<T> {
    /// It, and its bytes.
    Coded(T, u64),
    /// Nothing, because it would not be smaller.
    NotSmaller,
}

impl<T> Form<T> {
    /// The bytes that it takes.
    fn cost(&self) -> u64 {
        match self {
            Self::Coded(_, bytes) => {
                bytes.div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES).saturating_add(FORM_BYTES)
            }
            Self::NotSmaller => ENTRY_BYTES,
        }
    }

    fn is_coded(&self) -> bool {
        matches!(self, Self::Coded(..))
    }
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of everything.
    pub(super) bytes: u64,
    /// Forms with content, each of which is an open file.
    pub(super) forms: usize,
}

struct Kept<T> {
    form: Form<T>,
    /// When it was used, as the clock counts.
    used: AtomicU64,
}

/// The forms.
pub(super) struct Cache<T> {
    bounds: Bounds,
    kept: HashMap<Key, Kept<T>>,
    bytes: u64,
    forms: usize,
    /// Counts uses.
    clock: AtomicU64,
}

impl<T> Cache<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, kept: HashMap::new(), bytes: 0, forms: 0, clock: AtomicU64::new(0) }
    }

    /// What is kept of a version in a coding.
    pub(super) fn get(&self, key: &Key) -> Option<&Form<T>> {
        let kept = self.kept.get(key)?;
        kept.used.store(self.tick(), Ordering::Relaxed);
        Some(&kept.form)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a form of this many bytes would take the place of others.
    pub(super) fn is_full_for(&self, bytes: u64) -> bool {
        let left = self.bounds.bytes - self.bytes;
        bytes.saturating_add(PAGE_BYTES + FORM_BYTES) > left || self.forms >= self.bounds.forms
    }

    /// Keeps a form, in the place of those that were used least recently and of other versions of the file. One that is larger
    /// than all of the cache is not kept.
    pub(super) fn insert(&mut self, key: Key, form: Form<T>) {
        if form.cost() > self.bounds.bytes || (form.is_coded() && self.bounds.forms == 0) {
            return;
        }
        let is_same = |other: &&Key| other.version.file == key.version.file && other.coding == key.coding;
        let outdated = self.kept.keys().filter(is_same);
        for key in outdated.copied().collect::<Vec<_>>() {
            self.remove(&key);
        }
        self.bytes += form.cost();
        self.forms += usize::from(form.is_coded());
        let used = AtomicU64::new(self.tick());
        self.kept.insert(key, Kept { form, used });
        while self.bytes > self.bounds.bytes || self.forms > self.bounds.forms {
            let too_many_forms = self.bytes <= self.bounds.bytes;
            let candidates = self.kept.iter().filter(|(_, kept)| !too_many_forms || kept.form.is_coded());
            let oldest = candidates.min_by_key(|(_, kept)| kept.used.load(Ordering::Relaxed));
            let Some((&oldest, _)) = oldest else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Kept { form, .. }) = self.kept.remove(key) {
            self.bytes -= form.cost();
            self.forms -= usize::from(form.is_coded());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Cache, ENTRY_BYTES, FORM_BYTES, Form, Key, PAGE_BYTES};
    use crate::coding::FileVersion;
    use guest::encoding::Coding;
    use proptest::prelude::*;

    fn key(file: u64, changed: i64) -> Key {
        let version = FileVersion { file: (1, file), size: 1, modified: (1, 1), changed: (changed, 1) };
        Key { version, coding: Coding::Gzip }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert { file: u64, changed: i64, bytes: Option<u64> },
        Get { file: u64, changed: i64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (file, changed) = (0_u64..12, 0_i64..2);
        let bytes = prop::option::weighted(0.8, prop_oneof![0_u64..10_000, 0_u64..200_000, Just(u64::MAX)]);
        prop_oneof![
            (file.clone(), changed.clone(), bytes).prop_map(|(file, changed, bytes)| Step::Insert {
                file,
                changed,
                bytes
            }),
            (file, changed).prop_map(|(file, changed)| Step::Get { file, changed }),
        ]
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_the_bounds_say(
            steps in prop::collection::vec(step(), 0..200), bytes in 0_u64..300_000, forms in 0_usize..8,
        ) {
            let mut cache = Cache::new(Bounds { bytes, forms });
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert { file, changed, bytes: length } => {
                        let form = length.map_or(Form::NotSmaller, |bytes| Form::Coded(at, bytes));
                        let fits = form.cost() <= bytes && (length.is_none() || forms > 0);
                        cache.insert(key(file, changed), form);
                        if fits {
                            prop_assert_eq!(cache.get(&key(file, changed)), Some(&form), "what was used last stays");
                            prop_assert!(cache.get(&key(file, 1 - changed)).is_none(), "one version of a file");
                        }
                    }
                    Step::Get { file, changed } => _ = cache.get(&key(file, changed)),
                }
                let costs: u64 = cache.kept.values().map(|kept| kept.form.cost()).sum();
                let coded = cache.kept.values().filter(|kept| kept.form.is_coded()).count();
                prop_assert_eq!((cache.bytes, cache.forms), (costs, coded));
                prop_assert!(costs <= bytes && coded <= forms);
            }
        }

        #[test]
        fn what_is_not_full_drops_nothing(lengths in prop::collection::vec(0_u64..100_000, 1..20)) {
            let mut cache = Cache::new(Bounds { bytes: 300_000, forms: 8 });
            for (at, length) in lengths.into_iter().enumerate() {
                let (before, is_full) = (cache.kept.len(), cache.is_full_for(length));
                cache.insert(key(at as u64, 1), Form::Coded((), length));
                if !is_full {
                    prop_assert_eq!(cache.kept.len(), before + 1);
                }
            }
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let room = 3 * (PAGE_BYTES + FORM_BYTES);
        let mut cache = Cache::new(Bounds { bytes: room, forms: 10 });
        for file in 0..3 {
            cache.insert(key(file, 1), Form::Coded(file, 100));
        }
        cache.get(&key(0, 1));
        cache.insert(key(3, 1), Form::Coded(3, 100));
        assert!(cache.get(&key(1, 1)).is_none());
        for file in [0, 2, 3] {
            assert_eq!(cache.get(&key(file, 1)), Some(&Form::Coded(file, 100)));
        }
    }

    #[test]
    fn what_is_not_smaller_is_remembered_and_bounded() {
        let mut cache: Cache<()> = Cache::new(Bounds { bytes: 3 * ENTRY_BYTES, forms: 0 });
        for file in 0..4 {
            cache.insert(key(file, 1), Form::NotSmaller);
        }
        assert!(cache.get(&key(0, 1)).is_none());
        assert_eq!(cache.get(&key(3, 1)), Some(&Form::NotSmaller));
    }
}
