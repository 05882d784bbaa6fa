//! How fast the servers are: each on one core, the load on another, the same files and connections, in interleaved rounds.
//!
//! `cargo run --release -p tests --features bench --bin bench -- --help` says what it takes. Servers that are not on this
//! machine are named as missing, with how to install them. What counts is the CPU time per request, from the process's
//! own accounting, and its ratio to nginx in the same round: the rest depends on what else a machine does.

mod load;
mod report;
mod servers;
mod site;

use clap::Parser;
use load::Round;
use servers::{Running, Server};
use site::{CASES, Site};
use std::path::PathBuf;
use std::time::Duration;

/// Measures the servers that are on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only servers whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,

    /// Only cases whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,

    /// How often each server is measured with each case
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// How long each round takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    time: u64,

    /// Connections at a time, each with one request under way
    #[arg(long, default_value_t = 16)]
    connections: usize,

    /// Where the results are written: results.json and cpu.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    output: PathBuf,
}

/// What was measured of one server with one case.
#[derive(Debug, serde::Serialize)]
struct Measurement {
    server: String,
    case: &'static str,
    rounds: Vec<Round>,
}

fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

fn main() {
    let arguments = Arguments::parse();
    let site = Site::new();
    let (present, missing): (Vec<Server>, Vec<Server>) = servers::all()
        .into_iter()
        .filter(|server| is_wanted(server.name, &arguments.servers))
        .partition(Server::is_present);
    for server in &missing {
        println!("missing: {}; {}", server.name, server.remedy);
    }
    load::pin_to(servers::LOAD_CORE);
    let running: Vec<Running> = present.iter().map(|server| server.start(&site)).collect();

    let mut measurements = Vec::new();
    for case in CASES.iter().filter(|case| is_wanted(case.name, &arguments.cases)) {
        let able: Vec<_> = running.iter().filter(|server| case.is_answered_by(server)).collect();
        let mut rounds: Vec<Vec<Round>> = able.iter().map(|_| Vec::new()).collect();
        let time = Duration::from_millis(arguments.time);
        for server in &able {
            load::run(server, case, arguments.connections, time / 4);
        }
        for _ in 0..arguments.rounds {
            for (server, rounds) in able.iter().zip(&mut rounds) {
                rounds.push(load::run(server, case, arguments.connections, time));
            }
        }
        for (server, rounds) in able.iter().zip(rounds) {
            measurements.push(Measurement { server: server.name.to_owned(), case: case.name, rounds });
        }
        report::print(case.name, &measurements);
    }
    report::write(&arguments.output, &measurements);
}
