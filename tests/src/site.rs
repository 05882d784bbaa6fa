//! A directory of files to serve, removed when it is dropped.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// When the files of a site were changed, in seconds since 1970: long ago, so that their tags are strong.
pub const MODIFIED_SECONDS: u64 = 1_700_000_000;

/// The same as an HTTP-date.
pub const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// The same in nanoseconds, in hexadecimal digits: the first part of an entity tag.
pub const MODIFIED_TAG: &str = "17979cfe362a0000";

/// A directory `www` to serve, within another that is not.
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
        // What our host decides by itself, and others do not, is decided here.
        let settings = vec![("FILES_LISTING".to_owned(), "off".to_owned())];
        Self { outside, root, settings }
    }

    /// The same site, with a setting of the file server on every runtime.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
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

    /// The directory that it is in, of which nothing may ever be served.
    pub fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// Where the file called `name` is or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Adds a file, last changed at [`MODIFIED`], and the directories that it is in.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        self.file_modified(name, content, UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS))
    }

    /// Adds a file that was last changed at `modified`.
    pub fn file_modified(&self, name: &str, content: impl AsRef<[u8]>, modified: SystemTime) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        self
    }

    /// Adds a directory.
    pub fn directory(&self, name: &str) -> &Self {
        fs::create_dir_all(self.path(name)).unwrap();
        self
    }
}

/// Bytes without a pattern that a copying mistake could hide in; the same for the same length.
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
