//! `cargo run --bin guest-builder -- refresh|verify|check`: keeps the prebuilt components in step with their sources.

use anyhow::{Result, bail};
use guest_builder::{prebuilt, workspace};
use std::process::ExitCode;

fn run() -> Result<()> {
    let target_dir = workspace().join("target/components");
    match std::env::args().skip(1).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["refresh"] => prebuilt::refresh(&target_dir),
        ["verify"] => prebuilt::verify(&target_dir),
        ["check"] => prebuilt::check(),
        _ => bail!(
            "expected one of: refresh (build the components and replace guest/prebuilt), verify (build them and \
             compare), check (compare checksums and sources, without building)"
        ),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-builder: {error:#}");
            ExitCode::FAILURE
        }
    }
}
