//! A limit on how much there may be in a second: of what is printed, or of what a client sends.

use std::time::{Duration, Instant};

/// A token bucket: a burst of so many, such as bytes, and so many a second after that.
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

    /// Takes so many, if that many are left at this moment.
    pub fn take(&mut self, count: u64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled);
        let earned =
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.per_second) / 1000;
        if earned > 0 {
            self.add(earned);
            // What time has earned a part of counts the next time.
            self.filled += Duration::from_millis(earned.saturating_mul(1000) / self.per_second);
        }
        let left = self.left.checked_sub(count);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Adds so many, but never more than a burst in all.
    pub fn add(&mut self, count: u64) {
        self.left = self.left.saturating_add(count).min(self.burst);
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

    #[test]
    fn parts_of_one_are_not_lost() {
        let start = Instant::now();
        let mut rate = Rate::new(1, 500, start);
        let took = |at: u64| rate.take(1, start + Duration::from_millis(3 * at));
        assert_eq!((0..1_000).map(took).filter(|&took| took).count(), 1_000);
        let mut rate = Rate::new(2, 100, start);
        let took = |at: u64| rate.take(1, start + Duration::from_millis(7 * at));
        assert_eq!((0..1_000).map(took).filter(|&took| took).count(), 2 + 699);
    }
}
