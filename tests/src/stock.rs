//! Stock `wasmtime serve`, so that the suites can hold the guest against it wherever they run.

use guest_builder::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The program, which is built when it is first needed, apart from what `cargo test` builds: it takes some minutes once.
pub fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let workspace = workspace();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "stock-runtime", "--profile", "stock"]);
        let status = cargo.arg("--manifest-path").arg(workspace.join("Cargo.toml")).status().unwrap();
        assert!(status.success(), "`cargo build -p stock-runtime` ended with {status}");
        // …/target/debug/deps/suite-0123
        let suite = std::env::current_exe().unwrap();
        let target = suite.ancestors().nth(3).unwrap();
        target.join("stock/wasmtime-serve")
    });
    &PROGRAM
}
