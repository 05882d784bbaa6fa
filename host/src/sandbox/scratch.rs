//! Scratch directories (`--scratch`): the only places that a guest can write to. Each is bounded and gone afterwards, whatever
//! becomes of the guest.
//!
//! A process keeps all of them in one directory of its own, below one of its user in the system's directory for temporary files.
//! It holds a lock on it: what is left of a process that was killed is removed by the next one that starts.
//!
//! What a guest stores is counted before it is written, as much as it can take at most. Where that reaches the limit, what is
//! really there is measured. So a directory never holds more, and what was deleted is free again.

use super::BLOCKING_FILE_CALLS;
use crate::config::grants::{DirectoryGrant, ScratchGrant, ScratchPer};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, mkdirat, open, openat, statat,
};
use rustix::process::getuid;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use wasmtime_wasi::filesystem::{Dir, FsPerms, OpenMode};

/// What an entry counts in addition to its content: its inode and its place in a directory.
const ENTRY: u64 = 4096;

/// What file systems allocate at a time, mostly.
const BLOCK: u64 = 4096;

/// The unit in which they tell how much that is (`stat(2)`).
const UNIT: u64 = 512;

/// The longest path of an entry below a scratch directory, in bytes. It bounds how deep directories are, each of which takes a
/// file descriptor to be removed.
const MAX_PATH: usize = 512;

/// Names of directories of processes that are tried.
const TRIES: u64 = 100;

/// The directory of this process.
#[derive(Debug)]
struct Home {
    path: PathBuf,
    /// With the lock.
    directory: File,
}

static HOME: OnceLock<Home> = OnceLock::new();

/// The directory of this process, which is made with the first use.
fn home() -> Result<&'static Home> {
    if let Some(home) = HOME.get() {
        return Ok(home);
    }
    let home = Home::make()
        .context("--scratch: cannot make a directory for temporary files; TMPDIR names another place")?;
    Ok(HOME.get_or_init(|| home))
}

