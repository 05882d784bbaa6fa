//! How long a file may be kept: `Cache-Control` (RFC 9111 §5.2).

use crate::config::Settings;
use crate::path::RelativePath;

/// For files: stored, but validated before each use. Nothing in a name proves that its content never changes, so a longer
/// life is up to the operator.
pub const REVALIDATE: &str = "no-cache";

/// For errors: the file may be there in a moment.
pub const NEVER: &str = "no-store";

/// The `Cache-Control` of a file. The path of the file counts, not the requested one: a page that answers for a missing
/// script is not a script.
pub fn control<'s>(settings: &'s Settings, file: &RelativePath) -> &'s str {
    settings.cache_control.first_about(file).unwrap_or(REVALIDATE)
}
