//! Builds the project's components, for build scripts, tests and the command line.
//!
//! 1. [`Toolchain::detect`]: find a compiler on this machine that can build for WebAssembly
//! 2. [`compile`](build::compile): the guest's sources to a core module
//! 3. [`componentize`](build::componentize): the core module to a component
//! 4. [`prebuilt`]: the checked-in components, for machines without such a compiler
//!
//! [`provide`] runs these steps for a build script, and `cargo run --bin guest-builder -- refresh` runs them to replace
//! the checked-in components.

pub mod build;
pub mod prebuilt;
mod sources;
mod toolchain;
pub mod world;

pub use toolchain::{Compiler, Toolchain};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The source of a component. Its name is also the stem of the component's file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The library of the package in `guest/`.
    Library {
        /// The name of the component.
        name: &'static str,
        /// The feature of the package that it is built with.
        feature: Option<&'static str>,
    },
    /// An example of that package.
    Example {
        /// Its name.
        name: &'static str,
        /// The feature of the package that it is built with.
        feature: Option<&'static str>,
    },
}

impl Source {
    /// The name of the component.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Library { name, .. } | Self::Example { name, .. } => name,
        }
    }
}

/// The package of the components.
pub(crate) const PACKAGE: &str = "wasi-httpd-guest";
/// The name of its library.
pub(crate) const LIBRARY: &str = "guest";

/// The file server.
pub const FILE_SERVER: Source = Source::Library { name: LIBRARY, feature: None };

/// The file server that also renders Markdown.
pub const FILE_SERVER_MARKDOWN: Source =
    Source::Library { name: "guest-markdown", feature: Some("markdown") };

/// The file server for WASI 0.3.
pub const FILE_SERVER_P3: Source = Source::Library { name: "guest-p3", feature: Some("v03") };

/// The small guests, in the order in which `README.md` explains them.
pub const EXAMPLES: [Source; 4] =
    [example("tcp-server"), example("tcp-client"), example("hello-socket"), example("hello")];

/// What hosts of WASI 0.3 are tested with: what they have to bear, what they grant, and what they pass between components.
pub const TRIALS: [Source; 3] = [trial("trials"), trial("grants"), trial("trials-before")];

const fn trial(name: &'static str) -> Source {
    Source::Example { name, feature: Some("v03") }
}

const fn example(name: &'static str) -> Source {
    Source::Example { name, feature: None }
}

/// Components that stand before a guest (`--middleware`), for WASI 0.3.
pub const MIDDLEWARES: [Source; 4] =
    [example("basic-auth"), example("header-stamp"), example("rate-limit"), example("request-logger")];

/// Every component that the project builds.
pub fn components() -> impl Iterator<Item = Source> {
    [FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3]
        .into_iter()
        .chain(TRIALS)
        .chain(EXAMPLES)
        .chain(MIDDLEWARES)
}

/// The environment variable that selects where components come from: see [`Policy`].
pub const POLICY_VARIABLE: &str = "WASI_HTTPD_COMPONENTS";

/// The file that marks a directory with prebuilt components.
const MARK: &str = "guest/prebuilt/SHA256SUMS";

/// The files of the repository that a published package takes along. In a checkout, they are links.
const PACKAGED: &str = "package";

/// The workspace of the package that cargo builds, runs or tests, or else the one around the current directory. It is
/// not fixed at compile time, because a checkout may be moved or copied along with its `target`.
///
/// In a published package, this is the directory of the files that it took along.
pub fn workspace() -> PathBuf {
    published().unwrap_or_else(|| {
        let starts: Vec<_> = manifest_directory().into_iter().chain(std::env::current_dir()).collect();
        let mut roots = starts.iter().flat_map(|start| start.ancestors());
        roots.find(|root| root.join(MARK).is_file()).unwrap_or(Path::new(".")).to_owned()
    })
}

fn manifest_directory() -> Option<PathBuf> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)
}

/// The directory of files that the package took along, if it is a published one. `cargo package` puts files in the place of
/// links, so this also holds where a package is unpacked within a checkout.
fn published() -> Option<PathBuf> {
    let directory = manifest_directory()?.join(PACKAGED);
    let mark = std::fs::symlink_metadata(directory.join(MARK)).ok()?;
    mark.is_file().then_some(directory)
}

/// Where a component may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// From source if a toolchain can build it, else prebuilt.
    Auto,
    /// From source; without a toolchain, this is an error.
    Source,
    /// Prebuilt, even if a toolchain could build it.
    Prebuilt,
}