impl Home {
    fn make() -> Result<Self> {
        let of_user = std::env::temp_dir().canonicalize()?.join(format!("wasi-httpd-{}", getuid().as_raw()));
        match std::fs::create_dir(&of_user) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let parent = open(
            &of_user,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let parent = File::from(parent);
        let stat = fstat(&parent)?;
        ensure!(stat.st_uid == getuid().as_raw(), "{} belongs to another user", of_user.display());
        rustix::fs::fchmod(&parent, Mode::RWXU)?;
        remove_leftovers(&parent, &of_user);
        for at in 0..TRIES {
            let name = format!("{}-{at}", std::process::id());
            match mkdirat(&parent, &name, Mode::RWXU) {
                Ok(()) => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let directory = File::from(openat(&parent, &name, flags, Mode::empty())?);
                    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
                    return Ok(Self { path: of_user.join(name), directory });
                }
                Err(error) if error == rustix::io::Errno::EXIST => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("all names are taken in {}", of_user.display())
    }
}

/// Removes the directories of processes that have ended.
fn remove_leftovers(parent: &File, path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(directory) = openat(parent, entry.file_name(), flags, Mode::empty()) else { continue };
        if flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // The lock is held meanwhile, so that no other start does the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes all that is left, at the end of the process.
pub fn remove_all() {
    if let Some(home) = HOME.get() {
        let _ = std::fs::remove_dir_all(&home.path);
    }
}

/// The directories to write to, and those to remove directories from.
pub fn places() -> Option<(PathBuf, PathBuf)> {
    let home = HOME.get()?;
    Some((home.path.clone(), home.path.parent()?.to_owned()))
}

/// The scratch directories of one site.
#[derive(Debug)]
pub enum Scratches {
    /// Each instance gets a new one with so many bytes.
    Each(u64),
    /// All have this one.
    Shared(Arc<Scratch>),
}

/// Those that sites share. A reload finds those that are still used.
static SHARED: Mutex<Vec<(String, Weak<Scratch>)>> = Mutex::new(Vec::new());

impl Scratches {
    /// Makes what a site is given. None of it may be where guests read.
    pub fn new(grant: &ScratchGrant, site: &str, directories: &[DirectoryGrant]) -> Result<Self> {
        let home = home()?;
        for directory in directories {
            let is_inside = directory.host.canonicalize().is_ok_and(|path| home.path.starts_with(path));
            ensure!(
                !is_inside,
                "--scratch: {} is in {}, which the guest may read and serve; set TMPDIR to another place",
                home.path.display(),
                directory.host.display()
            );
        }
        match grant.per {
            ScratchPer::Request => Ok(Self::Each(grant.bytes)),
            ScratchPer::Site => {
                let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
                shared.retain(|(_, scratch)| scratch.strong_count() > 0);
                let found = shared.iter().find(|(name, _)| name == site);
                if let Some(scratch) = found.and_then(|(_, scratch)| scratch.upgrade()) {
                    scratch.limit.store(grant.bytes, Ordering::Relaxed);
                    return Ok(Self::Shared(scratch));
                }
                let scratch = Arc::new(Scratch::make(grant.bytes)?);
                shared.push((site.to_owned(), Arc::downgrade(&scratch)));
                Ok(Self::Shared(scratch))
            }
        }
    }

    /// The directory of one instance.
    pub fn get(&self) -> Result<Arc<Scratch>> {
        match self {
            Self::Each(bytes) => Ok(Arc::new(Scratch::make(*bytes)?)),
            Self::Shared(scratch) => Ok(Arc::clone(scratch)),
        }
    }
}

/// There is no room for what would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A scratch directory, which is removed on drop.
pub struct Scratch {
    path: PathBuf,
    directory: Dir,
    limit: AtomicU64,
    usage: Mutex<Usage>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scratch({})", self.path.display())
    }
}

/// What is in it.
#[derive(Debug, Default)]
struct Usage {
    /// What it can be at most.
    bytes: u64,
    /// Whether it may be less.
    is_estimate: bool,
    /// Files that were opened to be written to. One that is deleted takes its room until it is closed.
    written: Vec<Weak<File>>,
}

impl Scratch {
    fn make(bytes: u64) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let home = home()?;
        let name = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
        mkdirat(&home.directory, &name, Mode::RWXU).context("cannot make a scratch directory")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&home.directory, &name, flags, Mode::empty())
            .context("cannot open a scratch directory")?;
        let mode = OpenMode::READ | OpenMode::WRITE;
        let directory = Dir::new(File::from(opened), FsPerms::ReadWrite, mode, BLOCKING_FILE_CALLS);
        let (path, limit) = (home.path.join(name), AtomicU64::new(bytes));
        Ok(Self { path, directory, limit, usage: Mutex::default() })
    }

    /// The directory.
    pub fn directory(&self) -> Dir {
        self.directory.clone()
    }

    /// How many bytes it holds.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Makes a change that stores at most so many bytes and makes so many entries, unless there is no room for it.
    pub fn change<T>(&self, bytes: u64, entries: u64, change: impl FnOnce() -> T) -> Result<T, Full> {
        let blocks = if bytes == 0 { 0 } else { bytes / BLOCK + 2 };
        let most = blocks.saturating_mul(BLOCK).saturating_add(entries * ENTRY);
        // While it is held, nothing else is written that a measurement would miss.
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        if usage.bytes.saturating_add(most) > self.limit() && usage.is_estimate {
            self.measure(&mut usage);
        }
        if usage.bytes.saturating_add(most) > self.limit() {
            return Err(Full);
        }
        usage.bytes += most;
        usage.is_estimate = true;
        Ok(change())
    }

