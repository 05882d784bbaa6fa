//! Digests of files, which a thread of low priority computes and which are kept.
//!
//! Requests ask for the digests of a version of a file. The first ones find none, and have them computed; later ones find them, for
//! as long as they are kept. Neither waits for the thread. A file that has changed is another version.

use crate::coding::FileVersion;
use aws_lc_rs::digest::{Context, SHA256, SHA512};
use rustix::fs::fstat;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;
use tracing::warn;

/// Files of more bytes have no digests. Both are computed at some 300 MB a second, and nothing else meanwhile.
const MAX_SIZE: u64 = 64 * 1024 * 1024 * 1024;

/// Files that may wait. Each is open until then. Those beyond are asked for again.
const MAX_WAITING: usize = 64;

/// Files whose digests are kept: some 200 bytes for each.
const MAX_KEPT: usize = 32 * 1024;

/// The priority of the thread (`nice(2)`): while all processors are busy, it has a tenth of what a thread that serves has.
const NICE: i32 = 10;

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The digests of a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) sha256: [u8; 32],
    pub(super) sha512: [u8; 64],
}

/// A file to read.
struct Job {
    version: FileVersion,
    file: Arc<File>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// What is waiting or being read.
    known: HashSet<FileVersion>,
}

/// The digests of the files that were asked for last, by their device and inode: one version of each.
#[derive(Default)]
struct Kept {
    recent: HashMap<(u64, u64), (FileVersion, Digests)>,
    /// Those that were not asked for since there were half of [`MAX_KEPT`] recent ones. They go when there are as many again.
    others: HashMap<(u64, u64), (FileVersion, Digests)>,
}

impl Kept {
    fn get(&mut self, version: &FileVersion) -> Option<Digests> {
        if let Some((known, digests)) = self.recent.get(&version.file) {
            return (known == version).then_some(*digests);
        }
        let (known, digests) = self.others.remove(&version.file)?;
        if known != *version {
            return None;
        }
        self.insert(known, digests);
        Some(digests)
    }

    fn insert(&mut self, version: FileVersion, digests: Digests) {
        self.others.remove(&version.file);
        if self.recent.len() >= MAX_KEPT / 2 && !self.recent.contains_key(&version.file) {
            self.others = std::mem::take(&mut self.recent);
        }
        self.recent.insert(version.file, (version, digests));
    }
}

/// The thread, which begins with the first file, and what it has computed.
#[derive(Default)]
pub struct Digester {
    kept: Mutex<Kept>,
    queue: Mutex<Queue>,
    filled: Condvar,
    thread: OnceLock<()>,
}

impl Digester {
    /// The digests of a version of a file, if they are known.
    pub(super) fn find(&self, version: &FileVersion) -> Option<Digests> {
        lock(&self.kept).get(version)
    }

    /// Has the digests of a file of this version computed, unless it has to wait for too many others.
    pub(super) fn ask(self: &Arc<Self>, file: &Arc<File>, version: FileVersion) {
        if version.size > MAX_SIZE || !version.is_settled(SystemTime::now()) {
            return;
        }
        let mut queue = lock(&self.queue);
        if queue.waiting.len() < MAX_WAITING && queue.known.insert(version) {
            queue.waiting.push_back(Job { version, file: Arc::clone(file) });
            drop(queue);
            self.filled.notify_one();
            self.thread.get_or_init(|| self.start());
        }
    }

    fn start(self: &Arc<Self>) {
        let works = Arc::clone(self);
        let thread = std::thread::Builder::new().name("digester".to_owned());
        if let Err(error) = thread.spawn(move || works.work()) {
            warn!("cannot start the thread that computes digests: {error}; no answer has one");
        }
    }

    /// Reads files one by one, for as long as the process runs.
    fn work(&self) {
        // Affects this thread alone.
        let _ = rustix::process::nice(NICE);
        loop {
            let Job { version, file } = self.next();
            match compute(&file, &version) {
                Ok(Some(digests)) => lock(&self.kept).insert(version, digests),
                Ok(None) => {}
                Err(error) => {
                    warn!("the digests of a file of {} bytes cannot be computed: {error}", version.size);
                }
            }
            lock(&self.queue).known.remove(&version);
        }
    }