impl Policy {
    /// Reads [`POLICY_VARIABLE`]; absent or empty means [`Policy::Auto`].
    pub fn from_environment() -> Result<Self> {
        match std::env::var(POLICY_VARIABLE).unwrap_or_default().as_str() {
            "" | "auto" => Ok(Self::Auto),
            "source" => Ok(Self::Source),
            "prebuilt" => Ok(Self::Prebuilt),
            other => bail!("{POLICY_VARIABLE} is `{other}`; it takes auto, source or prebuilt"),
        }
    }
}

/// Where a component came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built from source by this toolchain.
    Source(Toolchain),
    /// Checked in under `guest/prebuilt/`.
    Prebuilt,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(toolchain) => write!(f, "built from source by {toolchain}"),
            Self::Prebuilt => f.write_str("prebuilt"),
        }
    }
}

/// A component, ready to be embedded or written out.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its binary form.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub origin: Origin,
}

/// Compiles a component in `target_dir`, or reads the prebuilt one, as `policy` says. A published package has no sources of
/// components.
pub fn obtain(source: Source, target_dir: &Path, policy: Policy) -> Result<Component> {
    let toolchain = match policy {
        Policy::Source if published().is_some() => bail!(
            "{POLICY_VARIABLE} is `source`, but this package has prebuilt components only; build them from source in a \
             checkout of the repository, or leave {POLICY_VARIABLE} out"
        ),
        Policy::Auto if published().is_some() => None,
        Policy::Prebuilt => None,
        Policy::Auto => Toolchain::detect(),
        Policy::Source => Some(Toolchain::detect().with_context(|| {
            format!(
                "components must be built from source, but no toolchain on this machine can build for \
                 {target}; {remedy}",
                target = toolchain::TARGET,
                remedy = HOW_TO_BUILD_FROM_SOURCE
            )
        })?),
    };
    match toolchain {
        Some(toolchain) => {
            let module = build::compile(source, &toolchain, target_dir)?;
            Ok(Component { bytes: build::componentize(&module)?, origin: Origin::Source(toolchain) })
        }
        None => Ok(Component { bytes: prebuilt::read(source.name())?, origin: Origin::Prebuilt }),
    }
}

const HOW_TO_BUILD_FROM_SOURCE: &str = "`rustup target add wasm32-unknown-unknown` (or, with Debian's compiler, \
                                        `apt-get install rustc-web cargo-web rust-web-src lld`) provides one";

/// For a build script: writes components to `OUT_DIR` as `{name}.wasm`, sets the variable `COMPONENT_ORIGIN` of the
/// crate to their origin, and has cargo rerun the script when a source changes.
///
/// Prints one warning if the components were not built with the active toolchain's own target, except in a published package.
pub fn provide(sources: &[Source]) -> Result<()> {
    for path in sources::watched() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-env-changed={POLICY_VARIABLE}");

    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    // OUT_DIR is …/target/debug/build/wasi-httpd-0123/out. The folder lies next to `debug`, so that all profiles share the
    // guest's standard library.
    let target_dir =
        out_dir.ancestors().nth(4).context("OUT_DIR has no target directory")?.join("components");
    let policy = Policy::from_environment()?;
    let mut origin = Origin::Prebuilt;
    for &source in sources {
        let component = obtain(source, &target_dir, policy)?;
        let file = out_dir.join(format!("{}.wasm", source.name()));
        std::fs::write(&file, &component.bytes)
            .with_context(|| format!("cannot write {}", file.display()))?;
        origin = component.origin;
    }

    let names = sources.iter().map(|source| source.name()).collect::<Vec<_>>().join(", ");
    match &origin {
        Origin::Source(toolchain) if toolchain.is_active_target() => {}
        Origin::Source(_) => println!("cargo::warning=components {names}: {origin}"),
        Origin::Prebuilt if published().is_some() => {}
        Origin::Prebuilt => println!(
            "cargo::warning=components {names}: taken from guest/prebuilt; to build them from source, a toolchain for \
             WebAssembly is needed: {HOW_TO_BUILD_FROM_SOURCE}"
        ),
    }
    println!("cargo::rustc-env=COMPONENT_ORIGIN={origin}");
    Ok(())
}

/// The SHA-256 digest of a component.
pub fn digest(component: &[u8]) -> [u8; 32] {
    Sha256::digest(component).into()
}

/// For a build script: prints an error in one line and returns the exit code.
pub fn report(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={}", format!("{error:#}").replace('\n', " | "));
            ExitCode::FAILURE
        }
    }
}
