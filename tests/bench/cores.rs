//! The cost of a request on one core and on two, which the server shares with the load.

use crate::arguments::Arguments;
use crate::cases::{SMALL, Service};
use crate::load::{self, Idle, Load};
use crate::report::{Report, Table};
use crate::round::{Round, full_load};
use crate::servers::{LOAD_CORE, Present, SERVER_CORE};
use crate::site::Site;
use crate::statistics::{Spread, median};
use serde::Serialize;

/// The number of connections: enough requests at the same time to keep two cores busy.
const CONNECTIONS: usize = 64;

/// The results for one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    one: Vec<Round>,
    two: Vec<Round>,
}

/// Measures wasi-httpd only: it uses every core that it is given without being configured for it.
pub fn measure(
    servers: &[Present],
    site: &Site,
    arguments: &Arguments,
    report: &mut Report,
) -> Vec<Measurement> {
    let time = arguments.time();
    let both = [SERVER_CORE, LOAD_CORE];
    load::pin_to(&both);
    let measurements: Vec<_> = servers
        .iter()
        .filter(|server| server.is_ours())
        .map(|server| {
            let running =
                [&both[..1], &both[..]].map(|cores| server.start_with(site, Service::Files, cores, &[]));
            let request = SMALL.request(&running[0].validator);
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for _ in 0..arguments.rounds {
                for (server, rounds) in running.iter().zip([&mut one, &mut two]) {
                    let load = Load { idle: Idle::Sleep, ..full_load(server, SMALL, &request, CONNECTIONS) };
                    load.run(time / 4);
                    rounds.push(Round::run(server, &load, time));
                }
            }
            Measurement { server: server.name(), one, two }
        })
        .collect();
    load::pin_to(&[LOAD_CORE]);
    report.add(&table(&measurements));
    measurements
}

fn table(measurements: &[Measurement]) -> Table {
    let mut table = Table::new(
        "1 KiB on one core and on two, which the load shares",
        &["1: req/s", "CPU µs", "2: req/s", "CPU µs", "rate on 2 of that on 1"],
    );
    for Measurement { server, one, two } in measurements {
        let of = |rounds: &[Round], value: fn(&Round) -> f64| median(rounds.iter().map(value));
        let gain = Spread::of(two.iter().zip(one).map(|(two, one)| two.rate() / one.rate()));
        table.row(
            server,
            vec![
                format!("{:.0}", of(one, Round::rate)),
                format!("{:.1}", of(one, Round::cpu)),
                format!("{:.0}", of(two, Round::rate)),
                format!("{:.1}", of(two, Round::cpu)),
                gain.to_string(),
            ],
        );
    }
    table
}
