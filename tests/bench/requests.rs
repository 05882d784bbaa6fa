//! Measures each kind of request, in rounds that take the servers in turn.

use crate::load::{Idle, Load, Pace};
use crate::servers::{Running, SERVER_CORE, Server};
use crate::site::{CASES, Case, Site};
use crate::{Arguments, is_wanted, report};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The results of one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// The number of answers, which all had the expected status.
    pub requests: usize,
    /// The length of the round, in seconds.
    pub seconds: f64,
    /// CPU time of the server in user space, in microseconds per request.
    pub user: f64,
    /// CPU time of the server in the kernel, in microseconds per request.
    pub kernel: f64,
    /// Latencies in microseconds: the 50th, the 99th and the 99.9th percentile.
    pub latency: [f64; 3],
    /// Resident memory of the server after the round, in KiB.
    pub memory: u64,
}

impl Round {
    /// Puts a server under load for this long.
    pub fn run(server: &Running, load: &Load<'_>, time: Duration) -> Self {
        let before = server.cpu();
        let start = Instant::now();
        let mut latencies = load.run(time);
        let seconds = start.elapsed().as_secs_f64();
        let (user, kernel) = server.cpu();
        latencies.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss)]
        let requests = latencies.len() as f64;
        Self {
            requests: latencies.len(),
            seconds,
            user: (user - before.0) / requests,
            kernel: (kernel - before.1) / requests,
            latency: [0.5, 0.99, 0.999].map(|share| report::quantile(&latencies, share)),
            memory: server.memory(),
        }
    }

    /// CPU time per request, in microseconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.kernel
    }

    /// Requests per second.
    #[allow(clippy::cast_precision_loss)]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// The results for one server and one case.
#[derive(Debug, Serialize)]
pub struct Measurement {
    /// The server.
    pub server: &'static str,
    /// The kind of request.
    pub case: &'static str,
    /// The results of each round.
    pub rounds: Vec<Round>,
}

impl Measurement {
    /// The median of a value over the rounds.
    pub fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        report::median(self.rounds.iter().map(value).collect())
    }
}

/// A load of as many requests of this kind as the server can answer.
pub fn load<'a>(server: &Running, case: &Case, request: &'a str, connections: usize) -> Load<'a> {
    Load {
        address: server.address,
        request,
        status: case.status,
        connections,
        pace: Pace::Answered,
        idle: Idle::Spin,
    }
}

/// Measures each server with each case.
pub fn measure(servers: &[Server], site: &Site, arguments: &Arguments, time: Duration) -> Vec<Measurement> {
    let running: Vec<Running> =
        servers.iter().map(|server| server.start(site, &[SERVER_CORE], &[])).collect();
    let mut measurements: Vec<Measurement> = Vec::new();
    for case in CASES.iter().filter(|case| is_wanted(case.name, &arguments.cases)) {
        let able: Vec<_> = running.iter().filter(|server| case.is_answered_by(server)).collect();
        let first = measurements.len();
        measurements.extend(able.iter().map(|server| Measurement {
            server: server.name,
            case: case.name,
            rounds: Vec::new(),
        }));
        let round = |server: &Running, time| {
            Round::run(server, &load(server, case, &case.request(server), arguments.connections), time)
        };
        for server in &able {
            round(server, time / 4);
        }
        for _ in 0..arguments.rounds {
            for (server, measurement) in able.iter().zip(&mut measurements[first..]) {
                measurement.rounds.push(round(server, time));
            }
        }
        report::print_requests(case.name, &measurements);
    }
    measurements
}
