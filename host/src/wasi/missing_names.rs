//! Names that were missing beside a file, such as those of its precompressed variants.
//!
//! A guest that has found a file may ask for others whose names begin with the name of that file. Most files have none, and every
//! question would cost a system call. A name that was missing is missing still while nothing has changed in its directory. The
//! directory is examined at most once in [`METADATA_TTL`], so that a new variant may be found that much later. Until then, the file
//! itself is served, which is as right.
//!
//! What has changed in a directory a moment ago may change again within the same tick of the file system's clock, without another
//! time of change. So nothing is remembered of directories that have changed lately.

use super::path_key::{PathKey, PathKeys};
use crate::body::METADATA_TTL;
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use wasmtime_wasi::filesystem::Dir;

/// How many names are remembered; further ones take the places of others.
const NAMES_MAX: usize = 4_096;

/// How many directories are remembered.
const DIRECTORIES_MAX: usize = 256;

/// How long ago a directory must have changed. The clocks of file systems tick every two seconds or more often.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Names that were missing when their directories were last changed.
#[derive(Debug)]
pub struct MissingNames {
    /// The key of each name combined with the version of its directory, in the place that the key names; 0 where there is none.
    names: Box<[AtomicU64]>,
    directories: Box<[Mutex<Option<Examined>>]>,
    settled_after: Duration,
}

/// A directory, as it was examined.
#[derive(Clone, Copy, Debug)]
struct Examined {
    path: PathKey,
    version: Option<Version>,
    since: Instant,
}

/// What tells a directory, with the names that are in it, from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u64);

impl Default for MissingNames {
    fn default() -> Self {
        Self {
            names: (0..NAMES_MAX).map(|_| AtomicU64::new(0)).collect(),
            directories: (0..DIRECTORIES_MAX).map(|_| Mutex::new(None)).collect(),
            settled_after: SETTLED_AFTER,
        }
    }
}

impl MissingNames {
    /// Remembers names also of directories that change just now.
    #[cfg(test)]
    pub fn of_unsettled_directories() -> Self {
        Self { settled_after: Duration::ZERO, ..Self::default() }
    }

    /// The version of the directory that a path below another one lies in, examined at most [`METADATA_TTL`] before `now`; `None` where
    /// nothing can be remembered of it.
    pub fn version(&self, keys: &PathKeys, directory: &Dir, path: &str, now: Instant) -> Option<Version> {
        let parent = parent(path);
        let key = keys.of(directory.dir.as_raw_fd(), parent);
        let place = &self.directories[key.place(DIRECTORIES_MAX)];
        let known = *place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known
            && known.path == key
            && now.saturating_duration_since(known.since) < METADATA_TTL
        {
            return known.version;
        }
        // Without the lock: on a file system that hangs, this waits.
        let version = self.examine(keys, directory, parent);
        *place.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Examined { path: key, version, since: now });
        version
    }

    /// The version of a directory now.
    fn examine(&self, keys: &PathKeys, directory: &Dir, path: &str) -> Option<Version> {
        let stat = if path.is_empty() {
            fstat(&*directory.dir)
        } else {
            statat(&*directory.dir, path, AtFlags::SYMLINK_NOFOLLOW)
        };
        let stat = stat.ok().filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
        let is_settled = SystemTime::now().duration_since(changed(&stat)?).ok()? >= self.settled_after;
        let times = (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        is_settled.then(|| Version(keys.hash((stat.st_dev, stat.st_ino, times))))
    }

    /// Whether a path of this key was missing in this version of its directory.
    pub fn has(&self, key: PathKey, version: Version) -> bool {
        self.place(key).load(Ordering::Relaxed) == combined(key, version)
    }

    /// A path of this key is missing. It is remembered if the directory has this version still.
    pub fn note(&self, keys: &PathKeys, (directory, path): (&Dir, &str), key: PathKey, version: Version) {
        if self.examine(keys, directory, parent(path)) == Some(version) {
            self.place(key).store(combined(key, version), Ordering::Relaxed);
        }
    }

    fn place(&self, key: PathKey) -> &AtomicU64 {
        &self.names[key.place(NAMES_MAX)]
    }
}

