//! Where the rules of a file are, and how their patterns begin, so that a request reads only the lines that may be about it. A
//! host that gives the text of a file once for many requests has it indexed once.

use super::{Lines, MAX_RULES, Paths};

/// How many bytes of a pattern are compared.
const HEAD_BYTES: usize = 8;

/// The rules of a file, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    rules: Vec<Place>,
    /// Whether some rule may hold even where there is a file.
    pub(super) may_force: bool,
}

/// Where a rule begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset of its first line in the file.
    pub(super) start: usize,
    /// The number of that line, from 1.
    pub(super) line: usize,
    head: u64,
}

impl Index {
    /// The index of a file; `None` if it has too many rules or bytes, or a line before the first rule. `pattern` gives the part of a line
    /// from its pattern on, and `None` for a line that goes on with the rule before it.
    pub(super) fn new(
        content: &[u8],
        file: &'static str,
        pattern: impl Fn(&[u8]) -> Option<&[u8]>,
    ) -> Option<Self> {
        let mut lines = Lines::new(content, file).ok()?;
        let mut rules = Vec::new();
        while let Some((line, bytes)) = lines.next() {
            match pattern(bytes) {
                Some(pattern) => {
                    let start = lines.offset(content) - bytes.len();
                    rules.push(Place { start, line, head: head(pattern) });
                }
                None if rules.is_empty() => return None,
                None => {}
            }
        }
        let may_force = content.contains(&b'!');
        (rules.len() <= MAX_RULES).then_some(Self { rules, may_force })
    }

    /// The rules that may be about one of the paths.
    pub(super) fn about<'i>(&'i self, paths: &'i Paths) -> impl Iterator<Item = Place> + 'i {
        let paths: Vec<_> = paths.all().map(|path| start_of(path.as_bytes())).collect();
        self.rules.iter().copied().filter(move |rule| {
            let compared = mask(rule.head);
            paths.iter().any(|(path, there)| (path ^ rule.head) & compared & there == 0)
        })
    }
}

/// The bytes of a pattern before its first wildcard, and zeros; only zeros where it does not begin with a path, and may be about
/// everything.
fn head(pattern: &[u8]) -> u64 {
    let is_literal =
        |byte: &&u8| !matches!(byte, b'*' | b':' | b'%' | b'?' | 0) && !byte.is_ascii_whitespace();
    let length = if pattern.starts_with(b"/") { pattern.iter().take_while(is_literal).count() } else { 0 };
    start_of(&pattern[..length]).0
}

/// The first bytes of a text, and which of them there are.
fn start_of(text: &[u8]) -> (u64, u64) {
    let mut start = [0; HEAD_BYTES];
    let length = text.len().min(HEAD_BYTES);
    start[..length].copy_from_slice(&text[..length]);
    let missing = (HEAD_BYTES - length) * 8;
    let there = u32::try_from(missing).ok().and_then(|missing| u64::MAX.checked_shr(missing));
    (u64::from_le_bytes(start), there.unwrap_or(0))
}

/// The bytes up to the last one that is not zero.
fn mask(head: u64) -> u64 {
    u64::MAX.checked_shr(head.leading_zeros() & !7).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Paths, may_be_about};
    use super::Index;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_rule_that_may_be_about_a_path_is_found(
            patterns in prop::collection::vec("/?[ab/*:%é.]{0,12}", 0..5),
            path in "/[ab/é.]{0,12}",
        ) {
            let lines: Vec<_> = patterns.iter().map(|pattern| format!("x{pattern}  to\n")).collect();
            let content = lines.concat();
            // A letter before each, so that no line is empty or a comment.
            let index = Index::new(content.as_bytes(), "file", |line| line.get(1..)).unwrap();
            let paths = Paths { requested: path, ..Paths::default() };
            let found: Vec<_> = index.about(&paths).map(|place| (place.line, place.start)).collect();
            let mut start = 0;
            for (line, bytes) in (1..).zip(content.lines()) {
                if may_be_about(&bytes.as_bytes()[1..], &paths) {
                    prop_assert!(found.contains(&(line, start)), "{bytes}");
                }
                start += bytes.len() + 1;
            }
        }
    }

    #[test]
    fn most_rules_are_not_found() {
        let lines: Vec<_> = (0..1000).map(|at| format!("/old-{at} /new\n")).collect();
        let content = lines.concat();
        let index = Index::new(content.as_bytes(), "file", |line| Some(line)).unwrap();
        let found = |path: &str| {
            let paths = Paths { requested: path.to_owned(), ..Paths::default() };
            index.about(&paths).count()
        };
        assert_eq!((found("/file"), found("/")), (0, 1000));
        // Those that begin like it, as far as it goes: itself, `/old-7`, and ten that are longer.
        assert_eq!(found("/old-77"), 12);
    }
}
