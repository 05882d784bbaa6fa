//! The direct path: whether the main core module of a component can run without the component runtime.
//!
//! It can if each function that the module imports is exactly a function of WASI, lowered by the canonical ABI with the
//! module's own memory. What stands between the two is evaluated and may be of any names and order:
//!
//! 1. [`graph`] reads the component into index spaces, with every alias resolved: imported instances, functions, exports.
//!    [`core_instance`] reads the core instances, [`canon`] the canonical functions, and [`nested`] the component that
//!    wit-component puts around an exported interface.
//! 2. [`handler`] finds the lifted function behind the exported `wasi:http/incoming-handler`. The module that defines it
//!    is the main module.
//! 3. [`resolve`] follows each import of the main module to a function of the host, also through the [shim and
//!    fixup](shim) by which wit-component breaks the cycle between a module's imports and its memory. [`module`] reads
//!    those core modules.
//!
//! Everything else is a [`Misfit`]: also what is merely not known here.
//!
//! This does not replace what the component runtime does before the first request. Types are not compared here, neither
//! of imports with those of the host nor of lowered functions with the imports of core modules. A component that runs on
//! the direct path must have been compiled and linked as a component.

mod canon;
mod core_instance;
mod graph;
mod handler;
mod misfit;
mod module;
mod nested;
mod resolve;
mod shim;
#[cfg(test)]
mod tests;

pub use misfit::Misfit;

use graph::Graph;
use semver::Version;
use std::ops::Range;

/// A component that fits the direct path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Where in the component its main core module is, in bytes.
    pub main: Range<usize>,
    /// What each function import of the main module resolves to, in the order of the module.
    pub imports: Vec<Import>,
    /// The core export that handles a request.
    pub handle: String,
    /// The core export that is the memory of the canonical ABI.
    pub memory: String,
    /// The core export that allocates for the canonical ABI; `None` if no import needs it.
    pub realloc: Option<String>,
}

/// What an import of the main module resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The interface without its version, such as `wasi:http/types`.
    pub interface: String,
    /// The version in which the component imports the interface: a release of 0.2 that the host implements.
    pub version: Version,
    /// The function of the interface.
    pub function: Function,
}

/// A function that the host provides to the main module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    /// The function of this name, lowered, such as `[method]fields.entries`.
    Lowered(String),
    /// `resource.drop` for the resource of this name, such as `input-stream`.
    Drop(String),
}

/// Evaluates a component. Bytes that are not a valid component are a misfit too.
pub fn shape(component: &[u8]) -> Result<Shape, Misfit> {
    let graph = Graph::read(component)?;
    let handler = handler::find(&graph)?;
    resolve::resolve(component, &graph, &handler)
}
