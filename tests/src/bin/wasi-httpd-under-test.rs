//! The server as users run it. Cargo builds this binary along with the suites, which start it.
//!
//! With [`walls::VARIABLE`] in its environment, it also tries what it may not do.

use std::process::ExitCode;
use tests::walls;

fn main() -> ExitCode {
    walls::arm();
    host::run(std::env::args_os())
}
