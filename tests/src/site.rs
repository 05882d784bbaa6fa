//! A directory of files to serve, which is removed on drop.

use crate::process::eventually;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The modification time of a site's files, in seconds since 1970. It is long ago, so that their entity tags are
/// strong.
pub const MODIFIED_SECONDS: u64 = 1_700_000_000;

/// [`MODIFIED_SECONDS`] as an HTTP-date.
pub const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// [`MODIFIED_SECONDS`] in nanoseconds and hexadecimal digits: the first part of an entity tag.
pub const MODIFIED_TAG: &str = "17979cfe362a0001";

/// A directory `www` to serve, inside a directory that is not served.
#[derive(Debug)]
pub struct Site {
    outside: TempDir,
    root: PathBuf,
    settings: Vec<(String, String)>,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// An empty site, readable by every user of the machine.
    pub fn new() -> Self {
        let outside = TempDir::new().unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = outside.path().join("www");
        fs::create_dir(&root).unwrap();
        // Our host turns listings on at loopback addresses, and other runtimes do not. Set the same value for all.
        let settings = vec![("FILES_LISTING".to_owned(), "off".to_owned())];
        Self { outside, root, settings }
    }

    /// Sets a variable of the file server, on every runtime.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(existing, _)| existing != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The settings of the file server, as `NAME=VALUE`.
    pub fn settings(&self) -> impl Iterator<Item = String> {
        self.settings.iter().map(|(name, value)| format!("{name}={value}"))
    }

    /// The directory to serve.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The parent of the directory to serve. Nothing else in it may be served.
    pub fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// The path of the file called `name`, which need not exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Adds a file that was modified at [`MODIFIED`], and its parent directories.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        self.file_modified(name, content, UNIX_EPOCH + Duration::new(MODIFIED_SECONDS, 1))
    }

    /// Adds a file that was modified at this time, and its parent directories.
    pub fn file_modified(&self, name: &str, content: impl AsRef<[u8]>, modified: SystemTime) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        self
    }

    /// Waits until a change gets a later time than the last one of this file: file systems keep the time of the kernel's last
    /// tick, so that two changes can have the same.
    pub fn wait_for_later_changes(&self, name: &str) {
        let changed = |path: PathBuf| {
            let metadata = fs::symlink_metadata(path).unwrap();
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let last = changed(self.path(name));
        let probe = self.outside().join("probe");
        eventually("the clock of the file system goes on", || {
            fs::write(&probe, "").unwrap();
            changed(probe.clone()) > last
        });
    }

    /// Adds a directory.
    pub fn directory(&self, name: &str) -> &Self {
        fs::create_dir_all(self.path(name)).unwrap();
        self
    }
}

/// A file `_redirects` of this many rules, none of which is for a file of the site.
pub fn redirects(count: usize) -> String {
    (0..count).map(|at| format!("/old/section-{at}/page /new/section/{at} 301\n")).collect()
}

/// A file `_headers` of this many rules, none of which is for a file of the site.
pub fn header_rules(count: usize) -> String {
    (0..count).map(|at| format!("/docs/section-{at}/*\n  X-Robots-Tag: noindex\n")).collect()
}

/// Pseudorandom bytes, so that no repetition hides a copying mistake. The same length gives the same bytes.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
