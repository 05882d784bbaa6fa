//! How long a file may be kept: `Cache-Control` (RFC 9111 §5.2).

use crate::config::Settings;
use crate::path::RelativePath;
use std::borrow::Cow;

/// For files: stored, but validated before each use. Nothing in a name proves that its content never changes, so a longer
/// life is up to the operator.
pub const REVALIDATE: &str = "no-cache";

/// For errors: the file may be there in a moment.
pub const NEVER: &str = "no-store";

/// The `Cache-Control` of a file. The path of the file counts, not the requested one: a page that answers for a missing
/// script is not a script.
pub fn control(settings: &Settings, file: &RelativePath) -> Cow<'static, str> {
    match settings.cache_control.of_file(|| file.decoded()) {
        Some(value) => Cow::Owned(value.clone()),
        None => Cow::Borrowed(REVALIDATE),
    }
}
