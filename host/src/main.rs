//! The command `wasi-httpd`.

use std::process::ExitCode;

/// A fresh instance is a few hundred small allocations, which the system's allocator makes the most expensive part of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host::run(std::env::args_os())
}
