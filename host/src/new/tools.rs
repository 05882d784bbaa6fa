//! What a machine lacks to build a guest, and what installs it.

use crate::cli::Language;
use crate::config::Project;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// What it is.
    pub(super) what: &'static str,
    /// What installs it: a command, or where it is found.
    pub(super) install: &'static str,
}

/// The target of guests in Rust.
const TARGET: &str = "wasm32-wasip2";

/// The directories in which Debian and wasi-sdk have the C library.
const C_LIBRARIES: [&str; 2] =
    ["/usr/lib/wasm32-wasi/libc.a", "/usr/share/wasi-sysroot/lib/wasm32-wasi/libc.a"];

/// What is missing to build the guest that was written.
pub(super) fn missing(config: &Project) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut need = |there: bool, what, install| {
        if !there {
            missing.push(Missing { what, install });
        }
        there
    };
    match config.language {
        Language::Rust => {
            let rust = need(has("cargo") && has("rustc"), "Rust", "see https://rustup.rs");
            let target = !rust || has_target(&config.directory);
            need(target, "the target wasm32-wasip2 of Rust", "rustup target add wasm32-wasip2");
        }
        Language::Js => {
            let recent = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
            let node = has("node") && succeeds("node", &["-e", recent]);
            need(node, "Node.js 20 or newer", "see https://nodejs.org");
            need(has("npm"), "npm", "it comes with Node.js; on Debian: apt-get install npm");
        }
        Language::Python => {
            // Debian has the module venv without ensurepip, which it needs, in a package of its own.
            let recent = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
            let python = has("python3") && succeeds("python3", &["-c", recent]);
            need(python, "Python 3.10 or newer with venv", "on Debian: apt-get install python3-venv");
        }
        Language::C => {
            need(has("make"), "make", "on Debian: apt-get install make");
            if std::env::var_os("WASI_SDK_PATH").is_none() {
                let libc = C_LIBRARIES.iter().any(|library| Path::new(library).exists());
                need(
                    has("clang") && has("wasm-ld") && libc,
                    "clang, lld and wasi-libc",
                    "on Debian: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32; elsewhere, wasi-sdk with \
                     its path in WASI_SDK_PATH",
                );
            }
            need(has("wit-bindgen"), "wit-bindgen", "cargo install --locked wit-bindgen-cli@0.61.1");
            need(has("wasm-tools"), "wasm-tools", "cargo install --locked wasm-tools");
        }
    }
    missing
}

/// Whether the PATH has this program.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| is_program(&directory.join(program)))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether the compiler that builds in this directory has the standard library for [`TARGET`].
fn has_target(directory: &Path) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(directory).stdin(Stdio::null());
    rustc.output().is_ok_and(|output| {
        let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        output.status.success() && libraries.is_absolute() && libraries.is_dir()
    })
}
