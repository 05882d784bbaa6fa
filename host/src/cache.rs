//! The user's directory for what programs can make again (XDG Base Directory Specification).

use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// The directory of this name in it, which is made where it is missing.
pub fn directory(name: &str) -> Result<PathBuf> {
    // Relative paths are to be ignored.
    let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let user = user.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let directory = user.context("the user has no home directory")?.join(name);
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}
