//! What is said at the end.

use super::scan::Source;
use guest::encoding::Coding;
use std::collections::HashSet;
use std::fmt::Write as _;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// The variants that were written of each coding, and their bytes; in the order of [`Coding::ALL`].
    variants: [(usize, u64); Coding::ALL.len()],
    /// The files that they are of, by their paths, and the bytes of these.
    files: HashSet<String>,
    bytes: u64,
    /// Variants that are not older than their files.
    pub(super) current: usize,
    pub(super) not_smaller: usize,
    /// Variants of files that are gone, which are removed or stay.
    pub(super) removed: usize,
    pub(super) orphans: usize,
}

impl Summary {
    /// A variant of this many bytes was written.
    pub(super) fn add(&mut self, source: &Source, coding: Coding, size: u64) {
        if let Some(at) = Coding::ALL.iter().position(|&known| known == coding) {
            self.variants[at].0 += 1;
            self.variants[at].1 += size;
        }
        if self.files.insert(source.path.as_str().to_owned()) {
            self.bytes += source.version.size;
        }
    }

    /// How many variants were written.
    pub(super) fn written(&self) -> usize {
        self.variants.iter().map(|(count, _)| count).sum()
    }

    /// Lines for standard output.
    pub(super) fn text(&self) -> String {
        let mut text = if self.files.is_empty() {
            "There was nothing to compress.\n".to_owned()
        } else {
            format!("Compressed {} files of {} bytes.\n", self.files.len(), self.bytes)
        };
        for (coding, (count, bytes)) in Coding::ALL.into_iter().zip(self.variants) {
            if count > 0 {
                let _ = writeln!(text, "{count} variants in {} have {bytes} bytes.", coding.name());
            }
        }
        for (count, what) in [
            (self.current, "variants were up to date."),
            (self.not_smaller, "variants would not be 5 % smaller than their files, and were not written."),
            (self.removed, "variants of files that are gone were removed."),
            (self.orphans, "variants are of files that are gone; --remove removes them."),
        ] {
            if count > 0 {
                let _ = writeln!(text, "{count} {what}");
            }
        }
        text
    }
}
