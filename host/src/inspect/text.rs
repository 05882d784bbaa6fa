//! Reports as text. Control characters in names are escaped.

use super::knowledge::Verdict;
use super::verdicts::Judged;
use crate::report::text::printable;
use std::fmt::Write as _;

/// A text that grows by lines.
pub(super) struct Text(String);

impl Text {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn line(&mut self, level: usize, text: &str) {
        let _ = writeln!(self.0, "{:1$}{2}", "", level * 2, printable(text.as_bytes()));
    }

    /// An import with what it is for, after this word.
    pub(super) fn import(&mut self, word: &str, name: &str, meaning: Option<&str>, note: Option<&str>) {
        self.line(1, &format!("{word}{name}"));
        let indent = " ".repeat(word.len());
        if let Some(meaning) = meaning {
            self.line(1, &format!("{indent}to {meaning}"));
        }
        if let Some(note) = note {
            self.line(1, &format!("{indent}({note})"));
        }
    }

    /// An import with its verdict, and the functions whose verdict is another one.
    pub(super) fn judged(&mut self, meaning: Option<&str>, judged: &Judged) {
        let (word, note) = words(&judged.verdict);
        self.import(
            &format!("{word:<9}"),
            &judged.name,
            meaning,
            Some(note.as_str()).filter(|note| !note.is_empty()),
        );
        // A function that is lacking stands in the note of its interface.
        let others = judged.exceptions().into_iter().filter(|(verdict, _)| {
            !matches!(judged.verdict, Verdict::Lacking { .. }) && !matches!(verdict, Verdict::Lacking { .. })
        });
        for (verdict, functions) in others {
            let (word, note) = words(verdict);
            let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
            self.line(1, &format!("         {word}: {}{note}", functions.join(", ")));
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A verdict in a word, and its note with the flag that would change it.
fn words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Granted { note } => ("granted", note.clone()),
        Verdict::Refused { note, flag: Some(flag) } => ("refused", format!("{note}; {flag} allows it")),
        Verdict::Refused { note, flag: None } => ("refused", note.clone()),
        Verdict::Lacking { note } => ("lacking", note.clone()),
    }
}
