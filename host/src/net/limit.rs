//! How many connections may be open at a time.

use crate::config::defaults::MAX_CONNECTIONS;
use crate::wasi::MAX_OPEN_FILES;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files that the process needs besides connections and what guests open: standard streams, listeners, the cache, and those
/// that stay open between requests.
const OTHER_FILES: usize = 64 + MAX_OPEN_FILES;

/// Files that a connection needs: its socket, the file that it sends, and one of those that all connections with HTTP/2
/// send beside that.
const FILES_PER_CONNECTION: usize = 3;

/// How many files the process may have open. Its limit is raised as far as it may be.
pub fn open_files() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// How many connections may be open at a time, if the operator wants so many, when `other_files` may be open for guests. The
/// process's limit of open files is raised as far as it may be.
pub fn max_connections(wanted: Option<u32>, other_files: usize) -> usize {
    let most = wanted.unwrap_or(MAX_CONNECTIONS) as usize;
    let files = open_files();
    let reserved = OTHER_FILES + other_files;
    let available = files.saturating_sub(reserved).max(files / 4) / FILES_PER_CONNECTION;
    // Without the flag, warn only below half of the default; a slightly lower limit is not worth a warning.
    if available < (if wanted.is_some() { most } else { most / 2 }) {
        warn!(
            "at most {available} connections at a time: the limit of open files is {files}; `ulimit -n` raises it"
        );
    }
    available.min(most)
}
