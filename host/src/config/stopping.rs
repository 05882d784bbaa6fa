//! How a server stops: how long it serves on, and how long it waits for answers.

use super::{ConfigError, defaults};
use crate::cli;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest time to serve on, in seconds. Load balancers look every few seconds, and keep to names of DNS for some
/// minutes.
const GRACE_RANGE: RangeInclusive<u32> = 0..=300;

/// The longest time for answers under way, in seconds: a long download.
const DRAIN_RANGE: RangeInclusive<u32> = 0..=3_600;

/// The times of a server that stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// How long it serves on after the first signal.
    pub grace: Duration,
    /// How long answers under way may take after that.
    pub drain: Duration,
}

impl Stopping {
    /// Validates the arguments.
    pub(super) fn new(typed: cli::Stopping) -> Result<Self, ConfigError> {
        let cli::Stopping { grace, drain_timeout } = typed;
        let within = |flag, typed: Option<u32>, default, range: RangeInclusive<u32>| {
            let value = typed.unwrap_or(default);
            if range.contains(&value) {
                Ok(Duration::from_secs(value.into()))
            } else {
                Err(ConfigError::Range { flag, range, value })
            }
        };
        Ok(Self {
            grace: within("--grace", grace, defaults::GRACE, GRACE_RANGE)?,
            drain: within("--drain-timeout", drain_timeout, defaults::DRAIN_TIMEOUT, DRAIN_RANGE)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Stopping};
    use crate::cli;
    use std::time::Duration;

    #[test]
    fn both_times_have_an_end() {
        let new = |grace, drain_timeout| Stopping::new(cli::Stopping { grace, drain_timeout });
        let seconds = Duration::from_secs;
        assert_eq!(new(None, None), Ok(Stopping { grace: Duration::ZERO, drain: seconds(10) }));
        assert_eq!(new(Some(300), Some(0)), Ok(Stopping { grace: seconds(300), drain: Duration::ZERO }));
        let grace = ConfigError::Range { flag: "--grace", range: 0..=300, value: 301 };
        assert_eq!(new(Some(301), None), Err(grace));
        let drain = ConfigError::Range { flag: "--drain-timeout", range: 0..=3_600, value: 3_601 };
        assert_eq!(new(None, Some(3_601)), Err(drain));
    }
}
