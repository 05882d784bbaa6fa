//! What one source gives: for each key, the words that say so on a command line, and where they come from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a source gives, by key.
pub type Layer = BTreeMap<String, Given>;

/// What a source gives for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The words: `--key=value` each, or the value alone where the key has no flag. There are none for a switch that is
    /// off.
    pub words: Vec<OsString>,
    /// Where they come from.
    pub origin: Origin,
}

/// Where something was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In this variable of the environment.
    Environment(String),
    /// In a file.
    File(Position),
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The line, from 1 on.
    pub line: usize,
    /// The character of the line, from 1 on.
    pub column: usize,
}

impl Position {
    /// The place of a byte in the text of a file.
    pub fn of(file: &Arc<PathBuf>, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            file: Arc::clone(file),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// What is wrong with a source, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Where it is wrong.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::CommandLine => {}
            Origin::Environment(variable) => write!(f, "{variable}: ")?,
            Origin::File(position) => write!(f, "{position}: ")?,
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}

/// What these layers give together. The first one that gives a key decides about it.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Layer {
    let mut merged = Layer::new();
    for layer in layers {
        for (key, given) in layer {
            if !merged.contains_key(key) {
                merged.insert(key.clone(), given.clone());
            }
        }
    }
    merged
}
