//! Measures each kind of request, in rounds that take the servers in turn.

use crate::arguments::Arguments;
use crate::cases::{Case, Service};
use crate::load::{Idle, Load};
use crate::report::{Report, Table};
use crate::round::{Round, full_load};
use crate::running::Running;
use crate::servers::{
    NGINX, Present, SERVER_CORE, STATIC_WEB_SERVER, WASMTIME_SERVE, WASMTIME_SERVE_P3,
    WASMTIME_SERVE_P3_REUSED,
};
use crate::site::Site;
use crate::statistics::{Spread, median};
use crate::summary;
use serde::Serialize;
use tests::Client;

/// The servers with which the others are compared.
const REFERENCES: [&str; 5] =
    [NGINX, STATIC_WEB_SERVER, WASMTIME_SERVE, WASMTIME_SERVE_P3, WASMTIME_SERVE_P3_REUSED];

/// A kind of request from a kind of client: what one table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// The kind of request.
    pub case: &'static str,
    /// The number of connections.
    pub connections: usize,
    /// What the client does while it has nothing to read.
    pub client: Idle,
}

/// The results for one server and one series.
#[derive(Debug, Serialize)]
pub struct Measurement {
    /// The server.
    pub server: &'static str,
    /// The series.
    #[serde(flatten)]
    pub series: Series,
    /// The results of each round.
    pub rounds: Vec<Round>,
}

impl Series {
    /// Its name in the report.
    pub fn title(&self) -> String {
        let client = match self.client {
            Idle::Spin => "a client that never sleeps",
            Idle::Sleep => "a client that sleeps",
        };
        let plural = if self.connections == 1 { "" } else { "s" };
        format!("{}; {} connection{plural}, {client}", self.case, self.connections)
    }
}

impl Measurement {
    /// The median of a value over the rounds.
    pub fn median(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value))
    }
}

/// Measures each server with each case.
pub fn measure(
    servers: &[Present],
    site: &Site,
    arguments: &Arguments,
    report: &mut Report,
) -> Vec<Measurement> {
    let mut all = Vec::new();
    for service in [Service::Files, Service::Rules, Service::Hello] {
        let cases = arguments.cases().into_iter().filter(|case| case.service == service);
        let cases: Vec<&Case> = cases.collect();
        if cases.is_empty() {
            continue;
        }
        let able = servers.iter().filter(|server| server.serves(service));
        let running: Vec<Running> =
            able.map(|server| server.start_with(site, service, &[SERVER_CORE], &[])).collect();
        // Check every answer before anything is measured.
        let answering: Vec<(&Case, Vec<&Running>)> = cases
            .into_iter()
            .map(|case| (case, running.iter().filter(|server| is_right(server, case, site)).collect()))
            .collect();
        for (case, running) in &answering {
            for (connections, client) in arguments.loads(case) {
                let series = Series { case: case.name, connections, client };
                let measurements = run(running, case, series, arguments);
                report.add(&table(series, &measurements));
                all.extend(measurements);
            }
        }
    }
    report.add(&summary::table(&all));
    all
}

/// Whether a server gives the expected answer. A server that does not is left out of the comparison.
fn is_right(server: &Running, case: &Case, site: &Site) -> bool {
    let mut client = Client::connect(server.address);
    let answer = client.send(case.request(&server.validator)).response("GET");
    let fault = case.fault(site, &answer);
    if let Some(fault) = &fault {
        println!("{} does not give the expected answer to {}: {fault}", server.name, case.name);
    }
    fault.is_none()
}

/// Measures the servers in turn.
fn run(running: &[&Running], case: &Case, series: Series, arguments: &Arguments) -> Vec<Measurement> {
    let time = arguments.time();
    let round = |server: &Running, time| {
        let request = case.request(&server.validator);
        let load = full_load(server, case, &request, series.connections);
        Round::run(server, &Load { idle: series.client, ..load }, time)
    };
    for server in running {
        round(server, time / 4);
    }
    let mut measurements: Vec<_> = running
        .iter()
        .map(|server| Measurement { server: server.name, series, rounds: Vec::new() })
        .collect();
    for _ in 0..arguments.rounds {
        for (server, measurement) in running.iter().zip(&mut measurements) {
            measurement.rounds.push(round(server, time));
        }
    }
    measurements
}

/// A value as a ratio to that of the reference in the same round.
pub fn ratios(rounds: &[Round], reference: &[Round], value: impl Fn(&Round) -> f64) -> Spread {
    Spread::of(rounds.iter().zip(reference).map(|(round, reference)| value(round) / value(reference)))
}

/// The table of one series, with ratios to those references that are part of it.
fn table(series: Series, measurements: &[Measurement]) -> Table {
    let references: Vec<&Measurement> = REFERENCES
        .iter()
        .filter_map(|name| measurements.iter().find(|measurement| measurement.server == *name))
        .collect();
    let mut columns = vec!["CPU µs", "user", "kernel", "req/s", "p50 µs", "p99 µs", "MiB"];
    let titles: Vec<String> = references.iter().map(|reference| format!("of {}", reference.server)).collect();
    columns.extend(titles.iter().map(String::as_str));
    let mut table = Table::new(series.title(), &columns);
    for measurement in measurements {
        let mut cells = vec![
            format!("{:.1}", Spread::of(measurement.rounds.iter().map(Round::cpu))),
            format!("{:.1}", measurement.median(|round| round.user)),
            format!("{:.1}", measurement.median(|round| round.kernel)),
            format!("{:.0}", measurement.median(Round::rate)),
            format!("{:.0}", measurement.median(|round| round.latency[0])),
            format!("{:.0}", measurement.median(Round::p99)),
            format!("{:.1}", measurement.median(Round::mebibytes)),
        ];
        cells.extend(
            references.iter().map(|other| ratios(&measurement.rounds, &other.rounds, Round::cpu).to_string()),
        );
        table.row(measurement.server, cells);
    }
    table
}
