//! A summary of the server, for the page and for programs.

use super::history::{Sample, Totals};
use super::state::State;
use crate::app::{About, App};
use crate::report::metrics::events::{Failure, Limit, Log, Reload};
use crate::report::recent;
use serde::Serialize;
use std::time::SystemTime;

/// Samples that count as now: enough for a steady figure of few requests.
const NOW: usize = 10;

/// Samples in which errors and times of answers are looked for.
const LATELY: usize = 60;

/// Everything that is on the page. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    pub(super) is_ready: bool,
    pub(super) uptime: f64,
    /// Requests a second, in the last ten seconds.
    pub(super) requests_per_second: f64,
    /// Bytes of bodies a second, in the last ten seconds.
    pub(super) bytes_per_second: f64,
    /// The part of the requests of the last minute with a status of 500 and more; nothing without requests.
    pub(super) errors: Option<f64>,
    /// Half of the requests of the last minute took no longer.
    pub(super) p50: Option<f64>,
    /// Nearly all requests of the last minute took no longer.
    pub(super) p99: Option<f64>,
    pub(super) connections: Connections,
    pub(super) instances: Instances,
    /// Resident memory in bytes.
    pub(super) memory: Option<u64>,
    /// How many processors it has used, in the last ten seconds.
    pub(super) cpu: f64,
    pub(super) sites: Vec<Site>,
    pub(super) limits: Vec<Count>,
    pub(super) failures: Vec<Count>,
    pub(super) dropped_lines: u64,
    pub(super) last_reload: Option<LastReload>,
    pub(super) warnings: Vec<Warning>,
    /// The last five minutes, a second each.
    pub(super) history: History,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Connections {
    pub(super) active: usize,
    pub(super) idle: usize,
    pub(super) limit: usize,
    pub(super) accepted: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Instances {
    pub(super) in_use: u32,
    pub(super) idle: usize,
    pub(super) limit: u32,
    /// Requests that wait for one.
    pub(super) waiting: u32,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Site {
    pub(super) name: String,
    /// Its guest.
    #[serde(flatten)]
    pub(super) guest: About,
    /// Its other components, the one that clients reach first.
    pub(super) middlewares: Vec<About>,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) in_flight: u64,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) instances: Instances,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Count {
    pub(super) what: String,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct LastReload {
    pub(super) what: &'static str,
    pub(super) has_succeeded: bool,
    /// How long ago.
    pub(super) age: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Warning {
    /// How long ago.
    pub(super) age: f64,
    pub(super) is_error: bool,
    pub(super) text: String,
}

/// Values of each second, the oldest one first.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct History {
    pub(super) requests: Vec<f64>,
    pub(super) errors: Vec<f64>,
    /// Of bodies.
    pub(super) bytes: Vec<f64>,
    pub(super) p50: Vec<Option<f64>>,
    pub(super) p99: Vec<Option<f64>>,
    pub(super) connections: Vec<f64>,
    pub(super) instances: Vec<f64>,
    pub(super) memory: Vec<u64>,
    pub(super) cpu: Vec<f64>,
}

/// A part of all answers, in seconds.
fn quantile(totals: &Totals, part: f64) -> Option<f64> {
    totals.times.quantile(part).map(|nanos| nanos / 1e9)
}

fn age(time: SystemTime) -> f64 {
    time.elapsed().unwrap_or_default().as_secs_f64()
}

#[allow(clippy::cast_precision_loss)]
fn ratio(number: u64, of: f64) -> f64 {
    if of > 0.0 { number as f64 / of } else { 0.0 }
}

impl Status {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn of(state: &State) -> Self {
        let (now, lately, history, cpu) = {
            let history = state.history();
            let used: f64 = history.samples().rev().take(NOW).map(|sample| sample.levels.cpu).sum();
            let (now, seconds) = history.lately(NOW);
            let cpu = if seconds > 0.0 { used / seconds } else { 0.0 };
            ((now, seconds), history.lately(LATELY).0, History::of(history.samples()), cpu)
        };
        let open = state.connections.open();
        let sites: Vec<Site> = state.sites().iter().map(|app| Site::of(app, state)).collect();
        let instances = sites.iter().fold(Instances::default(), |all, site| Instances {
            in_use: all.in_use + site.instances.in_use,
            idle: all.idle + site.instances.idle,
            limit: all.limit + site.instances.limit,
            waiting: all.waiting + site.instances.waiting,
        });
        let last_reload = Reload::last().map(|(what, time, has_succeeded)| LastReload {
            what: what.name(),
            has_succeeded,
            age: age(time),
        });
        let warnings = recent::lines().into_iter();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            is_ready: state.is_ready(),
            uptime: age(state.process.started()),
            requests_per_second: ratio(now.0.requests, now.1),
            bytes_per_second: ratio(now.0.bytes, now.1),
            errors: (lately.requests > 0).then(|| ratio(lately.errors, lately.requests as f64)),
            p50: quantile(&lately, 0.5),
            p99: quantile(&lately, 0.99),
            connections: Connections {
                active: open.active,
                idle: open.idle,
                limit: state.connections.most(),
                accepted: state.connections.accepted(),
            },
            instances,
            memory: state.process.memory(),
            cpu,
            failures: failures(&sites),
            sites,
            limits: Limit::ALL.iter().filter_map(|limit| Count::of(limit.name(), limit.hits())).collect(),
            dropped_lines: Log::ALL.iter().map(|log| log.dropped()).sum(),
            last_reload,
            warnings: warnings
                .map(|line| Warning { age: age(line.time), is_error: line.is_error, text: line.text })
                .collect(),
            history,
        }
    }
}

/// How guests have failed, of all sites together.
fn failures(sites: &[Site]) -> Vec<Count> {
    let counts = sites.iter().fold([0; Failure::ALL.len()], |mut all, site| {
        for (count, more) in all.iter_mut().zip(Failure::counted(&site.name)) {
            *count += more;
        }
        all
    });
    Failure::ALL.iter().zip(counts).filter_map(|(kind, count)| Count::of(kind.name(), count)).collect()
}

impl Count {
    fn of(what: &str, count: u64) -> Option<Self> {
        (count > 0).then(|| Self { what: what.to_owned(), count })
    }
}

impl Site {
    fn of(app: &App, state: &State) -> Self {
        let (metrics, load) = (state.metrics.site(app.label().as_str()), app.load());
        // The guest is the last.
        let mut middlewares: Vec<_> = app.chain().cloned().collect();
        let guest = middlewares.pop().unwrap_or_default();
        let totals = Totals::of(&metrics);
        Self {
            name: metrics.label().to_owned(),
            guest,
            middlewares,
            requests: totals.requests,
            errors: totals.errors,
            in_flight: metrics.in_flight(),
            p50: quantile(&totals, 0.5),
            p99: quantile(&totals, 0.99),
            instances: Instances {
                in_use: load.in_use,
                idle: load.idle,
                limit: load.most,
                waiting: load.waiting,
            },
        }
    }
}

impl History {
    #[allow(clippy::cast_precision_loss)]
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>) -> Self {
        let mut history = Self::default();
        for Sample { seconds, came, levels } in samples {
            history.requests.push(ratio(came.requests, *seconds));
            history.errors.push(ratio(came.errors, *seconds));
            history.bytes.push(ratio(came.bytes, *seconds));
            history.p50.push(quantile(came, 0.5));
            history.p99.push(quantile(came, 0.99));
            history.connections.push(levels.connections as f64);
            history.instances.push(levels.instances.into());
            history.memory.push(levels.memory);
            history.cpu.push(if *seconds > 0.0 { levels.cpu / seconds } else { 0.0 });
        }
        history
    }
}
