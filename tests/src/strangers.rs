//! Third-party tools, and the components that they build: the output of `tests/guests/build`.

use guest_builder::workspace;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Once;

/// The path of a component, such as `python.wasm`, or of a tool. The first call builds whatever is out of date.
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
