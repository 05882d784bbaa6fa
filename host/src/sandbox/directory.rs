//! Directories that guests see: opened once, read-only, and always the one that their path leads to.
//!
//! A site is published by moving a new directory, or a symbolic link to one, into the old one's place, so the path is
//! examined again for requests that come a millisecond or more after the last examination. Where it leads to no
//! directory, guests see an empty one in the same place: if it were left out, a guest that serves its first directory
//! would serve the next one instead. A directory that has rules is [pinned](crate::config::grants::Grants::pinned): it is
//! replaced together with them.

use super::BLOCKING_FILE_CALLS;
use super::mounts::{self, Hanging};
use crate::config::grants::DirectoryGrant;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tracing::warn;
use wasmtime_wasi::filesystem::{Dir, FsPerms, OpenMode};

/// How long what the path has led to is used without another look. Examining the path takes a microsecond, some percent
/// of a request, and a site that is published a millisecond later makes no difference.
const PATH_TTL: Duration = Duration::from_millis(1);

/// A directory that guests see.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// How the command line names it.
    shown: String,
    /// What the guest knows it as.
    pub name: String,
    is_named: bool,
    /// Whether it stays the one that was opened when another one takes its place.
    is_pinned: bool,
    opened: RwLock<Opened>,
    /// What `examined` counts from.
    start: Instant,
    /// When the path was last examined, in microseconds.
    examined: AtomicU64,
    /// Whether it led to no directory then.
    is_gone: AtomicBool,
    hanging: Hanging,
}

struct Opened {
    directory: Dir,
    identity: Identity,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.identity.fmt(f)
    }
}

/// Device and inode: what makes two directories the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Directory {
    /// Opens a directory, which may be pinned: then it stays the one that is opened now.
    pub(super) fn open(grant: &DirectoryGrant, is_pinned: bool) -> Result<Self> {
        let shown = grant.host.display().to_string();
        // The path must mean the same for as long as the server runs, even where the working directory is removed.
        let path = std::path::absolute(&grant.host).with_context(|| format!("cannot find --dir {shown}"))?;
        let start = Instant::now();
        let metadata = std::fs::metadata(&path).with_context(|| format!("cannot serve --dir {shown}"))?;
        ensure!(
            metadata.is_dir(),
            "cannot serve --dir {shown}: it is not a directory; serve the one that it is in"
        );
        // Listing a directory takes another permission than opening it, and is needed too.
        std::fs::read_dir(&path).with_context(|| format!("cannot read --dir {shown}"))?;
        let opened = Opened::at(&path).with_context(|| format!("cannot open --dir {shown}"))?;
        // Made now, while nothing restricts the process.
        LazyLock::force(&EMPTY);
        mounts::open();
        let hanging = Hanging::new(mounts::is_remote_directory(&path));
        let name = grant.guest.clone();
        Ok(Self {
            path,
            shown,
            name,
            // `.` and `..` have no name.
            is_named: grant.host.file_name().is_some(),
            is_pinned,
            opened: RwLock::new(opened),
            start,
            examined: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
            hanging,
        })
    }

    /// The absolute path, which may lead to another directory later.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the command line names it, so that another directory of that name may take its place.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// The directory that the path leads to now, or led to less than a millisecond ago; or an empty one.
    pub fn current(&self) -> Result<Dir> {
        self.at(self.start.elapsed())
    }

    /// The directory at this time since the start.
    fn at(&self, now: Duration) -> Result<Dir> {
        let directory = if self.was_examined(now) { self.known() } else { self.examine(now) };
        match directory {
            Some(directory) => Ok(directory),
            None => EMPTY.clone().with_context(|| {
                format!("--dir {} is gone, and no directory for temporary files can stand for it", self.shown)
            }),
        }
    }

    /// Whether the last examination is recent enough.
    fn was_examined(&self, now: Duration) -> bool {
        let examined = Duration::from_micros(self.examined.load(Ordering::Acquire));
        now.saturating_sub(examined) < PATH_TTL
    }

    /// What the last examination has found.
    fn known(&self) -> Option<Dir> {
        let opened = || self.opened.read().unwrap_or_else(PoisonError::into_inner).directory.clone();
        (!self.is_gone.load(Ordering::Relaxed)).then(opened)
    }

    /// Finds out what the path leads to.
    fn examine(&self, now: Duration) -> Option<Dir> {
        let metadata = std::fs::metadata(&self.path).ok().filter(Metadata::is_dir);
        let is_there = metadata.is_some();
        let found = metadata.and_then(|metadata| self.opened_as(Identity::from(&metadata)));
        if self.is_gone.load(Ordering::Relaxed) != found.is_none() {
            self.note(found.is_none(), is_there);
        }
        // The time of before: a thread that was held up meanwhile must not make what it has found look recent.
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.examined.store(now, Ordering::Release);
        found
    }

    /// The directory of this identity, which the path leads to; `None` when it has gone meanwhile.
    fn opened_as(&self, identity: Identity) -> Option<Dir> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_pinned || identity == opened.identity {
            return Some(opened.directory.clone());
        }
        drop(opened);
        let new = Opened::at(&self.path).ok()?;
        let directory = new.directory.clone();
        self.hanging.set(mounts::is_remote_directory(&self.path));
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = new;
        Some(directory)
    }

    /// Tells the operator, once, that the directory has gone, cannot be opened, or is back.
    fn note(&self, is_gone: bool, is_there: bool) {
        if self.is_gone.swap(is_gone, Ordering::Relaxed) != is_gone {
            if is_gone && is_there {
                warn!(
                    "--dir {} is another directory now, which cannot be opened: an empty one stands for it; the new \
                     one must be readable, and served from a directory that holds little else, or restart the server",
                    self.shown
                );
            } else if is_gone {
                warn!("--dir {} is gone: an empty directory stands for it until it is back", self.shown);
            } else {
                warn!("--dir {} is back", self.shown);
            }
        }
    }
}

