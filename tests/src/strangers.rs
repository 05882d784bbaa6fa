//! Third-party tools, and the components that they build: the output of `tests/guests/build` and `tests/guests/tools`.

use guest_builder::workspace;
use std::path::{Path, PathBuf};
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

/// The directory of the tools of guests in Rust and C, which `tests/guests/tools` installs.
pub fn tools() -> PathBuf {
    static INSTALLED: Once = Once::new();
    let directory = workspace().join("target/strangers");
    INSTALLED.call_once(|| {
        let script = workspace().join("tests/guests/tools");
        let status = Command::new(&script).arg(&directory).status().unwrap();
        assert!(status.success(), "{} ended with {status}", script.display());
    });
    directory.join("tools")
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
