//! What one source gives: for each key, the words that say so on a command line, and where they come from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
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

/// The text of a file, with the places of its lines.
#[derive(Debug)]
pub struct Text<'a> {
    file: &'a Arc<PathBuf>,
    content: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    /// This text of a file.
    pub fn new(file: &'a Arc<PathBuf>, content: &'a str) -> Self {
        let ends = content.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect();
        Self { file, content, starts }
    }

    /// The place of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= byte);
        // The first line begins at 0, so that there is one at least.
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.content.get(start..byte).unwrap_or_default();
        Position { file: Arc::clone(self.file), line, column: before.chars().count() + 1 }
    }

    /// The path of the file.
    pub fn file(&self) -> &'a Path {
        self.file
    }

    /// A part of it, if it is one.
    pub fn get(&self, span: Range<usize>) -> Option<&'a str> {
        self.content.get(span)
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