impl Opened {
    fn at(path: &Path) -> std::io::Result<Self> {
        let file = open(path)?;
        let identity = Identity::from(&file.metadata()?);
        Ok(Self { directory: read_only(file), identity })
    }
}

/// Opens a directory. What else may have taken its place, such as a FIFO, is not waited for.
fn open(path: &Path) -> std::io::Result<File> {
    Ok(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(File::from)?)
}

fn read_only(directory: File) -> Dir {
    Dir::new(directory, FsPerms::ReadOnly, OpenMode::READ, BLOCKING_FILE_CALLS)
}

/// A directory that is empty and stays so, because it was removed when it had been opened. `None` where none could be
/// made.
pub(super) static EMPTY: LazyLock<Option<Dir>> = LazyLock::new(|| {
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    places.iter().find_map(|place| removed_directory(place).ok()).map(read_only)
});

fn removed_directory(place: &Path) -> std::io::Result<File> {
    let path = place.join(format!("wasi-httpd-{}-empty", std::process::id()));
    // A directory that is there already may belong to another user.
    rustix::fs::mkdir(&path, Mode::RUSR | Mode::XUSR)?;
    let opened = open(&path);
    rustix::fs::rmdir(&path)?;
    opened
}

#[cfg(test)]
mod tests {
    use super::{Directory, DirectoryGrant, Identity, PATH_TTL, removed_directory};
    use std::cell::Cell;
    use std::os::fd::AsRawFd as _;
    use std::path::PathBuf;
    use std::time::Duration;
    use tempfile::TempDir;

    /// An empty directory called `site` in a place of its own.
    fn opened(is_pinned: bool) -> (TempDir, PathBuf, Directory) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site");
        std::fs::create_dir(&path).unwrap();
        let grant = DirectoryGrant { host: path.clone(), guest: "/".to_owned() };
        let directory = Directory::open(&grant, is_pinned).unwrap();
        (place, path, directory)
    }

    #[test]
    fn a_removed_directory_is_empty_and_stays_so() {
        let place = tempfile::tempdir().unwrap();
        let directory = removed_directory(place.path()).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left behind");
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(std::fs::write(format!("{path}/a.txt"), "a").is_err());
    }

    #[test]
    fn a_directory_that_is_gone_is_empty_until_it_is_back() {
        let (place, path, directory) = opened(false);
        std::fs::write(path.join("a.txt"), "a").unwrap();
        let now = Cell::new(Duration::ZERO);
        let entries_now = || {
            let path = format!("/proc/self/fd/{}", directory.at(now.get()).unwrap().dir.as_raw_fd());
            std::fs::read_dir(path).unwrap().count()
        };
        let entries = || {
            now.set(now.get() + PATH_TTL);
            entries_now()
        };
        assert_eq!(entries(), 1);
        let away = place.path().join("away");
        std::fs::rename(&path, &away).unwrap();
        assert_eq!(entries(), 0);
        std::fs::write(&path, "a file in its place").unwrap();
        assert_eq!(entries(), 0);
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(entries_now(), 0, "a moment ago there was none");
        assert_eq!(entries(), 1);
    }

    #[test]
    fn a_pinned_directory_stays_as_long_as_there_is_one_in_its_place() {
        let (place, path, directory) = opened(true);
        let identity = |ticks| {
            let opened = directory.at(PATH_TTL * ticks).unwrap();
            Identity::from(&opened.dir.metadata().unwrap())
        };
        let first = identity(1);
        std::fs::rename(&path, place.path().join("away")).unwrap();
        assert_ne!(identity(2), first, "an empty one");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(identity(3), first);
    }

    #[test]
    fn the_path_is_examined_once_a_millisecond() {
        let (place, path, directory) = opened(false);
        let identity = |now| {
            let opened = directory.at(now).unwrap();
            Identity::from(&opened.dir.metadata().unwrap())
        };
        let start = Duration::from_secs(1);
        let first = identity(start);
        std::fs::rename(&path, place.path().join("away")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(identity(start + Duration::from_micros(999)), first);
        let second = identity(start + PATH_TTL);
        assert_ne!(second, first);
        // A thread that began earlier finds what others have found since.
        assert_eq!(identity(start), second);
        assert_eq!(identity(start + 2 * PATH_TTL), second);
    }

    #[test]
    fn threads_see_the_same_directory() {
        let (place, path, directory) = opened(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let opened = directory.current().unwrap();
                        assert!(opened.dir.metadata().unwrap().is_dir());
                    }
                });
            }
            for at in 0..20 {
                std::thread::sleep(PATH_TTL);
                std::fs::rename(&path, place.path().join(at.to_string())).unwrap();
                std::fs::create_dir(&path).unwrap();
            }
        });
        std::thread::sleep(2 * PATH_TTL);
        std::fs::write(path.join("last.txt"), "a").unwrap();
        let opened = format!("/proc/self/fd/{}", directory.current().unwrap().dir.as_raw_fd());
        assert_eq!(std::fs::read_dir(opened).unwrap().count(), 1);
    }
}
