//! The command `wasi-httpd`.

use std::process::ExitCode;
use wasi_httpd::allocator::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    wasi_httpd::run(std::env::args_os())
}
