//! The command `wasi-httpd`.

use host::allocator::Allocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    host::run(std::env::args_os())
}
