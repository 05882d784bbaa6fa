//! One round: a server under load for some time, and what that costs it.

use crate::cases::Case;
use crate::load::{Idle, Load, Pace};
use crate::running::Running;
use crate::statistics::quantile;
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
            latency: [0.5, 0.99, 0.999].map(|share| quantile(&latencies, share)),
            memory: server.memory(),
        }
    }

    /// CPU time per request, in microseconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.kernel
    }

    /// The 99th percentile of latency, in microseconds.
    pub fn p99(&self) -> f64 {
        self.latency[1]
    }

    /// Requests per second.
    #[allow(clippy::cast_precision_loss)]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Resident memory of the server after the round, in MiB.
    #[allow(clippy::cast_precision_loss)]
    pub fn mebibytes(&self) -> f64 {
        self.memory as f64 / 1024.0
    }
}

/// A load of as many requests of this kind as the server can answer, from a client that never sleeps.
pub fn full_load<'a>(server: &Running, case: &Case, request: &'a str, connections: usize) -> Load<'a> {
    Load {
        address: server.address,
        request,
        status: case.status,
        connections,
        pace: Pace::Answered,
        idle: Idle::Spin,
    }
}
