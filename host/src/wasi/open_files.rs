//! Files that stay open between requests, so that a file that many requests ask for is opened once a second.
//!
//! A file that is kept open stands for a path only if the path leads to it now: same device, inode and permissions, and the
//! same change time. As long as a file is open, no other file gets its inode. So a site changes from one request to the
//! next, as without this. The path is resolved anew once a second all the same, because examining it proves less than
//! resolving it: a directory could have been moved out of the site and linked back into it.
//!
//! Guests share the open file description, of which they see nothing: they read at offsets of their own.

use super::last_file::Found;
use super::path_key::PathKey;
use rustix::fs::Stat;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wasmtime_wasi::filesystem::{Descriptor, File};

/// How many files are kept open; further ones take the places of others.
pub const MAX_OPEN_FILES: usize = 128;

/// How long a file is kept open. Afterwards nothing holds a deleted file's space.
const MAX_OPEN_TIME: Duration = Duration::from_secs(1);

/// Regular files that were opened lately.
#[derive(Clone, Default)]
pub struct OpenFiles(Arc<Shared>);

struct Shared {
    /// Each file in the place that the key of its path names. Two paths may have the same key: what is found is always
    /// compared with what the path leads to.
    places: Box<[Mutex<Option<Kept>>]>,
    /// Whether a task closes them in time.
    has_keeper: AtomicBool,
}

struct Kept {
    path: PathKey,
    file: File,
    identity: Identity,
    since: Instant,
}

impl Kept {
    fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= MAX_OPEN_TIME
    }
}

/// What tells a file, as it is, from all others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Mode, owner and group: who may open it.
    access: (u32, u32, u32),
    /// Seconds and nanoseconds. A change of access lists sets it, too.
    changed: (i64, i64),
}

impl From<&Stat> for Identity {
    #[allow(clippy::cast_possible_wrap, reason = "nanoseconds are small")]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            access: (stat.st_mode, stat.st_uid, stat.st_gid),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            places: (0..MAX_OPEN_FILES).map(|_| Mutex::new(None)).collect(),
            has_keeper: AtomicBool::new(false),
        }
    }
}

impl Shared {
    fn place(&self, path: PathKey) -> &Mutex<Option<Kept>> {
        &self.places[path.place(MAX_OPEN_FILES)]
    }

    /// Drops what has been open for too long, and gives whether anything is left.
    fn sweep(&self, now: Instant) -> bool {
        let mut is_any_left = false;
        for place in &self.places {
            let mut place = lock(place);
            let expired = place.take_if(|kept| kept.is_expired(now));
            is_any_left |= place.is_some();
            drop(place);
            // Closing may take a while.
            drop(expired);
        }
        is_any_left
    }
}

fn lock(place: &Mutex<Option<Kept>>) -> MutexGuard<'_, Option<Kept>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenFiles {
    /// The file that a path has led to lately, if it leads there now; `now` tells the time, and `examine` where it leads.
    pub fn find(
        &self,
        path: PathKey,
        now: impl FnOnce() -> Instant,
        examine: impl FnOnce() -> Option<Stat>,
    ) -> Option<Found> {
        let (file, identity, since) = {
            let place = lock(self.0.place(path));
            let kept = place.as_ref().filter(|kept| kept.path == path)?;
            let now = now();
            if kept.is_expired(now) {
                return None;
            }
            (kept.file.clone(), kept.identity, now)
        };
        // Without the lock: on a file system that hangs, this waits.
        let stat = Box::new(examine()?);
        let is_same = Identity::from(&*stat) == identity;
        is_same.then(|| Found { descriptor: Descriptor::File(file), stat, since })
    }

    /// Keeps a file open that this path has led to.
    pub fn keep(&self, path: PathKey, found: &Found) {
        let Descriptor::File(file) = &found.descriptor else { return };
        // Without a runtime nothing would close it in time.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let identity = Identity::from(&*found.stat);
        let kept = Kept { path, file: file.clone(), identity, since: found.since };
        let replaced = lock(self.0.place(path)).replace(kept);
        drop(replaced);
        if !self.0.has_keeper.swap(true, Ordering::AcqRel) {
            runtime.spawn(close_in_time(Arc::clone(&self.0)));
        }
    }
}