    fn next(&self) -> Job {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.waiting.pop_front() {
                return job;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Computes the digests of a version of a file; `None` if that is not what the file is by now.
fn compute(file: &File, version: &FileVersion) -> io::Result<Option<Digests>> {
    let is_current = || fstat(file).map(|stat| FileVersion::of(&stat).as_ref() == Some(version));
    if !is_current()? {
        return Ok(None);
    }
    let (mut sha256, mut sha512) = (Context::new(&SHA256), Context::new(&SHA512));
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut position = 0;
    // Others read the file too, and none moves its own position. One that grows meanwhile is another version.
    while position < version.size {
        let read = file.read_at(&mut buffer, position)?;
        let bytes = buffer.get(..read).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { return Ok(None) };
        sha256.update(bytes);
        sha512.update(bytes);
        position += read as u64;
    }
    if position != version.size || !is_current()? {
        return Ok(None);
    }
    let mut digests = Digests { sha256: [0; 32], sha512: [0; 64] };
    digests.sha256.copy_from_slice(sha256.finish().as_ref());
    digests.sha512.copy_from_slice(sha512.finish().as_ref());
    Ok(Some(digests))
}

#[cfg(test)]
mod tests {
    use super::{Digester, Digests, Kept, MAX_KEPT, compute, lock};
    use crate::coding::FileVersion;
    use rustix::fs::fstat;
    use std::fs::File;
    use std::io::{Seek as _, Write as _};
    use std::sync::Arc;

    fn version(file: &File) -> FileVersion {
        FileVersion::of(&fstat(file).unwrap()).unwrap()
    }

    fn numbered(file: u64, changed: i64) -> FileVersion {
        FileVersion { file: (1, file), size: 1, modified: (1, 1), changed: (changed, 1) }
    }

    const DIGESTS: Digests = Digests { sha256: [1; 32], sha512: [2; 64] };

    #[test]
    fn the_digests_are_those_of_the_whole_file() {
        let mut file = tempfile::tempfile().unwrap();
        let digests = compute(&file, &version(&file)).unwrap().unwrap();
        assert_eq!(digests.sha256[..4], [0xe3, 0xb0, 0xc4, 0x42], "of nothing");
        file.write_all(b"abc").unwrap();
        // Others use the position of an open file.
        file.seek(std::io::SeekFrom::Start(1)).unwrap();
        let digests = compute(&file, &version(&file)).unwrap().unwrap();
        // FIPS 180-2, appendices B.1 and C.1.
        assert_eq!(digests.sha256[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(digests.sha512[..4], [0xdd, 0xaf, 0x35, 0xa1]);
        assert_eq!(file.stream_position().unwrap(), 1);
    }

    #[test]
    fn what_has_changed_has_no_digests() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let before = version(&file);
        file.write_all(b"d").unwrap();
        assert_eq!(compute(&file, &before).unwrap(), None);
    }

    #[test]
    fn one_version_of_a_file_is_kept() {
        let mut kept = Kept::default();
        kept.insert(numbered(1, 1), DIGESTS);
        assert_eq!(kept.get(&numbered(1, 1)), Some(DIGESTS));
        assert_eq!(kept.get(&numbered(1, 2)), None);
        kept.insert(numbered(1, 2), DIGESTS);
        assert_eq!((kept.get(&numbered(1, 1)), kept.get(&numbered(1, 2))), (None, Some(DIGESTS)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_was_asked_for_stays() {
        let mut kept = Kept::default();
        for file in 0..4 * MAX_KEPT as u64 {
            kept.insert(numbered(file, 1), DIGESTS);
            assert_eq!(kept.get(&numbered(0, 1)), Some(DIGESTS), "after {file}");
            assert!(kept.recent.len() + kept.others.len() <= MAX_KEPT);
        }
        assert_eq!(kept.get(&numbered(1, 1)), None);
    }

    #[test]
    fn what_has_just_changed_or_is_too_large_is_not_read() {
        let digester = Arc::new(Digester::default());
        let file = Arc::new(tempfile::tempfile().unwrap());
        for asked in [version(&file), FileVersion { size: u64::MAX, ..numbered(1, 1) }] {
            digester.ask(&file, asked);
            assert!(lock(&digester.queue).known.is_empty() && digester.thread.get().is_none());
        }
    }
}
