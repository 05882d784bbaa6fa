//! Builds the small guests and the middlewares into `OUT_DIR`, from where `guests.rs` includes them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let guests: Vec<_> = guest_builder::EXAMPLES
        .into_iter()
        .chain(guest_builder::MIDDLEWARES)
        .chain(guest_builder::TRIALS)
        .collect();
    guest_builder::report(guest_builder::provide(&guests))
}
