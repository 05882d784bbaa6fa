//! Compresses files while the server runs, in a thread of low priority, and keeps what was made.
//!
//! Requests ask for a coded form of a version of a file. The first ones find none, and have it made; later ones find it, for as long
//! as it is kept. Neither waits for the thread. A file that has changed is another version, which has no forms yet.

use super::cache::{Bounds, Cache, Form, Key};
use crate::coding::{Effort, FileVersion, MIN_SIZE, encode, largest_worthwhile};
use crate::sandbox::BLOCKING_FILE_CALLS;
use anyhow::{Context as _, Result};
use guest::encoding::Coding;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;
use tracing::warn;
use wasmtime_wasi::filesystem::{self, FsPerms, OpenMode};

/// Files of more bytes are sent as they are. Each is compressed as a whole before any of it is sent, at some 50 MB a second.
const MAX_SIZE: u64 = 32 * 1024 * 1024;

/// A form takes at most this part of the cache, so that one file does not push all others out.
const MAX_PART: u64 = 4;

/// Files that may wait to be compressed. Each is open until then. Those beyond are asked for again.
const MAX_WAITING: usize = 64;

/// Forms that are kept, each an open file.
pub const MAX_FORMS: usize = 1024;

/// What the process may have open, divided by this, is what forms may take of it.
const FILES_PART: usize = 8;

/// Files that are remembered as asked for. Once the cache is full, a file is compressed only when it is asked for again:
/// somebody who reads all of a large site once has nothing compressed in vain.
const ASKED: usize = 4096;

/// The priority of the thread (`nice(2)`): while all processors are busy, it has a tenth of what a thread that serves has.
const NICE: i32 = 10;

/// Bytes that are read or written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A coded form of a file.
#[derive(Clone)]
pub(super) struct Coded {
    /// It, in memory. Nothing can change it.
    pub(super) file: filesystem::File,
    /// Its bytes.
    pub(super) size: u64,
}

/// What there is of a version of a file in a coding.
#[derive(Clone)]
pub(super) enum Lookup {
    /// A coded form.
    Coded(Coded),
    /// None, because it would not be smaller.
    NotSmaller,
    /// None yet.
    Missing,
}

/// A file to compress.
struct Job {
    key: Key,
    file: Arc<File>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// What is waiting or being compressed.
    known: HashSet<Key>,
}

/// The thread, and what it has made.
pub struct Compressor {
    cache: RwLock<Cache<Coded>>,
    queue: Mutex<Queue>,
    filled: Condvar,
    asked: Asked,
    max_size: u64,
}

impl Compressor {
    /// Starts the thread. `bytes` is what all forms take at most, and the process may have `files` files open.
    pub fn start(bytes: u64, files: usize) -> Result<Arc<Self>> {
        let forms = MAX_FORMS.min(files / FILES_PART);
        let compressor = Arc::new(Self {
            cache: RwLock::new(Cache::new(Bounds { bytes, forms })),
            queue: Mutex::default(),
            filled: Condvar::new(),
            asked: Asked::default(),
            max_size: MAX_SIZE.min(bytes / MAX_PART),
        });
        let works = Arc::clone(&compressor);
        let thread = std::thread::Builder::new().name("compressor".to_owned());
        thread.spawn(move || works.work()).context("cannot start the thread that compresses files")?;
        Ok(compressor)
    }

    /// What there is of a version of a file in a coding.
    pub(super) fn find(&self, version: FileVersion, coding: Coding) -> Lookup {
        if !self.takes(&version) {
            return Lookup::NotSmaller;
        }
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        match cache.get(&Key { version, coding }) {
            Some(Form::Coded(coded, _)) => Lookup::Coded(coded.clone()),
            Some(Form::NotSmaller) => Lookup::NotSmaller,
            None => Lookup::Missing,
        }
    }

    /// Whether files of this size are compressed.
    fn takes(&self, version: &FileVersion) -> bool {
        (MIN_SIZE..=self.max_size).contains(&version.size)
    }