/// Closes files that have been open for too long, until there are none.
async fn close_in_time(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(MAX_OPEN_TIME).await;
        // A file that is kept from here on may be missed by the sweep, and has another task started.
        shared.has_keeper.store(false, Ordering::Release);
        if !shared.sweep(Instant::now()) || shared.has_keeper.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path_key::{PathKey, PathKeys};
    use super::{Found, MAX_OPEN_FILES, MAX_OPEN_TIME, OpenFiles};
    use rustix::fs::{AtFlags, CWD, stat, statat};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::sync::{Arc, LazyLock};
    use std::time::Instant;
    use wasmtime_wasi::filesystem::{Descriptor, File, FsPerms, OpenMode};

    fn key(path: &Path) -> PathKey {
        static KEYS: LazyLock<PathKeys> = LazyLock::new(PathKeys::default);
        KEYS.of(3, path.to_str().unwrap())
    }

    fn keep(open: &OpenFiles, path: &Path, since: Instant) {
        let file = File::new(fs::File::open(path).unwrap(), FsPerms::ReadOnly, OpenMode::READ, true);
        let found = Found { descriptor: Descriptor::File(file), stat: Box::new(stat(path).unwrap()), since };
        open.keep(key(path), &found);
    }

    fn is_found(open: &OpenFiles, path: &Path, now: Instant) -> bool {
        let examine = || statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok();
        open.find(key(path), || now, examine).is_some()
    }

    #[tokio::test]
    async fn a_file_is_found_as_long_as_it_is_what_its_path_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let now = Instant::now();
        let changes: [fn(&Path); 4] = [
            |path| fs::remove_file(path).unwrap(),
            |path| {
                let other = path.with_file_name("b");
                fs::write(&other, "content").unwrap();
                fs::rename(other, path).unwrap();
            },
            |path| {
                let other = path.with_file_name("c");
                fs::rename(path, &other).unwrap();
                symlink(other, path).unwrap();
            },
            |path| fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap(),
        ];
        for change in changes {
            let _ = fs::remove_file(&path);
            fs::write(&path, "content").unwrap();
            let open = OpenFiles::default();
            assert!(!is_found(&open, &path, now), "it was not kept");
            keep(&open, &path, now);
            assert!(is_found(&open, &path, now));
            change(&path);
            assert!(!is_found(&open, &path, now));
        }
    }

    #[tokio::test]
    async fn files_are_closed_in_time() {
        let directory = tempfile::tempdir().unwrap();
        let (path, now) = (directory.path().join("a"), Instant::now());
        fs::write(&path, "content").unwrap();
        let open = OpenFiles::default();
        keep(&open, &path, now);
        assert!(is_found(&open, &path, now) && !is_found(&open, &path, now + MAX_OPEN_TIME));
        assert!(open.0.sweep(now), "its time is not up");
        assert!(!open.0.sweep(now + MAX_OPEN_TIME));
        assert!(!is_found(&open, &path, now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_closes_them_and_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "content").unwrap();
        let open = OpenFiles::default();
        for _ in 0..2 {
            keep(&open, &path, Instant::now().checked_sub(MAX_OPEN_TIME).unwrap());
            tokio::time::sleep(2 * MAX_OPEN_TIME).await;
            assert_eq!(Arc::strong_count(&open.0), 1, "the task has ended");
            assert!(open.0.places.iter().all(|place| place.lock().unwrap().is_none()));
        }
    }

    #[tokio::test]
    async fn so_many_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let (open, now) = (OpenFiles::default(), Instant::now());
        let paths: Vec<_> = (0..3 * MAX_OPEN_FILES).map(|at| directory.path().join(at.to_string())).collect();
        for path in &paths {
            fs::write(path, "").unwrap();
            keep(&open, path, now);
        }
        let found = paths.iter().filter(|path| is_found(&open, path, now)).count();
        assert!((1..=MAX_OPEN_FILES).contains(&found), "{found}");
    }

    #[test]
    fn nothing_is_kept_where_nothing_would_close_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (open, now) = (OpenFiles::default(), Instant::now());
        keep(&open, file.path(), now);
        assert!(!is_found(&open, file.path(), now));
    }
}