/// The path of the directory that a path lies in; empty for the directory that the path begins at.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// When it changed; `None` before 1970.
fn changed(stat: &Stat) -> Option<SystemTime> {
    let since = Duration::from_secs(u64::try_from(stat.st_ctime).ok()?);
    Some(SystemTime::UNIX_EPOCH + since + Duration::from_nanos(stat.st_ctime_nsec))
}

/// Both are hashes, so that no two pairs have the same value but by a rare chance.
fn combined(key: PathKey, version: Version) -> u64 {
    (key.number() ^ version.0).max(1)
}

#[cfg(test)]
mod tests {
    use super::{METADATA_TTL, MissingNames, PathKeys, Version};
    use std::fs::{self, File};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::symlink;
    use std::time::Instant;
    use wasmtime_wasi::filesystem::{Dir, FsPerms, OpenMode};

    struct Fixture {
        place: tempfile::TempDir,
        root: Dir,
        keys: PathKeys,
        missing: MissingNames,
        now: Instant,
    }

    impl Fixture {
        fn new(missing: MissingNames) -> Self {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir(place.path().join("d")).unwrap();
            symlink("d", place.path().join("link")).unwrap();
            let root = Dir::new(File::open(place.path()).unwrap(), FsPerms::ReadOnly, OpenMode::READ, true);
            Self { place, root, keys: PathKeys::default(), missing, now: Instant::now() }
        }

        /// The version after what was known has expired.
        fn version(&mut self, path: &str) -> Option<Version> {
            self.now += METADATA_TTL;
            self.missing.version(&self.keys, &self.root, path, self.now)
        }

        fn has(&self, path: &str, version: Version) -> bool {
            self.missing.has(self.keys.of(self.root.dir.as_raw_fd(), path), version)
        }

        fn note(&self, path: &str, version: Version) {
            let key = self.keys.of(self.root.dir.as_raw_fd(), path);
            self.missing.note(&self.keys, (&self.root, path), key, version);
        }
    }

    #[test]
    fn names_are_missing_until_their_directory_changes() {
        let mut fixture = Fixture::new(MissingNames::of_unsettled_directories());
        for path in ["a.br", "d/a.br"] {
            let version = fixture.version(path).unwrap();
            assert!(!fixture.has(path, version));
            fixture.note(path, version);
            assert!(fixture.has(path, version) && !fixture.has("other.br", version));
            assert_eq!(fixture.version(path), Some(version), "nothing has changed");
            fs::write(fixture.place.path().join(path), "").unwrap();
            let later = fixture.version(path).unwrap();
            assert!(later != version && !fixture.has(path, later), "{path}");
        }
    }

    #[test]
    fn a_directory_is_examined_once_a_millisecond() {
        let mut fixture = Fixture::new(MissingNames::of_unsettled_directories());
        let version = fixture.version("a.br");
        fs::write(fixture.place.path().join("a.br"), "").unwrap();
        let again =
            fixture.missing.version(&fixture.keys, &fixture.root, "b.br", fixture.now + METADATA_TTL / 2);
        assert_eq!(again, version);
        assert_ne!(fixture.version("b.br"), version);
    }

    #[test]
    fn what_changed_meanwhile_is_not_remembered() {
        let mut fixture = Fixture::new(MissingNames::of_unsettled_directories());
        let version = fixture.version("a.br").unwrap();
        fs::write(fixture.place.path().join("b"), "").unwrap();
        fixture.note("a.br", version);
        assert!(!fixture.has("a.br", version));
    }

    #[test]
    fn nothing_is_remembered_of_a_directory_that_has_just_changed_or_is_none() {
        let mut fixture = Fixture::new(MissingNames::default());
        assert_eq!(fixture.version("a.br"), None);
        let mut fixture = Fixture::new(MissingNames::of_unsettled_directories());
        for path in ["link/a.br", "none/a.br"] {
            assert_eq!(fixture.version(path), None, "{path}");
        }
    }
}
