//! Compares the speed and the other costs of several servers.
//!
//! `cargo run --release -p tests --features bench --bin bench -- --help` lists the arguments. Servers that are not
//! installed are reported, with the command that installs them. The result that counts is the CPU time per request,
//! from the kernel's accounting of the process, as a ratio to another server in the same round. The other results
//! depend more on what else the machine does.

mod answer;
mod arguments;
mod cases;
mod chart;
mod commands;
mod cores;
mod footprint;
mod load;
mod pace;
mod report;
mod requests;
mod round;
mod running;
mod servers;
mod site;
mod slow;
mod statistics;
mod summary;

use arguments::{Arguments, Part};
use clap::Parser as _;
use report::Report;
use site::Site;
use std::fs;

/// The results of every part.
#[derive(Debug, Default, serde::Serialize)]
struct Results {
    requests: Vec<requests::Measurement>,
    pace: Vec<pace::Measurement>,
    footprint: Vec<footprint::Measurement>,
    cores: Vec<cores::Measurement>,
    slow: Option<slow::Measurement>,
}

fn main() {
    let arguments = Arguments::parse();
    let site = Site::new();
    let servers = arguments.servers();
    let mut report = Report::new(&arguments.output);
    let mut results = Results::default();
    tests::raise_file_limit();
    load::pin_to(&[servers::LOAD_CORE]);
    if arguments.wants(Part::Footprint) {
        results.footprint = footprint::measure(&servers, &site, &mut report);
    }
    if arguments.wants(Part::Requests) {
        results.requests = requests::measure(&servers, &site, &arguments, &mut report);
    }
    if arguments.wants(Part::Pace) {
        results.pace = pace::measure(&servers, &site, &arguments, &mut report);
    }
    if arguments.wants(Part::Cores) {
        results.cores = cores::measure(&servers, &site, &arguments, &mut report);
    }
    if arguments.wants(Part::Slow) {
        results.slow = slow::measure(&servers, &site, arguments.slow_clients, &mut report);
    }
    let json = serde_json::to_string_pretty(&results).unwrap();
    fs::write(arguments.output.join("results.json"), json).unwrap();
    chart::write(&arguments.output.join("cpu.svg"), &results.requests);
    println!("\nwritten to {}", arguments.output.display());
}
