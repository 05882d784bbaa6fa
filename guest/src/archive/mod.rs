//! A directory as an archive in the format of [`mod@tar`], which is made while it is sent.
//!
//! 1. [`Form::asked_for`]: whether a request is for one
//! 2. [`collect`]: what is in it, so that its length is known
//! 3. [`Archive::send`]: each file is opened when it is its turn
//!
//! What is promised is kept: each member has the length that it had when it was collected, and an archive of which a file is gone or
//! has become shorter meanwhile ends early.

pub mod tar;

use crate::config::Settings;
use crate::disposition;
use crate::listing;
use crate::path::RelativePath;
use crate::tree::{Extent, Kind, Timestamp, Tree, TreeError};
use std::ops::Range;
use tar::Member;

/// How many files and directories an archive has at most. They are all held, and take about a third of the memory that our host gives
/// an instance.
pub const ARCHIVED_MAX: Extent = Extent { names: 200_000, bytes: 8 * 1024 * 1024 };

/// The field of a response that has our host compress the body with gzip on its way. The host removes it, and the length of the archive
/// that is not compressed. Rules can neither set nor remove it.
pub const GZIP_FIELD: &str = "wasi-httpd-gzip";

/// What the root of a site is called in an archive of it: a component does not learn its name.
const ROOT_NAME: &str = "files";

/// How many bytes of headers are written at a time.
const WRITE_BYTES: usize = 4096;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Tar,
    /// Compressed with gzip, by a host that says that it does so ([`COMPRESSED_ARCHIVES`](crate::config::COMPRESSED_ARCHIVES)).
    TarGz,
}

impl Form {
    /// The form that a query asks for, if it asks for an archive.
    pub fn asked_for(query: Option<&str>) -> Option<Self> {
        query?.split('&').find_map(|pair| match pair.strip_prefix("archive=")? {
            "tar" => Some(Self::Tar),
            "tar.gz" => Some(Self::TarGz),
            _ => None,
        })
    }

    /// The type of such an archive.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Tar => "application/x-tar",
            Self::TarGz => "application/gzip",
        }
    }

    /// How its name ends.
    fn extension(self) -> &'static str {
        match self {
            Self::Tar => ".tar",
            Self::TarGz => ".tar.gz",
        }
    }
}

/// Whether a directory may be archived: settings allow it, and its names are no secret.
pub fn is_open(directory: &RelativePath, settings: &Settings) -> bool {
    let path = || directory.decoded();
    *settings.archive.of_path(path) && *settings.listing.of_path(path)
}

/// What `Content-Disposition` says of the archive of a directory.
pub fn disposition(directory: &RelativePath, form: Form) -> String {
    disposition::attachment(&[name(directory), form.extension()].concat())
}

/// What a directory is called in its archive.
fn name(directory: &RelativePath) -> &str {
    if *directory == RelativePath::root() { ROOT_NAME } else { directory.file_name() }
}

/// Why there is no archive.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It would have more than [`ARCHIVED_MAX`], or not all names could be read.
    TooLarge,
    /// The disk gave no directory.
    Tree(TreeError),
}

impl From<TreeError> for Refusal {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

/// A file or directory of an archive.
#[derive(Debug)]
struct Entry {
    /// The number of the directory that it is in, or [`TOP`].
    parent: u32,
    /// Where its name ends in all names.
    name_end: u32,
    /// In bytes; `None` of a directory.
    length: Option<u64>,
    /// In seconds since 1970.
    modified: u64,
}

/// What is in an archive. Directories come before what is in them.
#[derive(Debug)]
pub struct Archive {
    directory: RelativePath,
    modified: u64,
    entries: Vec<Entry>,
    names: String,
    length: u64,
}

/// The archived directory, as a parent.
const TOP: u32 = u32::MAX;

/// Why the rest of an archive was not sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// A file is gone or has become shorter. The text tells the operator which.
    Changed(String),
    /// The client takes no more.
    Closed,
}

/// Where an archive is sent.
pub trait Sink<F> {
    /// Takes bytes; `None` if no more are wanted.
    fn bytes(&mut self, bytes: &[u8]) -> impl Future<Output = Option<()>>;

