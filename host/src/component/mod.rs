//! The guest: how its binary is read, recognised and compiled.
//!
//! 1. [`load`] reads it from its [location], and checks its signature if it has to have one.
//! 2. [`anatomy`] parses it: its imports, its exports and what its instances [need](needs).
//! 3. [`kind`] classifies it by the [names](interface) of its exports: HTTP server, command or neither.
//! 4. [`Guest::expect`] checks that this kind fits the command that was typed.
//! 5. [`Guest::compile`] compiles it.
//!
//! [`shape`] says whether a component's main module can run without the component runtime, [`rewrite`] prepares that
//! module, and [`restorable`] says whether an instance of it can be used again.
//!
//! [`trap`] puts the failure of a running guest into words.

pub mod anatomy;
pub mod interface;
pub mod kind;
pub mod load;
pub mod location;
pub mod needs;
pub mod restorable;
pub mod rewrite;
pub mod shape;
pub mod trap;

use anatomy::Anatomy;
use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::digest::SHA256;
use interface::{Edition, InterfaceName};
use kind::Kind;
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::sync::LazyLock;
use wasmparser::{Validator, WasmFeatures};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Includes a file that the build script has made of a component.
macro_rules! built {
    ($file:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $file))
    };
}

/// The file server that is served when no other guest is named.
pub static BUILT_IN: LazyLock<Vec<u8>> = LazyLock::new(|| decompress(built!("guest.wasm.zst"), &[]));

/// The file server that also renders Markdown.
pub static BUILT_IN_MARKDOWN: LazyLock<Vec<u8>> =
    LazyLock::new(|| decompress(built!("guest-markdown.wasm.zst"), &BUILT_IN));

/// The file server for WASI 0.3.
pub static BUILT_IN_P3: LazyLock<Vec<u8>> =
    LazyLock::new(|| decompress(built!("guest-p3.wasm.zst"), &BUILT_IN));

/// Tells [`BUILT_IN`] without decompressing it.
const BUILT_IN_DIGEST: Digest = *built!("guest.wasm.sha256");

/// Tells [`BUILT_IN_P3`] without decompressing it.
const BUILT_IN_P3_DIGEST: Digest = *built!("guest-p3.wasm.sha256");

/// Decompresses a component. A damaged one becomes empty, which every reader refuses.
fn decompress(mut file: &[u8], dictionary: &[u8]) -> Vec<u8> {
    let mut component = Vec::new();
    zstd::Decoder::with_dictionary(&mut file, dictionary)
        .and_then(|mut decoder| decoder.read_to_end(&mut component))
        .map_or_else(|_| Vec::new(), |_| component)
}

/// The first eight bytes of WebAssembly: magic, version, layer.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// How a guest is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// As a server of HTTP requests.
    Serve,
    /// As a command that runs once.
    Run,
}

/// Where a component stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It answers, or is run.
    Guest,
    /// It answers, or passes requests on to the component behind it.
    Middleware,
}

/// The SHA-256 digest of a binary.
pub type Digest = [u8; 32];

/// A guest, read but not compiled.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The location on the command line; `None` for the built-in guest.
    name: Option<String>,
    /// What it is for.
    role: Role,
    /// The binary.
    pub bytes: Cow<'static, [u8]>,
    /// What tells it from other binaries.
    pub digest: Digest,
    /// Its imports, exports and needs.
    pub anatomy: Anatomy,
    /// Server, command or neither.
    pub kind: Kind,
}

impl Guest {
    /// The component that is part of this program, or the one that also renders Markdown: its memory and its code are larger, which every
    /// request and every start would pay for.
    pub fn built_in(markdown: bool) -> Result<Self> {
        let bytes = if markdown { &*BUILT_IN_MARKDOWN } else { &*BUILT_IN };
        Self::of(None, Role::Guest, Cow::Borrowed(bytes)).context("the built-in component is damaged")
    }

    /// The component or module of these bytes and this name, for this role.
    pub fn from_bytes(name: &str, role: Role, bytes: Vec<u8>) -> Result<Self> {
        recognise(&bytes).with_context(|| format!("the {role} `{name}` cannot be used"))?;
        Self::of(Some(name.to_owned()), role, Cow::Owned(bytes))
            .with_context(|| format!("the {role} `{name}` is truncated or damaged"))
    }

