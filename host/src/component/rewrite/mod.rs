//! Rewrites the main module of a component so that the host never calls the guest during a call of the guest.
//!
//! By the canonical ABI, a host function that returns lists or strings allocates memory for them with the guest's
//! `cabi_realloc`, and so calls the guest while the guest waits for it. wasmtime allows that in async functions only, on a
//! fiber of their own. After rewriting, the guest allocates on request instead: each such import gets a wrapper of
//! WebAssembly around the raw function of the host,
//!
//! ```text
//! r = raw(arguments…)
//! while r >= 0 { r = next(cabi_realloc(0, 0, align = r >> 32, size = r & 0xffff_ffff)) }
//! ```
//!
//! so that the host asks for one allocation after the other and says with a negative number that it has finished.
//!
//! 1. [`plan`] reads what the module has and decides where new types and functions get their indices.
//! 2. [`reencode`] writes the module again, with every reference to a function at its new index.
//! 3. [`wrapper`] is the code of a wrapper.
//! 4. [`marks`] has the module tell which parts of its memory it has written to, where that is asked for.

pub mod marks;
mod plan;
mod reencode;
#[cfg(test)]
mod tests;
mod wrapper;

use plan::Plan;
use wasm_encoder::reencode::Reencode as _;

/// The module name of imports that are the host's own and not WASI's.
pub const HOST: &str = "wasi-httpd";

/// The import of type `(i32) -> i64` that takes the address of an allocation and returns the next request for one.
pub const NEXT: &str = "next";

/// An import of the rewritten module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewrittenImport<'a> {
    /// The interface, such as `wasi:http/types`.
    pub module: &'a str,
    /// The function, such as `[method]fields.entries`.
    pub name: &'a str,
    /// Whether it allocates in the memory of the guest: its raw function returns an `i64`, which is either a request for
    /// an allocation (alignment in the upper half, size in the lower one) or negative.
    pub allocates: bool,
}

/// What is added to a module so that its instances can be put back into their initial state.
#[derive(Clone, Copy, Debug)]
pub struct Additions<'a> {
    /// The indices of mutable globals, which are exported as well, as [`global_export`] names them.
    pub globals: &'a [u32],
    /// Whether writes to the memory are [marked](marks). The module has one memory, which it defines.
    pub marks: bool,
}

/// The reason that a module cannot be rewritten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The module cannot be parsed.
    #[error("the module is malformed: {0}")]
    Malformed(String),
    /// The number of function imports differs from the number of new names.
    #[error("the module has {found} imports instead of {expected}")]
    Imports {
        /// The number of new names.
        expected: usize,
        /// The number of function imports.
        found: usize,
    },
    /// An import is not a function.
    #[error("the import `{0}` is not a function")]
    ImportKind(String),
    /// The type of a function is not known, or is one of the garbage collection proposal.
    #[error("the import `{0}` is of an unknown type")]
    ImportType(String),
    /// A function that allocates returns its results in memory, and not as values.
    #[error("the import `{0}` allocates and has a result")]
    Result(String),
    /// A function allocates, and the module has no allocator.
    #[error("the import `{0}` allocates, and the module has no realloc")]
    NoRealloc(String),
    /// The allocator is not an exported function of the right type that the module defines.
    #[error("`{0}` is not a realloc")]
    Realloc(String),
    /// A mutable global does not exist.
    #[error("there is no mutable global {0}")]
    Global(u32),
    /// The name for the export of a global is taken.
    #[error("the module exports `{0}` already")]
    Export(String),
    /// The module exports nothing, so that it cannot be of use either.
    #[error("the module exports nothing")]
    NoExports,
}

impl From<wasmparser::Error> for RewriteError {
    fn from(error: wasmparser::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The name under which the rewritten module exports a global.
pub fn global_export(index: u32) -> String {
    format!("{HOST}:global {index}")
}

/// Rewrites a core module.
///
/// `imports` are the new names of all its imports, which must be functions, in the order of the module. `realloc` is the
/// export that allocates.
///
/// If any import allocates, a further one, [`HOST`] [`NEXT`], follows the others. Of the custom sections only the name
/// section remains: others may hold offsets into the code, and would be wrong.
pub fn rewrite(
    module: &[u8],
    imports: &[RewrittenImport<'_>],
    realloc: Option<&str>,
    additions: Additions<'_>,
) -> Result<Vec<u8>, RewriteError> {
    let mut plan = Plan::of(module, imports, realloc, additions)?;
    let mut rewritten = wasm_encoder::Module::new();
    plan.parse_core_module(&mut rewritten, wasmparser::Parser::new(0), module).map_err(|error| {
        RewriteError::Malformed(match error {
            wasm_encoder::reencode::Error::ParseError(error) => error.to_string(),
            error => error.to_string(),
        })
    })?;
    Ok(rewritten.finish())
}
