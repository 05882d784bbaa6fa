//! A limit on how much may be printed in a second.

use std::time::Instant;

/// A token bucket: a burst of so many bytes, and so many bytes a second after that.
#[derive(Debug)]
pub struct Rate {
    burst: u64,
    per_second: u64,
    left: u64,
    filled: Instant,
}

impl Rate {
    /// A full bucket.
    pub fn new(burst: u64, per_second: u64, now: Instant) -> Self {
        Self { burst, per_second, left: burst, filled: now }
    }

    /// Takes so many bytes, if that many are left at this moment.
    pub fn take(&mut self, bytes: u64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled);
        let earned =
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.per_second) / 1000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.filled = now;
        }
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use std::time::{Duration, Instant};

    #[test]
    fn a_burst_passes_and_then_so_much_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(100, 10, start);
        assert!(rate.take(100, start));
        assert!(!rate.take(1, start));
        let later = start + Duration::from_secs(2);
        assert!(rate.take(20, later));
        assert!(!rate.take(1, later));
        let much_later = later + Duration::from_mins(1);
        assert!(rate.take(100, much_later) && !rate.take(1, much_later), "never more than a burst");
    }
}
