//! What is known of the file that an instance has examined or opened last. A guest examines a file, opens it, and asks
//! for its length, in three calls; the kernel need not answer each of them.

use crate::body::{METADATA_TTL, TimedLength};
use rustix::fs::{FileType, Stat};
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;
use wasmtime_wasi::filesystem::Descriptor;

/// The file that an instance has examined or opened last. What is known of it expires after [`METADATA_TTL`].
#[derive(Default)]
pub struct LastFile {
    /// The file that was examined, until it is opened.
    examined: Option<(Arc<File>, String, Found)>,
    /// The number of the descriptor that was opened, with what is known of it until the guest asks.
    opened: Option<(u32, Box<Stat>, Instant)>,
    /// The number of the descriptor whose length the guest was told last.
    length: Option<(u32, TimedLength)>,
    /// The path that led to a regular file when the runtime examined it, and when.
    regular: Option<(String, Instant)>,
}

/// A file or directory that is open.
pub struct Found {
    /// What guests read it by.
    pub descriptor: Descriptor,
    /// What is known of it, apart: this is passed on several times.
    pub stat: Box<Stat>,
    /// Since when.
    pub since: Instant,
}

impl Found {
    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }
}

impl LastFile {
    /// Forgets the file that was examined.
    pub fn forget_examined(&mut self) {
        self.examined = None;
    }

    /// A path below a directory was examined, and led to a regular file, which is open.
    pub fn examine(&mut self, directory: &Arc<File>, path: &str, found: Found) {
        self.examined = Some((Arc::clone(directory), path.to_owned(), found));
    }

    /// When the file was examined whose name the last name of this path begins with, if that is the file that was examined last.
    pub fn examined_beside(&self, directory: &Arc<File>, path: &str) -> Option<Instant> {
        let (start, examined, found) = self.examined.as_ref()?;
        let rest = path.strip_prefix(examined.as_str())?;
        (Arc::ptr_eq(start, directory) && !rest.is_empty() && !rest.contains('/')).then_some(found.since)
    }

    /// The file at this path, if it was examined just now.
    pub fn take_examined(&mut self, directory: &Arc<File>, path: &str) -> Option<Found> {
        let (start, examined, found) = self.examined.take()?;
        let is_same = Arc::ptr_eq(&start, directory) && examined == path;
        (is_same && found.since.elapsed() < METADATA_TTL).then_some(found)
    }

    /// A file was opened, and got a descriptor of this number.
    pub fn open(&mut self, number: u32, stat: Box<Stat>, since: Instant) {
        *self = Self { opened: Some((number, stat, since)), ..Self::default() };
    }

    /// What opening this descriptor has told, if that was just now.
    pub fn take_opened(&mut self, number: u32) -> Option<(Box<Stat>, Instant)> {
        let (_, stat, since) = self.opened.take_if(|(opened, ..)| *opened == number)?;
        (since.elapsed() < METADATA_TTL).then_some((stat, since))
    }

    /// A path led to a regular file when the runtime examined it.
    pub fn examine_regular(&mut self, path: String) {
        self.regular = Some((path, Instant::now()));
    }

    /// Whether a path led to a regular file just now.
    pub fn is_regular(&self, path: &str) -> bool {
        self.regular.as_ref().is_some_and(|(known, since)| known == path && since.elapsed() < METADATA_TTL)
    }

    /// The guest was told the length of this descriptor.
    pub fn tell_length(&mut self, number: u32, length: TimedLength) {
        self.length = Some((number, length));
    }

    /// The length of this descriptor, if the guest was told it last.
    pub fn length(&self, number: u32) -> Option<TimedLength> {
        self.length.and_then(|(told, length)| (told == number).then_some(length))
    }
}
