//! Stock `wasmtime serve`, so that the suites can hold the guest against it wherever they run.

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
