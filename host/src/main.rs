//! The command `wasi-httpd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run(std::env::args_os())
}
