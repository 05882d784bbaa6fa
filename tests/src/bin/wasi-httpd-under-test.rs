//! The server as users run it. Cargo builds this binary along with the suites, which start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run(std::env::args_os())
}
