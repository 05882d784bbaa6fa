//! Stock `wasmtime serve`, as a second runtime for the guest. It is built from crates, so that no installation is
//! needed.

use clap::Parser as _;
use std::process::ExitCode;
use wasmtime_cli::commands::ServeCommand;

fn main() -> ExitCode {
    match ServeCommand::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmtime-serve: {error:#}");
            ExitCode::FAILURE
        }
    }
}
