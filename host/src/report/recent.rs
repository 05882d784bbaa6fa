//! The last warnings and errors, for who looks at the server and not at its standard error.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How many are kept.
const MAX_KEPT: usize = 20;

/// How much of one is kept, in bytes.
const MAX_LENGTH: usize = 500;

/// A warning or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it came.
    pub time: SystemTime,
    /// Whether it is an error.
    pub is_error: bool,
    /// What it says, in one line.
    pub text: String,
}

/// `None` without `--admin`.
static LINES: Mutex<Option<VecDeque<Line>>> = Mutex::new(None);

/// Keeps them from now on.
pub fn start() {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Keeps one.
pub(super) fn keep(is_error: bool, text: &str) {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(lines) = lines.as_mut() else { return };
    if lines.len() == MAX_KEPT {
        lines.pop_front();
    }
    let text = text[..text.floor_char_boundary(MAX_LENGTH)].to_owned();
    lines.push_back(Line { time: SystemTime::now(), is_error, text });
}

/// Those that are kept, the newest one first.
pub fn lines() -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().flatten().rev().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEPT, MAX_LENGTH, keep, lines, start};

    #[test]
    fn the_last_ones_are_kept_once_they_are_read() {
        keep(true, "before");
        assert_eq!(lines(), []);
        start();
        for number in 0..MAX_KEPT + 5 {
            keep(number % 2 == 0, &format!("{number} {}", "\u{e9}".repeat(MAX_LENGTH)));
        }
        let lines = lines();
        assert_eq!(lines.len(), MAX_KEPT);
        assert!(lines[0].text.starts_with("24 ") && lines[0].is_error && lines[0].text.len() <= MAX_LENGTH);
    }
}
