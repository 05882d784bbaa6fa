//! The last minutes, in samples of a second each.

use super::state::State;
use crate::report::metrics::site::{CLASSES, TIMES};
use crate::report::metrics::{Counts, SiteMetrics};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// How many samples are kept: five minutes.
pub(super) const LENGTH: usize = 300;

/// The time of a sample.
const SECOND: Duration = Duration::from_secs(1);

/// The place of the statuses that are the server's fault in [`CLASSES`].
const ERRORS: usize = CLASSES.len() - 1;

/// Times of answers.
pub(super) type Times = Counts<{ TIMES.len() }>;

/// What was counted of all sites until some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    /// Requests that have ended.
    pub(super) requests: u64,
    /// Those of them with a status of 500 and more.
    pub(super) errors: u64,
    /// Bytes of bodies.
    pub(super) bytes: u64,
    /// How long they took.
    pub(super) times: Times,
}

impl Default for Totals {
    fn default() -> Self {
        Self { requests: 0, errors: 0, bytes: 0, times: Counts::none(&TIMES) }
    }
}

impl Totals {
    /// The totals of a site.
    pub(super) fn of(site: &SiteMetrics) -> Self {
        let ended = site.ended();
        Self {
            requests: ended.as_flattened().iter().sum(),
            errors: ended.iter().map(|classes| classes[ERRORS]).sum(),
            bytes: site.size().sum,
            times: site.total(),
        }
    }

    /// Those of both.
    #[must_use]
    pub(super) fn plus(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            bytes: self.bytes + other.bytes,
            times: self.times.plus(&other.times),
        }
    }

    fn since(self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            times: self.times.since(&earlier.times),
        }
    }
}

/// What the server was like at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    /// Open connections.
    pub(super) connections: usize,
    /// Instances in use.
    pub(super) instances: u32,
    /// Resident memory in bytes.
    pub(super) memory: u64,
    /// Time that the process has had on processors, in seconds.
    pub(super) cpu: f64,
}

/// A second, or longer where the server was too busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// How long it was, in seconds.
    pub(super) seconds: f64,
    /// What has come in it.
    pub(super) came: Totals,
    /// What the server was like at its end. The time on processors is that of this second.
    pub(super) levels: Levels,
}

/// The last samples.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    last: Option<(Instant, Totals, Levels)>,
}

impl History {
    /// Adds what was counted until now.
    pub(super) fn add(&mut self, now: Instant, totals: Totals, levels: Levels) {
        if let Some((before, earlier, were)) = self.last.replace((now, totals, levels)) {
            if self.samples.len() == LENGTH {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                seconds: (now - before).as_secs_f64(),
                came: totals.since(&earlier),
                levels: Levels { cpu: (levels.cpu - were.cpu).max(0.0), ..levels },
            });
        }
    }

    /// The samples, the oldest one first.
    pub(super) fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> + DoubleEndedIterator {
        self.samples.iter()
    }

    /// What has come in the last so many samples, and in how many seconds.
    pub(super) fn lately(&self, samples: usize) -> (Totals, f64) {
        let last = self.samples().rev().take(samples);
        last.fold((Totals::default(), 0.0), |(totals, seconds), sample| {
            (totals.plus(&sample.came), seconds + sample.seconds)
        })
    }
}

/// Adds a sample each second, for as long as the server runs.
pub(super) async fn sample(state: Arc<State>) {
    let mut ticks = interval(SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let totals =
            state.metrics.sites().iter().fold(Totals::default(), |all, site| all.plus(&Totals::of(site)));
        let open = state.connections.open();
        let levels = Levels {
            connections: open.active + open.idle,
            instances: state.sites().iter().map(|site| site.load().in_use).sum(),
            memory: state.process.memory().unwrap_or_default(),
            cpu: state.process.cpu().unwrap_or_default(),
        };
        state.history().add(Instant::now(), totals, levels);
    }
}

#[cfg(test)]
mod tests {
    use super::{History, LENGTH, Levels, Totals};
    use std::time::{Duration, Instant};

    #[test]
    fn a_sample_is_what_has_come_since_the_one_before() {
        let start = Instant::now();
        let mut history = History::default();
        for second in 0..=LENGTH as u64 + 50 {
            let totals = Totals { requests: second * 10, errors: second, ..Totals::default() };
            let levels =
                Levels { connections: usize::try_from(second).unwrap(), cpu: 0.5, ..Levels::default() };
            history.add(start + Duration::from_secs(second), totals, levels);
        }
        assert_eq!(history.samples().len(), LENGTH);
        assert!(history.samples().all(|sample| (sample.came.requests, sample.came.errors) == (10, 1)));
        assert!(history.samples().all(|sample| sample.levels.cpu == 0.0));
        assert_eq!(history.samples().next_back().unwrap().levels.connections, LENGTH + 50);
        let (came, seconds) = history.lately(60);
        assert_eq!((came.requests, seconds), (600, 60.0));
        let (all, seconds) = history.lately(usize::MAX);
        assert_eq!((all.requests, seconds), (3_000, 300.0));
    }
}
