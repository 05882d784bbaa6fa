//! Compiles sources to a core module, and turns a core module into a component.

use crate::toolchain::{TARGET, Toolchain};
use crate::{LIBRARY, PACKAGE, Source, workspace};
use anyhow::{Context as _, Result, ensure};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use wit_component::ComponentEncoder;

/// The size of a component's stack, in bytes: three times what any of the components uses. The stack lies at the start of the
/// memory, so an overflow traps. It is small because our host writes the whole memory anew after each request: stack, data and
/// arena of the file server share one page of 64 KiB.
const STACK_BYTES: usize = 16 * 1024;

/// The cargo profile of the components.
const PROFILE: &str = "component";

/// Compiles the source of one component to a core module, with a separate cargo in `target_dir`.
pub fn compile(source: Source, toolchain: &Toolchain, target_dir: &Path) -> Result<Vec<u8>> {
    let compiler = toolchain.compiler();
    let mut cargo = Command::new(&compiler.cargo);
    cargo.args(["build", "--locked", "--package", PACKAGE, "--target", TARGET, "--profile", PROFILE]);
    cargo.arg("--no-default-features");
    // The folder that cargo writes the result to, and its name there.
    let (folder, name) = match source {
        Source::Library { .. } => (".", LIBRARY),
        Source::Example { name, .. } => ("examples", name),
    };
    let feature = match source {
        Source::Library { feature, .. } => {
            cargo.arg("--lib");
            feature
        }
        Source::Example { name, feature } => {
            cargo.args(["--example", name]);
            feature
        }
    };
    cargo.args(feature.iter().flat_map(|feature| ["--features", feature]));
    cargo.arg("--manifest-path").arg(workspace().join("Cargo.toml")).arg("--target-dir").arg(target_dir);
    for (variable, _) in env::vars_os().filter(|(variable, _)| belongs_to_outer_cargo(variable)) {
        cargo.env_remove(variable);
    }
    let mut flags = rust_flags(compiler.sysroot());
    if let Toolchain::Source(_) = toolchain {
        // Line numbers for panics, which no component prints. Without them, a change of comments changes no byte.
        flags.push("\u{1f}-Zlocation-detail=none");
        cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        let linker =
            compiler.linker().context("no linker for WebAssembly; `apt-get install lld` provides one")?;
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    cargo.env("RUSTC", &compiler.rustc).env("CARGO_ENCODED_RUSTFLAGS", flags);

    let output = cargo.output().with_context(|| format!("cannot start {}", compiler.cargo.display()))?;
    ensure!(
        output.status.success(),
        "building the {} component failed:\n{}",
        source.name(),
        String::from_utf8_lossy(&output.stderr)
    );
    let file = format!("{}.wasm", name.replace('-', "_"));
    let module = target_dir.join(TARGET).join(PROFILE).join(folder).join(file);
    std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}

/// Whether the outer cargo set this variable for its own build. It would confuse or deadlock the cargo that runs here.
///
/// The user's configuration (the home directory, registries, the network) is kept.
fn belongs_to_outer_cargo(variable: &OsStr) -> bool {
    const USER_PREFIXES: [&str; 5] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
    const OUTER_PREFIXES: [&str; 4] = ["CARGO", "DEP_", "RUSTC", "RUSTDOC"];
    const OUTER_NAMES: [&str; 10] = [
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
    (starts(&OUTER_PREFIXES) && !starts(&USER_PREFIXES)) || OUTER_NAMES.contains(&variable.as_ref())
}

/// The compiler's flags, in the encoding of `CARGO_ENCODED_RUSTFLAGS`: the stack size, and a mapping that replaces this
/// machine's paths. The same sources and compiler must give the same bytes on every machine.
fn rust_flags(sysroot: &Path) -> OsString {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .unwrap_or_default();
    let mut remapped = vec![(workspace(), "/wasi-httpd"), (sysroot.join("lib/rustlib/src/rust"), "/rust")];
    // One folder for each registry, whose name depends on the machine's configuration.
    let registries = std::fs::read_dir(home.join("registry/src"));
    remapped.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "/crates")));

    let mut flags = OsString::from(format!("-Clink-arg=-zstack-size={STACK_BYTES}"));
    // Vector instructions, which runtimes have had for years, search rules and names sixteen bytes at a time.
    flags.push("\u{1f}-Ctarget-feature=+simd128");
    for (from, to) in remapped {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// Turns a core module into a component. A custom section of the module names its world.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .context("the compiled guest cannot be turned into a component")
}
