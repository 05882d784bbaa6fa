//! Compares the speed and the other costs of several servers.
//!
//! `cargo run --release -p tests --features bench --bin bench -- --help` lists the arguments. Servers that are not
//! installed are reported, with the command that installs them. The result that counts is the CPU time per request,
//! from the kernel's accounting of the process, as a ratio to nginx in the same round. The other results depend more on
//! what else the machine does.

mod answer;
mod cores;
mod footprint;
mod load;
mod pace;
mod report;
mod requests;
mod servers;
mod site;
mod slow;

use clap::{Parser, ValueEnum};
use servers::Server;
use site::Site;
use std::path::PathBuf;
use std::time::Duration;

/// Measures the servers that are installed on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// The parts to measure; by default, all of them
    parts: Vec<Part>,

    /// Only servers whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,

    /// Only cases whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,

    /// The number of rounds for each server and case
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// The length of a round
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    time: u64,

    /// The number of connections, each with one request at a time
    #[arg(long, default_value_t = 16)]
    connections: usize,

    /// The number of clients that read slowly
    #[arg(long, default_value_t = 10_000)]
    slow_clients: usize,

    /// The directory for the results: results.json and cpu.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    output: PathBuf,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU time, rate, latency and memory of each kind of request
    Requests,
    /// Latency at half of the maximum rate
    Pace,
    /// Start-up, first bytes, and memory: idle, per connection, per slow download
    Footprint,
    /// CPU time per request on two cores instead of one
    Cores,
    /// How many slow clients affect the latency of other clients
    Slow,
}

/// The results of every part.
#[derive(Debug, Default, serde::Serialize)]
struct Results {
    requests: Vec<requests::Measurement>,
    pace: Vec<pace::Measurement>,
    footprint: Vec<footprint::Measurement>,
    cores: Vec<cores::Measurement>,
    slow: Option<slow::Measurement>,
}

fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

fn main() {
    let arguments = Arguments::parse();
    let site = Site::new();
    let (servers, missing): (Vec<Server>, Vec<Server>) = servers::all()
        .into_iter()
        .filter(|server| is_wanted(server.name, &arguments.servers))
        .partition(Server::is_present);
    for server in &missing {
        println!("missing: {}; install it with `{}`", server.name, server.remedy);
    }
    let wants = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let time = Duration::from_millis(arguments.time);
    let mut results = Results::default();
    load::pin_to(&[servers::LOAD_CORE]);
    if wants(Part::Footprint) {
        results.footprint = footprint::measure(&servers, &site);
    }
    if wants(Part::Requests) {
        results.requests = requests::measure(&servers, &site, &arguments, time);
    }
    if wants(Part::Pace) {
        results.pace = pace::measure(&servers, &site, arguments.connections, time);
    }
    if wants(Part::Cores) {
        results.cores = cores::measure(&servers, &site, arguments.rounds, time);
    }
    if wants(Part::Slow) {
        results.slow = slow::measure(&servers, &site, arguments.slow_clients);
    }
    report::write(&arguments.output, &results);
}