    /// Takes so many bytes of a file, from its beginning; `None` if it has fewer, or no more are wanted.
    fn file(&mut self, file: F, length: u64) -> impl Future<Output = Option<()>>;
}

/// Looks at everything in a directory that a request could be answered with. `is_unguarded` tells which files and directories may be shown
/// as a part of another answer.
///
/// Files are opened, because one that cannot be read is missing. Symbolic links to files are archived as what they lead to; those to
/// directories are left out, because they may lead in circles.
///
/// # Errors
/// [`Refusal::TooLarge`] if there is too much, or names are missing from what the runtime tells.
pub async fn collect<T: Tree>(
    tree: &T,
    directory: &RelativePath,
    is_unguarded: impl Fn(&RelativePath) -> bool,
    settings: &Settings,
) -> Result<Archive, Refusal> {
    let top = Entry { parent: TOP, name_end: 0, length: None, modified: 0 };
    let modified = seconds(tree.stat(directory).await?.modified);
    let mut archive = Archive {
        directory: directory.clone(),
        modified,
        entries: Vec::new(),
        names: String::new(),
        length: tar::END.len() as u64,
    };
    archive.add_length(name(directory), &Entry { modified, ..top })?;
    archive.read(tree, TOP, &is_unguarded, settings).await?;
    let mut next = 0;
    while let Some(entry) = archive.entries.get(next) {
        if entry.length.is_none() {
            let number = u32::try_from(next).map_err(|_| Refusal::TooLarge)?;
            archive.read(tree, number, &is_unguarded, settings).await?;
        }
        next += 1;
    }
    Ok(archive)
}

impl Archive {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds what is in the directory of this number, in the order of the names.
    async fn read<T: Tree>(
        &mut self,
        tree: &T,
        number: u32,
        is_unguarded: &impl Fn(&RelativePath) -> bool,
        settings: &Settings,
    ) -> Result<(), Refusal> {
        let directory = if number == TOP { self.directory.clone() } else { self.path(number as usize) };
        let opened = match tree.open_directory(&directory).await {
            Ok(opened) => opened,
            // It has gone since, or cannot be read: then it is empty.
            Err(TreeError::NotFound) if number != TOP => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let room = Extent {
            names: ARCHIVED_MAX.names - self.entries.len(),
            bytes: ARCHIVED_MAX.bytes - self.names.len(),
        };
        let mut found = tree.names(&opened, room).await?;
        if found.is_truncated {
            return Err(Refusal::TooLarge);
        }
        found.entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in found.entries {
            if kind == Some(Kind::Other) || !listing::shows(&directory, &name, settings) {
                continue;
            }
            let path = directory.join(&name);
            if !is_unguarded(&path) {
                continue;
            }
            let Some(entry) = examine(tree, &path, kind, settings).await? else { continue };
            self.names.push_str(&name);
            // It fits: all names are shorter than the limit.
            let name_end = u32::try_from(self.names.len()).map_err(|_| Refusal::TooLarge)?;
            let entry = Entry { parent: number, name_end, ..entry };
            self.add_length(&self.member_path(&path), &entry)?;
            self.entries.push(entry);
        }
        Ok(())
    }

    fn add_length(&mut self, path: &str, entry: &Entry) -> Result<(), Refusal> {
        let header = tar::header_length(&entry.member(path));
        let content = tar::padded(entry.length.unwrap_or(0));
        let length = content.and_then(|content| self.length.checked_add(header)?.checked_add(content));
        // Lengths are signed in many programs.
        self.length = length.filter(|length| i64::try_from(*length).is_ok()).ok_or(Refusal::TooLarge)?;
        Ok(())
    }

    fn name(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.entries[before].name_end as usize);
        let range: Range<usize> = start..self.entries[number].name_end as usize;
        &self.names[range]
    }

    /// The path of an entry on the disk.
    fn path(&self, number: usize) -> RelativePath {
        let mut names = vec![self.name(number)];
        let mut parent = self.entries[number].parent;
        while parent != TOP {
            names.push(self.name(parent as usize));
            parent = self.entries[parent as usize].parent;
        }
        self.directory.join_all(names.into_iter().rev())
    }

