//! Sources to core module to component.

use crate::toolchain::Toolchain;
use crate::{FILE_SERVER, Source, workspace};
use anyhow::{Context as _, Result, ensure};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use wit_component::ComponentEncoder;

/// The target of every component: it imports nothing by itself, so that a component imports what its code calls and no
/// more.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The stack of a component, in bytes: several times what any of them uses. It is at the beginning of its memory, so that
/// an overflow traps, and small, because the runtime looks through all of the memory to reset an instance.
const STACK: usize = 64 * 1024;

/// The cargo profile of the components.
const PROFILE: &str = "component";

/// Compiles one component's source to a core module, with a cargo of its own in `target_dir`.
pub fn compile(source: Source, toolchain: &Toolchain, target_dir: &Path) -> Result<Vec<u8>> {
    let compiler = toolchain.compiler();
    let mut cargo = Command::new(&compiler.cargo);
    cargo.args([
        "build",
        "--locked",
        "--package",
        FILE_SERVER.name(),
        "--target",
        TARGET,
        "--profile",
        PROFILE,
    ]);
    // Where cargo puts the result, with the name that a crate of Rust can have.
    let (folder, name) = match source {
        Source::Library(name) => (".", name),
        Source::Example(name) => ("examples", name),
    };
    match source {
        Source::Library(_) => cargo.arg("--lib"),
        Source::Example(name) => cargo.args(["--example", name]),
    };
    cargo.arg("--manifest-path").arg(workspace().join("Cargo.toml")).arg("--target-dir").arg(target_dir);
    for (variable, _) in env::vars_os().filter(|(variable, _)| belongs_to_outer_cargo(variable)) {
        cargo.env_remove(variable);
    }
    cargo.env("RUSTC", &compiler.rustc).env("CARGO_ENCODED_RUSTFLAGS", rust_flags(compiler.sysroot()));
    if let Toolchain::Source(_) = toolchain {
        cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        let linker =
            compiler.linker().context("there is no linker for WebAssembly; `apt-get install lld` has one")?;
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }

    let output = cargo.output().with_context(|| format!("cannot start {}", compiler.cargo.display()))?;
    ensure!(
        output.status.success(),
        "building the {name} component failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = format!("{}.wasm", name.replace('-', "_"));
    let module = target_dir.join(TARGET).join(PROFILE).join(folder).join(file);
    std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}

/// Whether a variable tells a cargo of a build that it is not part of, and would confuse it or dead-lock it.
///
/// What a person configures (the home directory, registries, the network) is kept.
fn belongs_to_outer_cargo(variable: &OsStr) -> bool {
    const CONFIGURED: [&str; 5] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
    const STARTS: [&str; 4] = ["CARGO", "DEP_", "RUSTC", "RUSTDOC"];
    const NAMES: [&str; 10] = [
        "DEBUG",
        "HOST",
        "LD_LIBRARY_PATH",
        "MAKEFLAGS",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTFLAGS",
        "TARGET",
    ];
    let variable = variable.to_string_lossy();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| variable.starts_with(prefix));
    (starts(&STARTS) && !starts(&CONFIGURED)) || NAMES.contains(&variable.as_ref())
}

/// The compiler's flags, in the encoding of `CARGO_ENCODED_RUSTFLAGS`: the stack, and what takes this machine's paths out
/// of the component, for the same sources and compiler must give the same bytes everywhere.
fn rust_flags(sysroot: &Path) -> OsString {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .unwrap_or_default();
    let mut remapped = vec![(workspace(), "/wasi-httpd"), (sysroot.join("lib/rustlib/src/rust"), "/rust")];
    // One folder for each registry, whose name depends on the machine's configuration.
    let registries = std::fs::read_dir(home.join("registry/src"));
    remapped.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "/crates")));

    let mut flags = OsString::from(format!("-Clink-arg=-zstack-size={STACK}"));
    for (from, to) in remapped {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// Makes a core module, which says in a custom section what world it was written for, into a component of that world.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .context("the compiled guest does not make a component")
}
