//! Builds the small guests into `OUT_DIR`, from where `guests.rs` includes them.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest_builder::report(guest_builder::provide(&guest_builder::EXAMPLES))
}
