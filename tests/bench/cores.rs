//! The cost of a request on one core and on two, which the server shares with the load.

use crate::load::{self, Idle, Load};
use crate::report::print;
use crate::requests::{Measurement as Rounds, Round, load};
use crate::servers::{LOAD_CORE, SERVER_CORE, Server};
use crate::site::{Case, Site};
use serde::Serialize;
use std::time::Duration;

/// The number of connections: enough requests at the same time to keep two cores busy.
const CONNECTIONS: usize = 64;

/// The results for one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    one: Rounds,
    two: Rounds,
}

/// Measures wasi-httpd only: it uses every core that it is given without being configured for it.
pub fn measure(servers: &[Server], site: &Site, rounds: usize, time: Duration) -> Vec<Measurement> {
    let case = Case::small();
    let both = [SERVER_CORE, LOAD_CORE];
    load::pin_to(&both);
    let measurements: Vec<_> = servers
        .iter()
        .filter(|server| server.name.starts_with("wasi-httpd"))
        .map(|server| {
            let running = [&both[..1], &both[..]].map(|cores| server.start(site, cores, &[]));
            let request = case.request(&running[0]);
            let [mut one, mut two] =
                [server.name; 2].map(|server| Rounds { server, case: case.name, rounds: Vec::new() });
            for _ in 0..rounds {
                for (server, of) in running.iter().zip([&mut one, &mut two]) {
                    let load = Load { idle: Idle::Sleep, ..load(server, case, &request, CONNECTIONS) };
                    load.run(time / 4);
                    of.rounds.push(Round::run(server, &load, time));
                }
            }
            Measurement { server: server.name, one, two }
        })
        .collect();
    load::pin_to(&[LOAD_CORE]);
    let rows = measurements.iter().map(|measurement| {
        let of = |rounds: &Rounds| [rounds.median(Round::rate), rounds.median(Round::cpu)];
        (measurement.server, [of(&measurement.one), of(&measurement.two)].concat())
    });
    print(
        "1 KiB on one core and on two, which the load shares",
        &["1: req/s", "CPU µs", "2: req/s", "CPU µs"],
        rows,
    );
    measurements
}
