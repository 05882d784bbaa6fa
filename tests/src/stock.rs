//! Stock `wasmtime serve`, as a second runtime for the guest.

use guest_builder::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The path of the program. It is built on first use, which takes some minutes, separately from what `cargo test`
/// builds.
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let workspace = workspace();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "stock-runtime", "--profile", "stock"]);
        let status = cargo.arg("--manifest-path").arg(workspace.join("Cargo.toml")).status().unwrap();
        assert!(status.success(), "`cargo build -p stock-runtime` ended with {status}");
        // The test runs as …/target/debug/deps/suite-0123.
        let suite = std::env::current_exe().unwrap();
        let target = suite.ancestors().nth(3).unwrap();
        target.join("stock/wasmtime-serve")
    });
    &PROGRAM
}
