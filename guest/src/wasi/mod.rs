//! The adapters to WASI, one for each version, and what they share. The feature `v03` chooses.

#[cfg(not(feature = "v03"))]
mod exchange;
mod prepared;
#[cfg(not(feature = "v03"))]
mod v02;
#[cfg(feature = "v03")]
mod v03;

#[cfg(not(feature = "v03"))]
use v02 as adapter;
#[cfg(feature = "v03")]
use v03 as adapter;

use crate::path::RelativePath;
use crate::tree::TreeError;
use std::fmt;

/// What the operator must know where the runtime gives no directory.
const NO_DIRECTORY: &str =
    "there is no directory to serve; give the component one, for example with `--dir .`";

/// How many bytes of a file that the server reads for itself are read at first, in bytes. Most are smaller, and 0.2 runtimes clear
/// a buffer of this size.
const FIRST_READ_BYTES: usize = 4096;

/// A path as `wasi:filesystem` takes it: there, the root is not the empty path.
fn path_argument(path: &RelativePath) -> &str {
    if path.as_str().is_empty() { "." } else { path.as_str() }
}

/// A failure of the system at a path, for the operator.
fn system_failure(path: &str, error: &str) -> TreeError {
    let place = if path.is_empty() { String::new() } else { format!(" `{}`", path.escape_debug()) };
    TreeError::Failed(format!("cannot read{place}: {error}"))
}

/// What the operator must know where the runtime does not take a header field.
fn refused_field(error: impl fmt::Display) -> String {
    format!("the runtime refuses a header field of the answer ({error}); see FILES_HEADERS and _headers")
}
