//! Writes variants: each as a temporary file first, which then takes its place at once.
//!
//! A [`Ledger`] knows all temporary files and everything that was written. It is locked whenever one of them gets or changes its
//! name, so that what ends the process early can remove the one and note the other.

use super::plan::Place;
use super::record::{self, Record};
use super::scan::Source;
use super::tree::{self, Tree};
use crate::coding::{Effort, FileVersion, encode, is_worthwhile};
use guest::encoding::Coding;
use guest::path::{NamePolicy, RelativePath};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fchmod, fchown, fdatasync, fstat, futimens,
    openat, renameat, unlinkat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the names of temporary files begin with. They are hidden, so that none of them is ever served.
const TEMPORARY: &str = ".wasi-httpd-precompress.";

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// Whether this is the name of a temporary file. Only one process at a time makes them in a directory, so that any that is there
/// before is left behind.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY)
}

/// What became of a variant.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was written, and has so many bytes.
    Written(u64),
    /// It would not be smaller.
    NotSmaller,
    /// The file is gone.
    Gone,
    /// There is none for a reason that other files need not share.
    Failed(String),
}

/// Why no further variant can be written.
#[derive(Debug)]
pub(super) struct Stop(pub(super) String);

/// The state that ends early together with the process.
#[derive(Debug)]
struct Names {
    /// The temporary files, by their number: the directory that each is in.
    temporary: HashMap<u64, Arc<OwnedFd>>,
    next: u64,
    record: Record,
    /// The record as the disk has it.
    saved: Record,
    written: usize,
}

/// The names of everything that is written.
#[derive(Debug)]
pub(super) struct Ledger {
    tree: Tree,
    names: Mutex<Names>,
}

fn temporary_name(number: u64) -> String {
    format!("{TEMPORARY}{number}")
}

impl Ledger {
    /// That of a directory, with the record that is in it.
    pub(super) fn new(tree: Tree) -> Result<Self, String> {
        let path = RelativePath::root().join(record::NAME);
        let read = tree.open(&path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK);
        let record = match read.map_err(io::Error::from).and_then(|file| io::read_to_string(File::from(file)))
        {
            Ok(text) => Record::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(format!("cannot read {}: {error}", tree.shown(&path))),
        };
        let names = Names { temporary: HashMap::new(), next: 0, saved: record.clone(), record, written: 0 };
        Ok(Self { tree, names: Mutex::new(names) })
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a temporary file in a directory.
    fn temporary(&self, directory: OwnedFd) -> Result<Temporary<'_>, Errno> {
        let directory = Arc::new(directory);
        let mut names = self.lock();
        let number = names.next;
        names.next += 1;
        let file = create(&directory, &temporary_name(number))?;
        names.temporary.insert(number, Arc::clone(&directory));
        Ok(Temporary { ledger: self, number, directory, file })
    }

    /// Removes a variant, if it is what was written at its path.
    pub(super) fn discard(&self, variant: &RelativePath) -> Result<bool, Errno> {
        let mut names = self.lock();
        let Ok(stat) = self.tree.stat(variant, OFlags::NOFOLLOW) else { return Ok(false) };
        if !FileVersion::of(&stat).is_some_and(|version| names.record.has(variant.as_str(), &version)) {
            return Ok(false);
        }
        unlinkat(self.tree.parent(variant)?, variant.file_name(), AtFlags::empty())?;
        names.record.forget(variant.as_str());
        Ok(true)
    }

    /// The variants that were written here and whose files are gone. The record forgets what is no longer what it was.
    pub(super) fn orphans(&self) -> Vec<RelativePath> {
        let mut names = self.lock();
        let mut orphans = Vec::new();
        for path in names.record.paths() {
            let suffix = Coding::ALL.iter().find_map(|coding| path.strip_suffix(coding.suffix()));
            let source = suffix.and_then(|source| RelativePath::from_setting(source, &NamePolicy::default()));
            let Some(source) = source else {
                names.record.forget(&path);
                continue;
            };
            let variant = RelativePath::root().join(&path);
            let version =
                self.tree.stat(&variant, OFlags::NOFOLLOW).ok().and_then(|stat| FileVersion::of(&stat));
            if !version.is_some_and(|version| names.record.has(&path, &version)) {
                names.record.forget(&path);
            } else if matches!(self.tree.stat(&source, OFlags::NOFOLLOW), Err(Errno::NOENT)) {
                orphans.push(variant);
            }
        }
        orphans
    }

    /// Writes the record, if it has changed.
    pub(super) fn save(&self) -> Result<(), String> {
        let mut names = self.lock();
        self.save_record(&mut names).map_err(|error| {
            let path = RelativePath::root().join(record::NAME);
            format!("cannot write {}: {error}", self.tree.shown(&path))
        })
    }