    fn of(name: Option<String>, role: Role, bytes: Cow<'static, [u8]>) -> Result<Self> {
        let anatomy = Anatomy::of(&bytes)?;
        let kind = Kind::of(&anatomy);
        let mut digest = Digest::default();
        digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
        Ok(Self { name, role, bytes, digest, anatomy, kind })
    }

    /// Whether it is the component that is part of this program.
    pub fn is_built_in(&self) -> bool {
        self.name.is_none()
    }

    /// Whether it is the file server, of either version of WASI.
    pub fn is_file_server(&self) -> bool {
        self.is_built_in() || self.digest == BUILT_IN_DIGEST || self.is_built_in_p3()
    }

    /// Whether it is the file server for WASI 0.3, as this program has it.
    pub fn is_built_in_p3(&self) -> bool {
        self.digest == BUILT_IN_P3_DIGEST
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        self.name
            .as_ref()
            .map_or_else(|| "the built-in guest".to_owned(), |name| format!("the {} `{name}`", self.role))
    }

    /// Checks that it can be started in this way.
    pub fn expect(&self, purpose: Purpose) -> Result<()> {
        self.misfit(purpose).map_or(Ok(()), |misfit| match purpose {
            Purpose::Serve if self.role == Role::Middleware => {
                Err(anyhow!("{} cannot stand before the guest: {misfit}", self.name()))
            }
            Purpose::Serve => Err(anyhow!("{} cannot be served: {misfit}", self.name())),
            Purpose::Run => Err(anyhow!("{} cannot be run: {misfit}", self.name())),
        })
    }

    /// Why it cannot be started in this way, with the command that fits it; `None` if it can.
    pub fn misfit(&self, purpose: Purpose) -> Option<String> {
        let Kind::Component { http, command } = self.kind else {
            return Some(format!("it is {}; {}", self.kind, self.kind.remedy().unwrap_or_default()));
        };
        let (wanted, edition, other) = match purpose {
            Purpose::Serve => ("wasi:http/incoming-handler@0.2.x or wasi:http/handler@0.3.x", http, command),
            Purpose::Run => ("wasi:cli/run@0.2.x or @0.3.x", command, http),
        };
        // What is of WASI 0.3 needs an engine of its own.
        let is_split = (edition, other) == (Some(Edition::V02), Some(Edition::V03));
        if edition.is_some_and(|edition| edition != Edition::Unknown) && !is_split {
            return self.misplaced(purpose);
        }
        let what = match self.anatomy.exports.as_slice() {
            [] => "it exports nothing".to_owned(),
            exports => format!("it exports {}", exports.join(", ")),
        };
        let lacks = if self.anatomy.exports.is_empty() { "and so not" } else { "but not" };
        let file = self.name.as_deref().unwrap_or_default();
        Some(match (purpose, edition, other) {
            (Purpose::Serve, Some(Edition::V02), Some(Edition::V03)) => {
                format!(
                    "{what}: it answers HTTP requests in WASI 0.2, which is not served beside WASI 0.3; it is a command, which \
                     `wasi-httpd run {file}` runs"
                )
            }
            (Purpose::Run, Some(Edition::V02), Some(Edition::V03)) => {
                format!(
                    "{what}: its command is of WASI 0.2, which does not run beside WASI 0.3; it answers HTTP requests, and \
                     `wasi-httpd {file}` serves it"
                )
            }
            (_, Some(_), _) | (_, None, Some(Edition::Unknown)) => {
                format!(
                    "{what}: that is {}, and this version runs components of WASI 0.2 and 0.3; build it for one of them",
                    Edition::Unknown
                )
            }
            (Purpose::Serve, None, Some(_)) => {
                format!("{what}, {lacks} {wanted}: it is a command, which `wasi-httpd run {file}` runs")
            }
            (Purpose::Run, None, Some(_)) => {
                format!("{what}, {lacks} {wanted}: it answers HTTP requests; `wasi-httpd {file}` serves it")
            }
            (Purpose::Serve, None, None) => {
                format!(
                    "{what}, {lacks} {wanted}: it does not answer HTTP requests, and it is no command either"
                )
            }
            (Purpose::Run, None, None) => {
                format!(
                    "{what}, {lacks} {wanted}: it is no command, and it does not answer HTTP requests either"
                )
            }
        })
    }

