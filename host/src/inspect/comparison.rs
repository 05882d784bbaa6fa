//! Two components compared: what the second wants that the first did not, with verdicts, and what it no longer wants.
//!
//! Interfaces of the same release line are the same: a component that moves from `wasi:io/poll@0.2.0` to `@0.2.12` wants
//! nothing more, as long as it uses the same functions. Those of WASI 0.2 and 0.3 are different ones.

use super::knowledge::{self, Way};
use super::text::Text;
use super::verdicts::{Judged, command, purposes};
use crate::component::anatomy::Import;
use crate::component::interface::{Edition, InterfaceName};
use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use serde::Serialize;

/// What has changed between two components.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    from: Side,
    to: Side,
    /// Exports that only one of them has.
    exports_added: Vec<String>,
    exports_removed: Vec<String>,
    /// What the second wants that the first did not, for each way to start it.
    starts: Vec<Start>,
    /// The same without verdicts, where it cannot be started.
    wanted: Vec<Change>,
    /// What the second no longer wants.
    unwanted: Vec<Change>,
}

/// One of the two.
#[derive(Debug, Serialize)]
struct Side {
    name: String,
    size: usize,
    description: String,
}

#[derive(Debug, Serialize)]
struct Start {
    command: &'static str,
    /// Why it would not start, apart from missing imports.
    problem: Option<String>,
    /// Each with the functions only that are new.
    wanted: Vec<Judged>,
}

/// An interface that only one side uses, or of which it uses more functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Change {
    name: String,
    meaning: Option<&'static str>,
    /// Whether the other side does not use the interface at all.
    whole: bool,
    /// The functions that the other side does not use.
    functions: Vec<String>,
}

impl Comparison {
    pub(super) fn new(from: &Guest, to: &Guest, grants: &Grants) -> Self {
        let side = |guest: &Guest| Side {
            name: guest.name(),
            size: guest.bytes.len(),
            description: guest.kind.to_string(),
        };
        let (before, after) = (&from.anatomy, &to.anatomy);
        let wanted = more(&before.imports, &after.imports);
        let way = |purpose| Way { purpose, edition: to.edition(purpose), grants };
        let start = |&purpose: &Purpose| Start {
            command: command(purpose),
            problem: to.misfit(purpose),
            wanted: wanted.iter().map(|change| Judged::of(&change.import(), way(purpose))).collect(),
        };
        Self {
            from: side(from),
            to: side(to),
            exports_added: only(&before.exports, &after.exports),
            exports_removed: only(&after.exports, &before.exports),
            starts: purposes(to.kind).iter().map(start).collect(),
            unwanted: more(&after.imports, &before.imports),
            wanted,
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = Text::new();
        for (word, Side { name, size, description }) in [("from", &self.from), ("to  ", &self.to)] {
            text.line(0, &format!("{word} {name}: {description}, {size} bytes"));
        }
        for (title, exports) in
            [("exports now", &self.exports_added), ("no longer exports", &self.exports_removed)]
        {
            if !exports.is_empty() {
                text.line(0, "");
                text.line(0, title);
            }
            for export in exports {
                text.line(1, export);
            }
        }
        for Start { command, problem, wanted } in &self.starts {
            text.line(0, "");
            if let Some(problem) = problem {
                text.line(0, &format!("`{command}` would not start it: {problem}"));
            }
            let rest = if wanted.is_empty() { ": nothing" } else { "" };
            text.line(0, &format!("wants now, with `{command}` as called{rest}"));
            for (change, judged) in self.wanted.iter().zip(wanted) {
                text.judged(change.meaning, judged);
                change.list("         ", &mut text);
            }
        }
        if self.starts.is_empty() {
            list("wants now", &self.wanted, &mut text);
        }
        list("no longer wants", &self.unwanted, &mut text);
        text.finish()
    }
}

impl Change {
    fn import(&self) -> Import {
        Import { name: self.name.clone(), functions: self.functions.clone() }
    }

    /// The functions, where the rest of the interface is used as before.
    fn list(&self, indent: &str, text: &mut Text) {
        if !self.whole {
            text.line(1, &format!("{indent}only: {}", self.functions.join(", ")));
        }
    }
}

fn list(title: &str, changes: &[Change], text: &mut Text) {
    text.line(0, "");
    text.line(0, &if changes.is_empty() { format!("{title}: nothing") } else { title.to_owned() });
    for change in changes {
        text.import("", &change.name, change.meaning, None);
        change.list("", text);
    }
}

/// What is imported after, and was not before.
fn more(before: &[Import], after: &[Import]) -> Vec<Change> {
    let mut changes = Vec::new();
    for import in after {
        let known: Vec<_> = before.iter().filter(|known| is_same(&known.name, &import.name)).collect();
        let is_new = |function: &&String| !known.iter().any(|known| known.functions.contains(function));
        let functions: Vec<_> = import.functions.iter().filter(is_new).cloned().collect();
        if known.is_empty() || !functions.is_empty() {
            let meaning = knowledge::meaning(&import.name);
            changes.push(Change { name: import.name.clone(), meaning, whole: known.is_empty(), functions });
        }
    }
    changes
}

/// Whether two imports are the same interface, in releases of the same line of WASI.
fn is_same(one: &str, other: &str) -> bool {
    let line = |name| {
        let name = InterfaceName::parse(name)?;
        let edition = name.edition();
        (edition != Edition::Unknown).then_some((name.package, name.interface, edition))
    };
    one == other || line(one).is_some_and(|name| Some(name) == line(other))
}

/// The names that are in the second list only.
fn only(without: &[String], with: &[String]) -> Vec<String> {
    with.iter().filter(|name| !without.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{is_same, more};
    use crate::component::anatomy::Import;

    fn import(name: &str, functions: &[&str]) -> Import {
        let functions = functions.iter().map(|&function| function.to_owned()).collect();
        Import { name: name.to_owned(), functions }
    }

    #[test]
    fn releases_of_one_line_are_the_same_interface() {
        assert!(is_same("wasi:io/poll@0.2.0", "wasi:io/poll@0.2.12"));
        assert!(is_same("a:b/c", "a:b/c"));
        for (one, other) in [
            ("wasi:cli/run@0.2.0", "wasi:cli/run@0.3.0"),
            ("wasi:io/poll@0.2.0", "wasi:io/error@0.2.0"),
            ("wasi:io/poll@0.2.0", "wasi:io/poll"),
            ("a:b/c@1.0.0", "a:b/c@1.0.1"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn only_new_functions_are_more() {
        let before = [import("wasi:io/poll@0.2.0", &["poll"]), import("wasi:io/error@0.2.0", &[])];
        let after =
            [import("wasi:io/poll@0.2.6", &["poll", "later"]), import("wasi:random/random@0.2.6", &[])];
        let found: Vec<_> = more(&before, &after)
            .into_iter()
            .map(|change| (change.name, change.whole, change.functions.join(" ")))
            .collect();
        let expected = [("wasi:io/poll@0.2.6", false, "later"), ("wasi:random/random@0.2.6", true, "")];
        assert_eq!(
            found,
            expected.map(|(name, whole, functions)| (name.to_owned(), whole, functions.to_owned()))
        );
        assert_eq!(more(&after, &before).len(), 1);
        assert_eq!(more(&before, &before), []);
    }
}
