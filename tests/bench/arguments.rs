//! The command line.

use crate::cases::{self, CASES, Case};
use crate::load::Idle;
use crate::servers::{self, Present, SERVERS};
use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The number of connections with which most kinds of requests are measured.
pub const CONNECTIONS: usize = 16;

/// The numbers of connections with which small requests are measured.
const VARIED_CONNECTIONS: [usize; 3] = [1, CONNECTIONS, 256];

/// The numbers of connections with which latency is measured.
const PACED_CONNECTIONS: [usize; 2] = [CONNECTIONS, 256];

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
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

/// Measures the servers that are installed on this machine.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// The parts to measure; by default, all of them
    parts: Vec<Part>,

    /// The servers to measure; by default, all that are installed
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(servers::keys()))]
    servers: Vec<String>,

    /// The kinds of requests to measure; by default, all of them
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(cases::keys()))]
    cases: Vec<String>,

    /// Numbers of connections, each with one request at a time [default: 16; for 1k and hello 1,16,256]
    #[arg(long, value_name = "COUNT", value_delimiter = ',')]
    connections: Vec<usize>,

    /// What the client does while it has nothing to read [default: spin; for 1k and hello spin,sleep]
    #[arg(long, value_delimiter = ',')]
    clients: Vec<Idle>,

    /// The number of rounds for each server and kind of request
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,

    /// The length of a round
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000)]
    time: u64,

    /// The number of clients that read slowly
    #[arg(long, default_value_t = 10_000)]
    pub slow_clients: usize,

    /// The directory of `wasi-httpd` and `wasmtime-serve` [default: the directory of this program]
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,

    /// The directory for the results: results.json, results.md and cpu.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    pub output: PathBuf,
}

impl Arguments {
    /// Whether a part is selected.
    pub fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// The selected servers that are installed. Names those that are not.
    pub fn servers(&self) -> Vec<Present> {
        let built =
            self.programs.clone().or_else(|| Some(std::env::current_exe().ok()?.parent()?.to_owned()));
        let built = built.unwrap_or_default();
        let wanted = SERVERS.iter().filter(|server| is_selected(server.key, &self.servers));
        wanted
            .filter_map(|server| {
                let present = server.find(&built);
                if present.is_none() {
                    println!("missing: {}; install it with `{}`", server.name, server.remedy);
                }
                present
            })
            .collect()
    }

    /// The selected kinds of requests.
    pub fn cases(&self) -> Vec<&'static Case> {
        CASES.iter().filter(|case| is_selected(case.key, &self.cases)).collect()
    }

    /// The numbers of connections and the kinds of clients with which a kind of request is measured.
    pub fn loads(&self, case: &Case) -> Vec<(usize, Idle)> {
        let varied = if case.is_varied { &VARIED_CONNECTIONS[..] } else { &[CONNECTIONS] };
        let connections = selected_or(&self.connections, varied);
        let clients = if case.is_varied { &[Idle::Spin, Idle::Sleep][..] } else { &[Idle::Spin] };
        let clients = selected_or(&self.clients, clients);
        clients.iter().flat_map(|&client| connections.iter().map(move |&count| (count, client))).collect()
    }

    /// The numbers of connections with which latency is measured.
    pub fn paced_connections(&self) -> &[usize] {
        selected_or(&self.connections, &PACED_CONNECTIONS)
    }

    /// The length of a round.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time)
    }
}

fn is_selected(key: &str, selected: &[String]) -> bool {
    selected.is_empty() || selected.iter().any(|one| one == key)
}

fn selected_or<'a, T>(selected: &'a [T], default: &'a [T]) -> &'a [T] {
    if selected.is_empty() { default } else { selected }
}
