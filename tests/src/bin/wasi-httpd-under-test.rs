//! The server as users run it: the suites start this, which cargo builds along with them.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run(std::env::args_os())
}
