//! The adapters to WASI, one for each version, and what they share.

mod v02;

use crate::path::RelativePath;
use crate::tree::TreeError;

/// What the operator must know where the runtime gives no directory.
const NO_DIRECTORY: &str =
    "there is no directory to serve; give the component one, for example with `--dir .`";

/// A path as `wasi:filesystem` takes it: there, the root is not the empty path.
fn path_argument(path: &RelativePath) -> &str {
    if path.as_str().is_empty() { "." } else { path.as_str() }
}

/// A failure of the system at a path, for the operator.
fn system_failure(path: &str, error: &str) -> TreeError {
    let place = if path.is_empty() { String::new() } else { format!(" `{}`", path.escape_debug()) };
    TreeError::Failed(format!("cannot read{place}: {error}"))
}