    /// Why it cannot stand where it does, though it can be started.
    fn misplaced(&self, purpose: Purpose) -> Option<String> {
        let file = self.name.as_deref().unwrap_or_default();
        let handler = self.anatomy.imports.iter().map(|import| import.name.as_str()).find(|name| {
            InterfaceName::parse(name)
                .is_some_and(|name| is_handler(&name) && name.edition() == self.edition(purpose))
        });
        match (self.role, handler) {
            (Role::Guest, Some(handler)) => Some(format!(
                "it imports {handler}, which is the component behind it, and nothing is behind it; \
                 `wasi-httpd --middleware {file} GUEST` has it stand before a guest"
            )),
            (Role::Middleware, None) => Some(format!(
                "it imports no handler of {}, so that it would pass nothing on and the guest would never be asked; \
                 `wasi-httpd {file}` serves it alone",
                self.edition(purpose)
            )),
            _ => None,
        }
    }

    /// The version of WASI in which it is started: it decides in which engine it runs.
    pub fn edition(&self, purpose: Purpose) -> Edition {
        let edition = match (self.kind, purpose) {
            (Kind::Component { http, .. }, Purpose::Serve) => http,
            (Kind::Component { command, .. }, Purpose::Run) => command,
            _ => None,
        };
        edition.unwrap_or(Edition::Unknown)
    }

    /// Compiles it for an engine.
    pub fn compile(&self, engine: &Engine) -> Result<Component> {
        Component::from_binary(engine, &self.bytes)
            .map_err(|error| anyhow!("{}", one_line(&error)))
            .with_context(|| self.failure())
    }

    /// What is wrong with it when the export by which it is started has not the form that its name promises.
    pub fn exports_other_types(&self) -> String {
        format!(
            "{} exports an interface of WASI in a form that this host does not call; `wasi-httpd inspect --wit` prints it",
            self.name()
        )
    }

    /// What is wrong with it when it does not compile. What is valid by any proposal of WebAssembly is not damaged.
    fn failure(&self) -> String {
        let name = self.name();
        if Validator::new_with_features(WasmFeatures::all()).validate_all(&self.bytes).is_err() {
            return format!("{name} is truncated or damaged");
        }
        let unknown: Vec<_> =
            self.anatomy.exports.iter().filter(|export| is_unknown(export)).cloned().collect();
        if unknown.is_empty() {
            return format!(
                "{name} is intact, but needs what this host does not have, or more than its limits; build it without that"
            );
        }
        format!(
            "{name} is intact, but also exports {}: that is {}; build it for WASI 0.2 or 0.3 only",
            unknown.join(", "),
            Edition::Unknown
        )
    }
}

/// Whether an export is of WASI, in a version that this host does not run.
fn is_unknown(export: &str) -> bool {
    let name = InterfaceName::parse(export).filter(|name| name.package.starts_with("wasi:"));
    name.is_some_and(|name| name.edition() == Edition::Unknown)
}

/// Whether an interface is the one that answers HTTP requests.
fn is_handler(name: &InterfaceName<'_>) -> bool {
    name.is("wasi:http", "incoming-handler") || name.is("wasi:http", "handler")
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Middleware => "middleware",
        })
    }
}

/// Checks the first bytes of a file, and says what it seems to be where it is not a WebAssembly binary.
fn recognise(bytes: &[u8]) -> Result<()> {
    match bytes.first_chunk() {
        Some(&COMPONENT | &CORE_MODULE) => Ok(()),
        _ if bytes.is_empty() => bail!("it is empty"),
        _ if bytes.starts_with(b"\0asm") => bail!("it is WebAssembly of an unknown version, or cut short"),
        _ if bytes.trim_ascii_start().starts_with(b"(") => {
            bail!("it is WebAssembly text; `wasm-tools parse IN.wat -o OUT.wasm` makes a binary of it")
        }
        _ => bail!("it is not WebAssembly"),
    }
}

/// An error of wasmtime in one line: the first line of each cause. Further lines are hints for users of the library.
pub fn one_line(error: &wasmtime::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let first = text.lines().next().unwrap_or_default().trim_end_matches(':').to_owned();
        if !first.is_empty() && !parts.contains(&first) {
            parts.push(first);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, CORE_MODULE, recognise};

    #[test]
    fn what_is_no_webassembly_is_told_by_its_first_bytes() {
        let message = |bytes: &[u8]| recognise(bytes).unwrap_err().to_string();
        assert!(recognise(&BUILT_IN).is_ok());
        assert!(recognise(&CORE_MODULE).is_ok());
        assert!(message(b"").contains("empty"));
        assert!(message(b"\0asm").contains("cut short"));
        assert!(message(b"(component)").contains("wasm-tools parse"));
        assert!(message(b"<html>").contains("not WebAssembly"));
    }
}
