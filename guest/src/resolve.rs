//! Which file answers a path: itself, the index of a directory, a redirect to that directory, or nothing.

use crate::path::{RelativePath, UrlPath};

/// The file that stands for its directory.
const INDEX: &str = "index.html";

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
    /// A device, a FIFO, a socket: nothing that is served, and opening it might block or do something.
    Other,
}

/// What is known of an opened file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub length: u64,
    /// When its content last changed, where the runtime tells.
    pub modified: Option<Timestamp>,
}

/// Why the tree gave no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// There is none that may be served: missing, forbidden or outside the root. A client is not told which.
    NotFound,
    /// The system failed (an I/O error, no descriptor left): not an answer about the file.
    Failed,
}

/// The files below the served directory: all that the server ever asks of a disk.
pub trait Tree {
    /// An opened file.
    type File;

    /// Tells what `path` leads to, without opening it.
    fn kind(&self, path: &RelativePath) -> impl Future<Output = Result<Kind, TreeError>>;

    /// Opens the file at `path`. The metadata are those of the opened file, whatever has become of the path since.
    fn open(&self, path: &RelativePath) -> impl Future<Output = Result<(Self::File, Metadata), TreeError>>;

    /// Reads the next piece of a file from `offset` on; nothing at its end.
    fn read(&self, file: &Self::File, offset: u64) -> impl Future<Output = Result<Vec<u8>, TreeError>>;
}

/// A regular file, opened.
#[derive(Debug)]
pub struct Representation<F> {
    /// The opened file.
    pub file: F,
    /// Its path, from which its media type follows.
    pub path: RelativePath,
    /// What the opened file said of itself.
    pub metadata: Metadata,
}

/// What a path resolves to.
#[derive(Debug)]
pub enum Resolution<F> {
    /// This file.
    File(Representation<F>),
    /// A directory that was named without its slash: relative links would break, so the client is sent there.
    RedirectToDirectory,
    /// Nothing.
    NotFound,
    /// The system failed.
    Failed,
}

/// Finds the file that answers `path`.
pub async fn resolve<T: Tree>(tree: &T, path: &UrlPath<'_>) -> Resolution<T::File> {
    let candidate = if path.is_directory() { path.relative().join(INDEX) } else { path.relative().clone() };
    // Its kind comes first: opening a FIFO would wait for somebody to write to it.
    let found = match tree.kind(&candidate).await {
        Ok(Kind::File) => tree.open(&candidate).await,
        Ok(Kind::Directory) if !path.is_directory() => return Resolution::RedirectToDirectory,
        Ok(Kind::Directory | Kind::Other) => Err(TreeError::NotFound),
        Err(error) => Err(error),
    };
    match found {
        // It may have been replaced since it was looked at.
        Ok((_, metadata)) if metadata.kind != Kind::File => Resolution::NotFound,
        Ok((file, metadata)) => Resolution::File(Representation { file, path: candidate, metadata }),
        Err(TreeError::NotFound) => Resolution::NotFound,
        Err(TreeError::Failed) => Resolution::Failed,
    }
}
