//! The latency of small files at half of a server's maximum rate.

use crate::arguments::Arguments;
use crate::cases::SMALL;
use crate::load::{Load, Pace};
use crate::report::{Report, Table};
use crate::requests::ratios;
use crate::round::{Round, full_load};
use crate::running::Running;
use crate::servers::{NGINX, Present};
use crate::site::Site;
use crate::statistics::{Spread, median};
use serde::Serialize;

/// The number of rounds. More than for CPU time, because other activity on the machine shows in the slowest requests
/// first.
const MIN_ROUNDS: usize = 7;

/// The results for one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    connections: usize,
    /// Requests per second: half of the server's maximum.
    rate: f64,
    rounds: Vec<Round>,
}

/// Measures each server with each number of connections.
pub fn measure(
    servers: &[Present],
    site: &Site,
    arguments: &Arguments,
    report: &mut Report,
) -> Vec<Measurement> {
    let running: Vec<Running> = servers.iter().map(|server| server.start(site)).collect();
    let mut all = Vec::new();
    for &connections in arguments.paced_connections() {
        let measurements = run(&running, connections, arguments);
        report.add(&table(connections, &measurements));
        all.extend(measurements);
    }
    all
}

/// Measures the servers in turn. The client never sleeps, so that each request is sent when it is due. Latency counts
/// from then, also where the request has to wait for a free connection.
fn run(running: &[Running], connections: usize, arguments: &Arguments) -> Vec<Measurement> {
    let time = arguments.time();
    let request = |server: &Running| SMALL.request(&server.validator);
    let mut measurements: Vec<Measurement> = running
        .iter()
        .map(|server| {
            let request = request(server);
            let load = full_load(server, SMALL, &request, connections);
            load.run(time / 4);
            let rate = Round::run(server, &load, time).rate() / 2.0;
            Measurement { server: server.name, connections, rate, rounds: Vec::new() }
        })
        .collect();
    for _ in 0..arguments.rounds.max(MIN_ROUNDS) {
        for (server, measurement) in running.iter().zip(&mut measurements) {
            let request = request(server);
            let load = full_load(server, SMALL, &request, connections);
            let half = Load { pace: Pace::PerSecond(measurement.rate), ..load };
            measurement.rounds.push(Round::run(server, &half, time));
        }
    }
    measurements
}

fn table(connections: usize, measurements: &[Measurement]) -> Table {
    let nginx = measurements.iter().find(|measurement| measurement.server == NGINX);
    let mut table = Table::new(
        format!("1 KiB at half of the maximum rate; {connections} connections"),
        &["req/s", "p50 µs", "p99 µs", "p99.9 µs", "p99 of nginx"],
    );
    for Measurement { server, rate, rounds, .. } in measurements {
        let of = |value: fn(&Round) -> f64| rounds.iter().map(value);
        table.row(
            server,
            vec![
                format!("{rate:.0}"),
                format!("{:.0}", median(of(|round| round.latency[0]))),
                format!("{:.0}", Spread::of(of(Round::p99))),
                format!("{:.0}", median(of(|round| round.latency[2]))),
                nginx.map_or_else(String::new, |nginx| ratios(rounds, &nginx.rounds, Round::p99).to_string()),
            ],
        );
    }
    table
}
