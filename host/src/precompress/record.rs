//! Which variants were written here before, so that only these are ever removed: `data.csv.gz` without a `data.csv` may be what
//! somebody wants to serve.
//!
//! It is a hidden file in the directory, which the file server does not serve: a line for each variant, with its time of
//! modification, its length and its path. One that has another time or length now was written by somebody else.

use crate::coding::FileVersion;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The name of the file.
pub(super) const NAME: &str = ".wasi-httpd-precompress";

/// Its first line.
const HEADER: &str = "# What `wasi-httpd precompress` has written: time of modification, length, path.";

/// What is known of a variant: its time of modification, and its length in bytes.
type Written = ((i64, i64), u64);

/// The variants, by their paths from the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<String, Written>);

impl Record {
    /// What a file says. Lines that say nothing are left out.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (path, ((seconds, nanoseconds), size)) in &self.0 {
            let _ = writeln!(text, "{seconds}.{nanoseconds:09} {size} {path}");
        }
        text
    }

    /// Notes what was written. A path that is no line is not noted.
    pub(super) fn add(&mut self, path: &str, variant: &FileVersion) {
        if !path.contains(['\n', '\r']) {
            self.0.insert(path.to_owned(), (variant.modified, variant.size));
        }
    }

    /// Forgets a path.
    pub(super) fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// Whether this is what was written at a path.
    pub(super) fn has(&self, path: &str, variant: &FileVersion) -> bool {
        self.0.get(path) == Some(&(variant.modified, variant.size))
    }

    /// The paths, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_line(line: &str) -> Option<(String, Written)> {
    let (time, rest) = line.split_once(' ')?;
    let (size, path) = rest.split_once(' ')?;
    let (seconds, nanoseconds) = time.split_once('.')?;
    Some((path.to_owned(), ((seconds.parse().ok()?, nanoseconds.parse().ok()?), size.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::coding::FileVersion;
    use proptest::prelude::*;

    fn version(seconds: i64, nanoseconds: i64, size: u64) -> FileVersion {
        FileVersion { file: (1, 1), size, modified: (seconds, nanoseconds), changed: (1, 1) }
    }

    proptest! {
        #[test]
        fn a_record_says_what_was_noted(
            lines in prop::collection::btree_map(
                "[^\r\n]{1,20}", (any::<i64>(), 0_i64..1_000_000_000, any::<u64>()), 0..8,
            ),
        ) {
            let mut record = Record::default();
            for (path, (seconds, nanoseconds, size)) in &lines {
                record.add(path, &version(*seconds, *nanoseconds, *size));
            }
            let parsed = Record::parse(&record.text());
            prop_assert_eq!(&parsed, &record);
            for (path, (seconds, nanoseconds, size)) in &lines {
                prop_assert!(parsed.has(path, &version(*seconds, *nanoseconds, *size)));
                prop_assert!(!parsed.has(path, &version(*seconds, *nanoseconds, size.wrapping_add(1))));
            }
        }

        #[test]
        fn any_text_is_a_record(text: String) {
            let record = Record::parse(&text);
            prop_assert_eq!(Record::parse(&record.text()), record);
        }
    }

    #[test]
    fn a_path_of_two_lines_is_not_noted() {
        let mut record = Record::default();
        record.add("a\n1.0 1 b", &version(1, 1, 1));
        assert!(record.is_empty());
    }
}
