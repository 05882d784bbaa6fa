//! Warnings that clients can cause as often as they like.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long after a warning the same one is not given again.
const PAUSE: Duration = Duration::from_mins(1);

/// A warning that is given at most once a minute.
#[derive(Debug, Default)]
pub struct Occasionally(Mutex<Option<Instant>>);

impl Occasionally {
    /// One that was not given yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether it is to be given now.
    pub fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= PAUSE);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::Occasionally;

    #[test]
    fn a_warning_is_not_repeated_at_once() {
        let warning = Occasionally::new();
        assert!(warning.is_due());
        assert!(!warning.is_due());
    }
}