    /// The path of what has this path on the disk, in the archive.
    fn member_path(&self, path: &RelativePath) -> String {
        let below = &path.as_str()[self.directory.as_str().len()..];
        [name(&self.directory), "/", below.trim_start_matches('/')].concat()
    }

    /// Sends the archive.
    ///
    /// # Errors
    /// [`Cut`] if it could not be sent in full.
    pub async fn send<T: Tree>(&self, tree: &T, sink: &mut impl Sink<T::File>) -> Result<(), Cut> {
        let mut pending = Vec::with_capacity(WRITE_BYTES);
        let top = Member { path: name(&self.directory), length: None, modified: self.modified };
        tar::push_header(&mut pending, &top);
        let mut directory = (TOP, self.directory.clone());
        for (number, entry) in self.entries.iter().enumerate() {
            // What is in a directory stands together.
            if directory.0 != entry.parent {
                directory = (entry.parent, self.path(entry.parent as usize));
            }
            let path = directory.1.join(self.name(number));
            // Before its header is sent, so that a file that has changed is missing and not empty.
            let file = match entry.length {
                Some(length) => Some(open(tree, &path, length).await?),
                None => None,
            };
            tar::push_header(&mut pending, &entry.member(&self.member_path(&path)));
            if let (Some(file), Some(length @ 1..)) = (file, entry.length) {
                write(sink, &mut pending).await?;
                sink.file(file, length).await.ok_or(Cut::Closed)?;
                tar::push_padding(&mut pending, length);
            } else if pending.len() >= WRITE_BYTES {
                write(sink, &mut pending).await?;
            }
        }
        pending.extend_from_slice(&tar::END);
        write(sink, &mut pending).await
    }
}

impl Entry {
    fn member<'p>(&self, path: &'p str) -> Member<'p> {
        Member { path, length: self.length, modified: self.modified }
    }
}

/// What is at a path, if an archive has it.
async fn examine<T: Tree>(
    tree: &T,
    path: &RelativePath,
    kind: Option<Kind>,
    settings: &Settings,
) -> Result<Option<Entry>, TreeError> {
    let found = async {
        if kind != Some(Kind::File) {
            let metadata = tree.stat(path).await?;
            match metadata.kind {
                Kind::File => {}
                Kind::Directory if kind.is_none() && tree.is_link(path).await? => return Ok(None),
                Kind::Directory => return Ok(is_open(path, settings).then_some(metadata)),
                Kind::Other => return Ok(None),
            }
        }
        let (_, metadata) = tree.open(path).await?;
        Ok(Some(metadata).filter(|metadata| metadata.kind == Kind::File))
    };
    match found.await {
        Ok(found) => Ok(found.map(|metadata| Entry {
            parent: TOP,
            name_end: 0,
            length: (metadata.kind == Kind::File).then_some(metadata.length),
            modified: seconds(metadata.modified),
        })),
        Err(TreeError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn seconds(time: Option<Timestamp>) -> u64 {
    time.map_or(0, |time| time.seconds)
}

/// Opens a file that has at least so many bytes.
async fn open<T: Tree>(tree: &T, path: &RelativePath, length: u64) -> Result<T::File, Cut> {
    let changed = |how: &str| {
        Cut::Changed(format!(
            "an archive was cut short at `{}`: the file {how}",
            path.as_str().escape_debug()
        ))
    };
    match tree.open(path).await {
        Ok((file, metadata)) if metadata.kind == Kind::File && metadata.length >= length => Ok(file),
        Ok((_, metadata)) if metadata.kind == Kind::File => Err(changed("has become shorter")),
        Ok(_) | Err(TreeError::NotFound) => Err(changed("is gone")),
        Err(TreeError::Failed(text)) => Err(Cut::Changed(text)),
    }
}

/// Writes what has been put together.
async fn write<F>(sink: &mut impl Sink<F>, pending: &mut Vec<u8>) -> Result<(), Cut> {
    if !pending.is_empty() {
        sink.bytes(pending).await.ok_or(Cut::Closed)?;
        pending.clear();
    }
    Ok(())
}
