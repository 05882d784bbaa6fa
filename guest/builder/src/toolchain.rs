//! Finds a compiler on this machine that can build for WebAssembly.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of every component. It has no imports of its own, so a component imports only what its code calls.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The oldest compiler that the guest's crates accept, as (major, minor). A distribution may have an older one.
const VERSION_MIN: (u32, u32) = (1, 95);

/// A `cargo` and its `rustc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// The cargo to call.
    pub cargo: OsString,
    /// The rustc to call.
    pub rustc: OsString,
    sysroot: PathBuf,
    version: String,
}

impl Compiler {
    /// The compiler that builds this workspace: rustup's choice, or the one on the path.
    pub(crate) fn active() -> Option<Self> {
        let named = |variable, default: &str| env::var_os(variable).unwrap_or_else(|| default.into());
        Self::ask(named("CARGO", "cargo"), named("RUSTC", "rustc"))
    }

    /// The distribution's compiler.
    fn system() -> Option<Self> {
        Self::ask("/usr/bin/cargo".into(), "/usr/bin/rustc".into())
    }

    fn ask(cargo: OsString, rustc: OsString) -> Option<Self> {
        let sysroot = PathBuf::from(output(&rustc, &["--print", "sysroot"])?.trim());
        let version = output(&rustc, &["-vV"])?;
        Some(Self { cargo, rustc, sysroot, version })
    }

    /// The output of `rustc -vV`, which identifies the compiler down to its commit.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The root directory of the compiler's libraries.
    pub fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    fn release(&self) -> &str {
        self.version.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or("of unknown version")
    }

    fn is_recent(&self) -> bool {
        let mut parts = self.release().split('.').map_while(|part| part.parse().ok());
        matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) >= VERSION_MIN)
    }

    fn has_target(&self) -> bool {
        let library = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        std::fs::read_dir(library).is_ok_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
        })
    }

    fn has_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }
}

/// A way to compile for WebAssembly on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The active compiler, with the target's compiled standard library.
    Target(Compiler),
    /// A compiler with the source of its standard library, which is compiled along with the guest.
    Source(Compiler),
}

impl Toolchain {
    /// The first of these that is present: the active compiler with the target, the active compiler with the library's
    /// source, the distribution's compiler with the library's source.
    pub fn detect() -> Option<Self> {
        let active = Compiler::active();
        if let Some(active) = active.clone().filter(Compiler::has_target) {
            return Some(Self::Target(active));
        }
        [active, Compiler::system()]
            .into_iter()
            .flatten()
            .find(|compiler| compiler.is_recent() && compiler.has_source() && compiler.linker().is_some())
            .map(Self::Source)
    }

    /// The compiler of either variant.
    pub fn compiler(&self) -> &Compiler {
        match self {
            Self::Target(compiler) | Self::Source(compiler) => compiler,
        }
    }

    /// Whether this is the active compiler with the target installed, the usual case on a developer's machine.
    pub fn is_active_target(&self) -> bool {
        matches!(self, Self::Target(_))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compiler { rustc, .. } = self.compiler();
        let path = rustc.to_string_lossy();
        match self {
            Self::Target(compiler) => write!(f, "rustc {}", compiler.release()),
            Self::Source(compiler) => {
                write!(f, "rustc {} ({path}), including its standard library", compiler.release())
            }
        }
    }
}

impl Compiler {
    /// A linker for WebAssembly: the `rust-lld` of this compiler, that of the active compiler, or the distribution's
    /// linker.
    pub fn linker(&self) -> Option<PathBuf> {
        let bundled = |compiler: &Self| {
            let host = compiler.version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
            let path = compiler.sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
            path.is_file().then_some(path)
        };
        bundled(self).or_else(|| Self::active().as_ref().and_then(bundled)).or_else(distribution_linker)
    }
}

/// Debian's `rust-lld` or `wasm-ld`, or else the newest `wasm-ld-VERSION`.
fn distribution_linker() -> Option<PathBuf> {
    let unversioned = ["/usr/bin/rust-lld", "/usr/bin/wasm-ld"].map(PathBuf::from);
    if let Some(found) = unversioned.into_iter().find(|path| path.is_file()) {
        return Some(found);
    }
    std::fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .filter_map(|file| {
            let version = file.file_name().to_str()?.strip_prefix("wasm-ld-")?.parse::<u32>().ok()?;
            Some((version, file.path()))
        })
        .max()
        .map(|(_, path)| path)
}

fn output(program: &OsString, arguments: &[&str]) -> Option<String> {
    // A build script's LD_LIBRARY_PATH names the active toolchain's libraries, which another compiler must not load.
    let output = Command::new(program).args(arguments).env_remove("LD_LIBRARY_PATH").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
