//! Third-party tools, and the components that they build: the output of `tests/guests/build`, `tests/guests/compile` and
//! `tests/guests/tools`.

use guest_builder::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The directory of everything that is built here. It is inside of `target`.
fn directory() -> PathBuf {
    workspace().join("target/strangers")
}

/// Runs a script of `tests/guests`, with these variables.
fn run(script: &str, environment: &[(&str, String)]) {
    let script = workspace().join("tests/guests").join(script);
    let mut command = Command::new(&script);
    command.arg(directory());
    without_cargo(&mut command);
    let status = command.envs(environment.iter().map(|(name, value)| (name, value))).status().unwrap();
    assert!(status.success(), "{} ended with {status}", script.display());
}

/// Removes from the environment of a command what cargo sets for a test and is not for another cargo.
pub fn without_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO")) {
        if name != "CARGO_HOME" && name != "CARGO_BUILD_JOBS" {
            command.env_remove(name);
        }
    }
}

/// The path of a component with an interpreter, such as `python.wasm`, or of a tool. The first call builds whatever is out of
/// date.
pub fn path(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| run("build", &[]));
    directory().join(name)
}

/// The path of a compiled component, such as `waki.wasm`. The first call builds whatever is out of date.
pub fn compiled(name: &str) -> PathBuf {
    static COMPILED: Once = Once::new();
    COMPILED.call_once(|| run("compile", &environment()));
    directory().join(name)
}

/// The directory of the tools of guests in Rust and C, which `tests/guests/tools` installs.
pub fn tools() -> PathBuf {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| run("tools", &[]));
    directory().join("tools")
}

/// The environment in which guests are built: the tools of [`tools`], and what cargo needs for `wasm32-wasip2` where that
/// target is not installed. There, the distribution's compiler builds the standard library too, once for all guests, with the
/// distribution's C library.
pub fn environment() -> Vec<(&'static str, String)> {
    let tools = tools();
    let path = format!("{}:{}", tools.join("bin").display(), std::env::var("PATH").unwrap());
    let mut rustc = Command::new("rustc");
    let output = rustc.args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output().unwrap();
    if Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return vec![("PATH", path)];
    }
    vec![
        // Debian's cargo comes before that of rustup, and its other programs do not come before others.
        ("PATH", format!("{}:{path}", tools.join("debian").display())),
        ("RUSTC", "/usr/bin/rustc".to_owned()),
        ("RUSTC_BOOTSTRAP", "1".to_owned()),
        ("CARGO_TARGET_DIR", tools.join("guests").display().to_string()),
        ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".to_owned()),
        ("CARGO_TARGET_WASM32_WASIP2_LINKER", "wasm-component-ld".to_owned()),
        (
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            "-Clink-self-contained=no -Lnative=/usr/lib/wasm32-wasi -Clink-arg=--wasm-ld-path=/usr/bin/wasm-ld".to_owned(),
        ),
    ]
}
