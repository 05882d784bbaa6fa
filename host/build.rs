//! Puts the file server's component where `component/mod.rs` includes it from.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest_builder::report(guest_builder::provide(&[guest_builder::FILE_SERVER]))
}
