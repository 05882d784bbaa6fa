//! The latency of small files at half of a server's maximum rate.

use crate::load::{Load, Pace};
use crate::report::{median, print};
use crate::requests::{Round, load};
use crate::servers::{Running, SERVER_CORE, Server};
use crate::site::{Case, Site};
use serde::Serialize;
use std::time::Duration;

/// The number of rounds. More than for CPU time, because other activity on the machine shows in the slowest requests
/// first.
const ROUNDS: usize = 7;

/// The results for one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    /// Requests per second: half of the server's maximum.
    rate: f64,
    rounds: Vec<Round>,
}

/// Measures each server.
pub fn measure(servers: &[Server], site: &Site, connections: usize, time: Duration) -> Vec<Measurement> {
    let running: Vec<Running> =
        servers.iter().map(|server| server.start(site, &[SERVER_CORE], &[])).collect();
    let case = Case::small();
    let mut measurements: Vec<Measurement> = running
        .iter()
        .map(|server| {
            let request = case.request(server);
            let full_load = load(server, case, &request, connections);
            full_load.run(time / 4);
            let rate = Round::run(server, &full_load, time).rate() / 2.0;
            Measurement { server: server.name, rate, rounds: Vec::new() }
        })
        .collect();
    for _ in 0..ROUNDS {
        for (server, measurement) in running.iter().zip(&mut measurements) {
            let request = case.request(server);
            // More connections than requests at a time, so that no request waits for a free connection.
            let full_load = load(server, case, &request, connections * 4);
            let half = Load { pace: Pace::PerSecond(measurement.rate), ..full_load };
            measurement.rounds.push(Round::run(server, &half, time));
        }
    }
    let rows = measurements.iter().map(|measurement| {
        let over = |value: fn(&Round) -> f64| median(measurement.rounds.iter().map(value).collect());
        (
            measurement.server,
            vec![
                measurement.rate,
                over(|round| round.latency[0]),
                over(|round| round.latency[1]),
                over(|round| round.latency[2]),
            ],
        )
    });
    print("1 KiB at half of the maximum rate", &["req/s", "p50 µs", "p99", "p99.9"], rows);
    measurements
}
