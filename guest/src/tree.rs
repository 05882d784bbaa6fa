//! What the file server knows of a disk: the files below one directory, their metadata, and how reading them fails.

use crate::path::RelativePath;

/// A moment, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: u64,
    /// The rest, in nanoseconds.
    pub nanoseconds: u32,
}

/// What a path leads to, symbolic links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, a FIFO or a socket. It is never served: opening one can block or have side effects.
    Other,
}

/// The metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub length: u64,
    /// When its content was last modified, if the runtime says so. Programs can set it to any time.
    pub modified: Option<Timestamp>,
    /// When its content or its metadata last changed, if the runtime says so. Programs cannot set it.
    pub changed: Option<Timestamp>,
}

/// Why the disk gave no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// No file that may be served: missing, forbidden, or outside the root. Clients cannot tell which.
    NotFound,
    /// The system failed, for example by an I/O error. The text names the path and the error, for the operator.
    Failed(String),
}

/// The names in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The names, in no order, with what they are; `None` where only following the name can tell.
    pub entries: Vec<(String, Option<Kind>)>,
    /// How many names are not UTF-8, so that no path of `wasi:filesystem` can have them.
    pub unreadable: usize,
    /// Whether there are more names than were asked for.
    pub is_truncated: bool,
    bytes: usize,
}

/// How many names of a directory are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of names.
    pub names: usize,
    /// The bytes of all names together.
    pub bytes: usize,
}

impl Names {
    /// Adds a name. Returns `false`, and remembers that there are more names, when the directory exceeds `limit`.
    pub fn push(&mut self, name: String, kind: Option<Kind>, limit: Extent) -> bool {
        self.bytes += name.len();
        self.is_truncated = self.entries.len() >= limit.names || self.bytes > limit.bytes;
        if !self.is_truncated {
            self.entries.push((name, kind));
        }
        !self.is_truncated
    }
}

/// The files below the served directory.
pub trait Tree {
    /// An opened file.
    type File;

    /// An opened directory.
    type Directory;

    /// Returns the metadata of what `path` leads to, without opening it.
    fn stat(&self, path: &RelativePath) -> impl Future<Output = Result<Metadata, TreeError>>;

    /// Whether something is at `path`, be it a symbolic link that leads nowhere.
    fn exists(&self, path: &RelativePath) -> impl Future<Output = Result<bool, TreeError>>;

    /// Whether a symbolic link is at `path`.
    fn is_link(&self, path: &RelativePath) -> impl Future<Output = Result<bool, TreeError>>;

    /// Opens the file at `path`. The metadata are those of the opened file, even if `path` leads elsewhere by now.
    fn open(&self, path: &RelativePath) -> impl Future<Output = Result<(Self::File, Metadata), TreeError>>;

    /// Reads the start of a file, `limit` bytes at most.
    fn read_start(
        &self,
        path: &RelativePath,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<u8>, TreeError>>;

    /// Opens a directory for reading its names.
    fn open_directory(&self, path: &RelativePath)
    -> impl Future<Output = Result<Self::Directory, TreeError>>;

    /// Reads the names in a directory, up to `limit`.
    fn names(
        &self,
        directory: &Self::Directory,
        limit: Extent,
    ) -> impl Future<Output = Result<Names, TreeError>>;

    /// As [`Tree::stat`], for a name in an opened directory.
    fn stat_in(
        &self,
        directory: &Self::Directory,
        name: &str,
    ) -> impl Future<Output = Result<Metadata, TreeError>>;
}

/// Returns the metadata of what a path leads to, if that is a file or a directory. Anything else counts as missing.
pub async fn stat<T: Tree>(tree: &T, path: &RelativePath) -> Result<Option<Metadata>, TreeError> {
    match tree.stat(path).await {
        Ok(metadata) => Ok(Some(metadata).filter(|metadata| metadata.kind != Kind::Other)),
        Err(TreeError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the metadata of what a path leads to, if that is a regular file.
pub async fn stat_file<T: Tree>(tree: &T, path: &RelativePath) -> Result<Option<Metadata>, TreeError> {
    Ok(stat(tree, path).await?.filter(|metadata| metadata.kind == Kind::File))
}

/// Opens a path, if it leads to a regular file. Another file may have replaced it since it was examined.
pub async fn open_file<T: Tree>(
    tree: &T,
    path: &RelativePath,
) -> Result<Option<(T::File, Metadata)>, TreeError> {
    match tree.open(path).await {
        Ok((file, metadata)) => {
            Ok(Some((file, metadata)).filter(|(_, metadata)| metadata.kind == Kind::File))
        }
        Err(TreeError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