    /// Something was deleted or truncated.
    pub fn freed(&self) {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).is_estimate = true;
    }

    /// A file was opened to be written to.
    pub fn opened(&self, file: &Arc<File>) {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.written.retain(|file| file.strong_count() > 0);
        usage.written.push(Arc::downgrade(file));
    }

    fn measure(&self, usage: &mut Usage) {
        let deleted = |file: &Weak<File>| {
            let stat = fstat(&*file.upgrade()?).ok()?;
            (stat.st_nlink == 0).then(|| taken(&stat))
        };
        usage.written.retain(|file| file.strong_count() > 0);
        let open: u64 = usage.written.iter().filter_map(deleted).sum();
        usage.bytes = open + size_of(&self.path);
        // One that is closed is not told.
        usage.is_estimate = open > 0;
    }

    /// Whether a path below a directory in it is short enough.
    pub fn may_have(&self, directory: &Dir, path: &str) -> bool {
        let link = format!("/proc/self/fd/{}", directory.dir.as_raw_fd());
        let below = std::fs::read_link(link).ok();
        let length = below.and_then(|place| Some(place.strip_prefix(&self.path).ok()?.as_os_str().len()));
        length.is_some_and(|length| length + path.len() <= MAX_PATH)
    }

    /// Whether a path below a directory leads to another directory.
    pub fn is_directory(directory: &Dir, path: &str) -> bool {
        statat(&*directory.dir, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is removed at the end, or by the next start.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// What the content of a file takes: what is allocated, or will be when it is written to the disk. A file with holes counts as
/// one without.
fn taken(stat: &Stat) -> u64 {
    (stat.st_blocks.unsigned_abs() * UNIT).max(stat.st_size.unsigned_abs())
}

/// What the entries of a directory take, and those below them.
fn size_of(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(stat) = statat(rustix::fs::CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            bytes += ENTRY + taken(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                left.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, ENTRY, Full, Scratch, home};
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    fn put(scratch: &Scratch, name: &str, bytes: usize) -> Result<Arc<File>, Full> {
        scratch.change(bytes as u64, 1, || {
            let mut file = File::create(scratch.path.join(name)).unwrap();
            file.write_all(&vec![1; bytes]).unwrap();
            file.sync_all().unwrap();
            Arc::new(file)
        })
    }

    #[test]
    fn only_its_user_can_look_into_it() {
        let scratch = Scratch::make(1 << 20).unwrap();
        for path in [&scratch.path, &home().unwrap().path] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn it_holds_no_more_than_its_limit_and_what_is_deleted_is_free_again() {
        let scratch = Scratch::make(64 * BLOCK).unwrap();
        let third = usize::try_from(20 * BLOCK).unwrap();
        put(&scratch, "a", third).unwrap();
        put(&scratch, "b", third).unwrap();
        assert_eq!(put(&scratch, "c", third).unwrap_err(), Full);
        std::fs::remove_file(scratch.path.join("a")).unwrap();
        scratch.freed();
        put(&scratch, "c", third).unwrap();
        assert_eq!(put(&scratch, "d", third).unwrap_err(), Full);
    }

    #[test]
    fn a_deleted_file_counts_until_it_is_closed() {
        let scratch = Scratch::make(64 * BLOCK).unwrap();
        let half = usize::try_from(30 * BLOCK).unwrap();
        let file = put(&scratch, "a", half).unwrap();
        scratch.opened(&file);
        std::fs::remove_file(scratch.path.join("a")).unwrap();
        scratch.freed();
        let other = put(&scratch, "b", half).unwrap();
        scratch.opened(&other);
        assert_eq!(put(&scratch, "c", half).unwrap_err(), Full);
        drop(file);
        scratch.freed();
        put(&scratch, "c", half / 2).unwrap();
    }

    #[test]
    fn entries_without_content_count_as_well() {
        let scratch = Scratch::make(10 * ENTRY).unwrap();
        for at in 0..10 {
            put(&scratch, &at.to_string(), 0).unwrap();
        }
        assert_eq!(put(&scratch, "more", 0).unwrap_err(), Full);
    }

    #[test]
    fn it_is_gone_afterwards() {
        let scratch = Scratch::make(1 << 20).unwrap();
        let path = scratch.path.clone();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/c"), "text").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