    /// Has a file of this version compressed, unless it has to wait for too many others.
    pub(super) fn ask(&self, file: &Arc<File>, version: FileVersion, coding: Coding) {
        let key = Key { version, coding };
        if !self.takes(&version) || !version.is_settled(SystemTime::now()) {
            return;
        }
        let is_full = {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            cache.is_full_for(largest_worthwhile(version.size))
        };
        if is_full && !self.asked.again(&key) {
            return;
        }
        let mut queue = self.lock();
        if queue.waiting.len() < MAX_WAITING && queue.known.insert(key) {
            queue.waiting.push_back(Job { key, file: Arc::clone(file) });
            drop(queue);
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compresses files one by one, for as long as the process runs.
    fn work(&self) {
        // Affects this thread alone.
        let _ = rustix::process::nice(NICE);
        loop {
            let job = self.next();
            let Key { version, coding } = job.key;
            match compress(&job.file, version, coding) {
                Ok(Some(form)) => {
                    self.cache.write().unwrap_or_else(PoisonError::into_inner).insert(job.key, form);
                }
                Ok(None) => {}
                Err(error) => warn!("a file of {} bytes cannot be compressed: {error}", version.size),
            }
            self.lock().known.remove(&job.key);
        }
    }

    fn next(&self) -> Job {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.waiting.pop_front() {
                return job;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Compresses a version of a file; `None` if that is not what the file is by now.
fn compress(file: &File, version: FileVersion, coding: Coding) -> io::Result<Option<Form<Coded>>> {
    let is_current = || fstat(file).map(|stat| FileVersion::of(&stat) == Some(version));
    if !is_current()? {
        return Ok(None);
    }
    let memory =
        File::from(memfd_create("wasi-httpd-coded", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    let mut to = Bounded { memory: &memory, left: largest_worthwhile(version.size), is_over: false };
    let from = At { file, position: 0 };
    let encoded =
        encode(coding, Effort::Fast, version.size, from, BufWriter::with_capacity(BUFFER_BYTES, &mut to));
    let is_over = to.is_over;
    if !is_current()? {
        return Ok(None);
    }
    if is_over {
        return Ok(Some(Form::NotSmaller));
    }
    encoded?;
    fcntl_add_seals(&memory, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    let size = memory.metadata()?.len();
    let file = filesystem::File::new(memory, FsPerms::ReadOnly, OpenMode::READ, BLOCKING_FILE_CALLS);
    Ok(Some(Form::Coded(Coded { file, size }, size)))
}

/// A file, read from its beginning. Others read it too, and none moves its own position.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

/// Memory that takes no more bytes than are worth it.
struct Bounded<'a> {
    memory: &'a File,
    left: u64,
    is_over: bool,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.memory.write_all(bytes)?;
        self.left = left;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was asked for before, by its hash. A place that another key has taken has forgotten the first.
struct Asked {
    hasher: RandomState,
    places: Box<[AtomicU64]>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: (0..ASKED).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Asked {
    /// Whether this was asked for before. From now on it was.
    fn again(&self, key: &Key) -> bool {
        let hash = self.hasher.hash_one(key).max(1);
        #[allow(clippy::cast_possible_truncation, reason = "the lower bits are as good as all")]
        let place = &self.places[hash as usize % ASKED];
        place.swap(hash, Ordering::Relaxed) == hash
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Compressor, Form, Key, Lookup, compress};
    use crate::coding::FileVersion;
    use guest::encoding::Coding;
    use rustix::fs::fstat;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::FileExt as _;
    use std::sync::Arc;

    fn version(file: &File) -> FileVersion {
        FileVersion::of(&fstat(file).unwrap()).unwrap()
    }

    #[test]
    fn a_form_is_what_the_file_is_and_cannot_be_changed() {
        let mut file = tempfile::tempfile().unwrap();
        let content = "content that repeats, ".repeat(500);
        file.write_all(content.as_bytes()).unwrap();
        // Others use the position of an open file.
        file.seek(std::io::SeekFrom::Start(7)).unwrap();
        let Some(Form::Coded(coded, size)) = compress(&file, version(&file), Coding::Gzip).unwrap() else {
            panic!("no form")
        };
        assert_eq!((coded.size, file.stream_position().unwrap()), (size, 7));
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        let memory = &*coded.file.file;
        memory.read_exact_at(&mut bytes, 0).unwrap();
        let mut decoded = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut decoded).unwrap();
        assert_eq!(decoded, content);
        assert!(memory.write_all_at(b"other", 0).is_err() && memory.set_len(0).is_err());
    }

    #[test]
    fn what_has_changed_and_what_does_not_shrink_has_no_form() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'a'; 5_000]).unwrap();
        let before = version(&file);
        file.write_all(b"more").unwrap();
        assert!(compress(&file, before, Coding::Zstandard).unwrap().is_none());
        let mut noise = tempfile::tempfile().unwrap();
        std::io::copy(&mut File::open("/dev/urandom").unwrap().take(300_000), &mut noise).unwrap();
        for coding in Coding::ALL {
            let form = compress(&noise, version(&noise), coding).unwrap();
            assert!(matches!(form, Some(Form::NotSmaller)), "{coding:?}");
        }
    }

    #[test]
    fn what_is_too_small_or_too_large_is_never_asked_for() {
        let compressor = Compressor::start(400_000, 1_000).unwrap();
        let file = Arc::new(tempfile::tempfile().unwrap());
        for size in [0, 1_023, 100_001, u64::MAX] {
            let version = FileVersion { file: (1, 1), size, modified: (1, 1), changed: (1, 1) };
            assert!(matches!(compressor.find(version, Coding::Gzip), Lookup::NotSmaller), "{size}");
            compressor.ask(&file, version, Coding::Gzip);
            assert!(compressor.lock().known.is_empty());
        }
        let version = FileVersion { file: (1, 1), size: 1_024, modified: (1, 1), changed: (1, 1) };
        assert!(matches!(compressor.find(version, Coding::Gzip), Lookup::Missing));
    }

    #[test]
    fn what_was_asked_for_once_is_asked_for_again() {
        let asked = Asked::default();
        let key = |file| {
            let version = FileVersion { file: (1, file), size: 1, modified: (1, 1), changed: (1, 1) };
            Key { version, coding: Coding::Gzip }
        };
        assert!(!asked.again(&key(1)));
        assert!(asked.again(&key(1)) && asked.again(&key(1)));
    }
}
