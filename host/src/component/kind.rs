//! Classifies a binary by its exports: HTTP server, command, or a core module that has to be made a component.

use super::anatomy::{Anatomy, Layer};
use super::interface::{Edition, InterfaceName};
use std::fmt;

/// The names under which core modules import WASI preview 1.
const PREVIEW_1: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// The kind of a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A component that answers HTTP requests, is a command, both or neither. Where it exports an interface in several
    /// editions, the newest that this host runs counts.
    Component {
        /// `wasi:http/incoming-handler` (0.2) or `wasi:http/handler` (0.3).
        http: Option<Edition>,
        /// `wasi:cli/run`.
        command: Option<Edition>,
    },
    /// A core module of WASI preview 1: a command, or a library of functions.
    Preview1 {
        /// Whether it exports `_start`.
        command: bool,
    },
    /// A core module that does not import WASI.
    Module,
}

impl Kind {
    /// Classifies a binary.
    pub fn of(anatomy: &Anatomy) -> Self {
        let exports = |name: &str| anatomy.exports.iter().any(|export| export == name);
        match anatomy.layer {
            Layer::Module
                if anatomy.imports.iter().any(|import| PREVIEW_1.contains(&import.name.as_str())) =>
            {
                Self::Preview1 { command: exports("_start") }
            }
            Layer::Module => Self::Module,
            Layer::Component => {
                let edition = |wanted: &[(&str, &str)]| {
                    let names = anatomy.exports.iter().filter_map(|name| InterfaceName::parse(name));
                    let editions = names
                        .filter(|name| wanted.iter().any(|&(package, interface)| name.is(package, interface)))
                        .map(|name| name.edition());
                    editions.max()
                };
                Self::Component {
                    http: edition(&[("wasi:http", "incoming-handler"), ("wasi:http", "handler")]),
                    command: edition(&[("wasi:cli", "run")]),
                }
            }
        }
    }

    /// The command that makes a component of a core module.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Component { .. } => None,
            Self::Preview1 { command: true } => Some(
                "`wasm-tools component new IN.wasm --adapt wasi_snapshot_preview1.command.wasm -o OUT.wasm` makes a \
                 component of it",
            ),
            Self::Preview1 { command: false } => Some(
                "`wasm-tools component new IN.wasm --adapt wasi_snapshot_preview1.reactor.wasm -o OUT.wasm` makes a \
                 component of it",
            ),
            Self::Module => Some("`wasm-tools component new IN.wasm -o OUT.wasm` makes a component of it"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { http: Some(http), command: Some(command) } if http == command => {
                write!(f, "a component that is both, an HTTP server and a command of {http}")
            }
            Self::Component { http: Some(http), command: Some(command) } => {
                write!(f, "a component that is both, an HTTP server of {http} and a command of {command}")
            }
            Self::Component { http: Some(edition), command: None } => {
                write!(f, "an HTTP server of {edition}")
            }
            Self::Component { http: None, command: Some(edition) } => write!(f, "a command of {edition}"),
            Self::Component { http: None, command: None } => {
                f.write_str("a component that is neither an HTTP server nor a command")
            }
            Self::Preview1 { command: true } => {
                f.write_str("a core module, a command of WASI preview 1, not a component")
            }
            Self::Preview1 { command: false } => {
                f.write_str("a core module, a library of WASI preview 1, not a component")
            }
            Self::Module => f.write_str("a core WebAssembly module, not a component"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use crate::component::anatomy::{Anatomy, Import, Layer};
    use crate::component::interface::Edition;
    use crate::component::needs::Needs;

    fn kind(layer: Layer, imports: &[&str], exports: &[&str]) -> Kind {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let import = |name: &&str| Import { name: (*name).to_owned(), functions: Vec::new() };
        Kind::of(&Anatomy {
            layer,
            imports: imports.iter().map(import).collect(),
            exports: owned(exports),
            needs: Needs::default(),
        })
    }

    #[test]
    fn exports_say_what_a_component_is_for() {
        let component = |exports: &[&str]| kind(Layer::Component, &[], exports);
        let (http, run) = ("wasi:http/incoming-handler@0.2.3", "wasi:cli/run@0.2.0");
        let is = |http, command| Kind::Component { http, command };
        assert_eq!(component(&[http]), is(Some(Edition::V02), None));
        assert_eq!(component(&[run]), is(None, Some(Edition::V02)));
        assert_eq!(component(&[http, run]), is(Some(Edition::V02), Some(Edition::V02)));
        assert_eq!(component(&["wasi:http/handler@0.3.0"]), is(Some(Edition::V03), None));
        assert_eq!(component(&["wasi:cli/run@0.4.0"]), is(None, Some(Edition::Unknown)));
        assert_eq!(component(&["wasi:cli/run@0.3.0", run]), is(None, Some(Edition::V03)));
        assert_eq!(component(&["wasi:cli/run@0.4.0", run]), is(None, Some(Edition::V02)));
        assert_eq!(component(&[http, "wasi:http/handler@0.3.0"]), is(Some(Edition::V03), None));
        assert_eq!(component(&["run", "wasi:http/types@0.2.0"]), is(None, None));
    }

    #[test]
    fn a_module_of_preview_1_is_a_command_if_it_starts() {
        let module = |imports, exports| kind(Layer::Module, imports, exports);
        assert_eq!(module(&["wasi_snapshot_preview1"], &["_start"]), Kind::Preview1 { command: true });
        assert_eq!(module(&["env", "wasi_unstable"], &["memory"]), Kind::Preview1 { command: false });
        assert_eq!(module(&["env"], &["_start"]), Kind::Module);
    }
}