    fn save_record(&self, names: &mut Names) -> io::Result<()> {
        if names.record == names.saved {
            return Ok(());
        }
        let root = self.tree.open(&RelativePath::root(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        if names.record.is_empty() {
            unlinkat(&root, record::NAME, AtFlags::empty())?;
        } else {
            let temporary = temporary_name(names.next);
            names.next += 1;
            let mut file = create(&root, &temporary)?;
            let written = file.write_all(names.record.text().as_bytes()).and_then(|()| file.sync_data());
            let written = written.and_then(|()| Ok(renameat(&root, &temporary, &root, record::NAME)?));
            if let Err(error) = written {
                // One that stays is removed by the next run.
                let _ = unlinkat(&root, temporary, AtFlags::empty());
                return Err(error);
            }
        }
        names.saved = names.record.clone();
        Ok(())
    }

    /// Removes all temporary files, and notes what was written. Gives how many variants were. Nothing can be named afterwards: a
    /// thread that tries to waits until the process has ended.
    pub(super) fn abandon(&self) -> usize {
        let mut names = self.lock();
        for (number, directory) in names.temporary.drain() {
            let _ = unlinkat(&*directory, temporary_name(number), AtFlags::empty());
        }
        // Without it, what was written is not removed when its file is gone, and is right otherwise.
        let _ = self.save_record(&mut names);
        let written = names.written;
        std::mem::forget(names);
        written
    }

    /// Writes the variant of a file.
    ///
    /// # Errors
    /// That of a directory or a disk which takes no further file.
    pub(super) fn write(
        &self,
        source: &Source,
        (coding, place): (Coding, Place),
        effort: Effort,
        progress: &Progress,
    ) -> Result<Outcome, Stop> {
        let path = tree::variant(&source.path, coding);
        let unreadable = |error: &dyn std::fmt::Display| {
            Ok(Outcome::Failed(format!("cannot read {}: {error}", self.tree.shown(&source.path))))
        };
        let unwritable = |error: &dyn std::fmt::Display| {
            Err(Stop(format!("cannot write {}: {error}", self.tree.shown(&path))))
        };
        let file = match self.tree.open(&source.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Outcome::Gone),
            Err(error) => return unreadable(&error),
        };
        let stat = match fstat(&file) {
            Ok(stat) => stat,
            Err(error) => return unreadable(&error),
        };
        if FileVersion::of(&stat) != Some(source.version) {
            return Ok(changed(&self.tree, &source.path));
        }
        let temporary = match self.tree.parent(&path).and_then(|directory| self.temporary(directory)) {
            Ok(temporary) => temporary,
            Err(error) => return unwritable(&error),
        };
        let mut from = Tracked { file: &file, progress, failed: None };
        let to = BufWriter::with_capacity(BUFFER_BYTES, &temporary.file);
        let encoded = encode(coding, effort, source.version.size, &mut from, to);
        if let Some(error) = from.failed {
            return unreadable(&error);
        }
        let now = fstat(&file);
        if now.is_ok_and(|now| FileVersion::of(&now) != Some(source.version)) {
            return Ok(changed(&self.tree, &source.path));
        }
        let finished = encoded.and_then(|()| temporary.file.metadata()).map(|metadata| metadata.len());
        let size = match finished {
            Ok(size) if is_worthwhile(source.version.size, size) => size,
            Ok(_) => {
                drop(temporary);
                if matches!(place, Place::Variant(_)) {
                    let _ = self.discard(&path);
                }
                return Ok(Outcome::NotSmaller);
            }
            Err(error) => return unwritable(&error),
        };
        match temporary.finish(&path, &stat) {
            Ok(()) => Ok(Outcome::Written(size)),
            Err(error) => unwritable(&error),
        }
    }
}

fn changed(tree: &Tree, path: &RelativePath) -> Outcome {
    Outcome::Failed(format!("{} has changed while it was compressed; run this again", tree.shown(path)))
}

fn create(directory: &OwnedFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}

/// A temporary file, which is removed unless it is finished.
struct Temporary<'a> {
    ledger: &'a Ledger,
    number: u64,
    directory: Arc<OwnedFd>,
    file: File,
}

impl Temporary<'_> {
    /// Makes it the variant at a path, with the permissions and the modification time of the file with this metadata: the file
    /// server takes a variant that is not older.
    fn finish(self, path: &RelativePath, source: &Stat) -> Result<(), Errno> {
        let permissions = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        // Only the superuser may always give a file away. Before the permissions, which this may change.
        let _ = fchown(&self.file, Some(Uid::from_raw(source.st_uid)), Some(Gid::from_raw(source.st_gid)));
        fchmod(&self.file, Mode::from_raw_mode(source.st_mode) & permissions)?;
        let modified = Timespec { tv_sec: source.st_mtime, tv_nsec: nanoseconds(source) };
        futimens(&self.file, &Timestamps { last_access: modified, last_modification: modified })?;
        // A name that reaches the disk before the content would be that of an empty file after a crash.
        fdatasync(&self.file)?;
        let mut names = self.ledger.lock();
        renameat(&*self.directory, temporary_name(self.number), &*self.directory, path.file_name())?;
        names.temporary.remove(&self.number);
        names.written += 1;
        if let Some(version) = fstat(&self.file).ok().and_then(|stat| FileVersion::of(&stat)) {
            names.record.add(path.as_str(), &version);
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let mut names = self.ledger.lock();
        if names.temporary.remove(&self.number).is_some() {
            let _ = unlinkat(&*self.directory, temporary_name(self.number), AtFlags::empty());
        }
    }
}

#[allow(clippy::cast_possible_wrap, reason = "nanoseconds are small")]
fn nanoseconds(stat: &Stat) -> i64 {
    stat.st_mtime_nsec as i64
}

/// How far the work is, and whether it is to stop.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were read.
    pub(super) read: AtomicU64,
    pub(super) stops: AtomicBool,
}

/// A file that is read, which tells what was read.
struct Tracked<'a> {
    file: &'a File,
    progress: &'a Progress,
    /// Why it cannot be read further.
    failed: Option<io::Error>,
}

impl Read for Tracked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.stops.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        match self.file.read(buffer) {
            Ok(read) => {
                self.progress.read.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.failed = Some(error);
                }
                Err(kind.into())
            }
        }
    }
}
