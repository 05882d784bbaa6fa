//! Puts the file server's component where `component.rs` includes it from.

use std::process::ExitCode;

fn main() -> ExitCode {
    match guest_builder::provide(guest_builder::FILE_SERVER) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={}", format!("{error:#}").replace('\n', " | "));
            ExitCode::FAILURE
        }
    }
}
