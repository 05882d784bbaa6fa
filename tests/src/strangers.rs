//! Components that other people's tools make, and those tools: what `tests/guests/build` leaves.

use guest_builder::workspace;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// The path of a component, such as `python.wasm`, or of a tool, after everything was brought up to date.
pub fn path(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let directory = workspace().join("target/strangers");
    BUILT.call_once(|| {
        let script = workspace().join("tests/guests/build");
        let status = Command::new(&script).arg(&directory).status().unwrap();
        assert!(status.success(), "{} ended with {status}", script.display());
    });
    directory.join(name)
}
