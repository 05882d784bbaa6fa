//! Which file answers a path: itself, a page of its name, the index or the listing of a directory, another place to
//! ask, or nothing.

use crate::config::{ErrorPages, Settings};
use crate::encoding::Coding;
use crate::media_type;
use crate::path::{RelativePath, UrlPath};

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

/// What is known of a file.
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
    /// There is more of it than was asked for.
    TooMany,
    /// The system failed (an I/O error, no descriptor left): not an answer about the file.
    Failed,
}

/// What is in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The names, in no order, with what they are; `None` where only following the name can tell.
    pub entries: Vec<(String, Option<Kind>)>,
    /// How many names there are that no path can have, not being UTF-8.
    pub unreadable: usize,
    bytes: usize,
}

/// How much there is in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many names.
    pub names: usize,
    /// How many bytes these have together.
    pub bytes: usize,
}

impl Names {
    /// Adds a name, unless the directory is then larger than wanted.
    ///
    /// # Errors
    /// [`TreeError::TooMany`]
    pub fn push(&mut self, name: String, kind: Option<Kind>, largest: Extent) -> Result<(), TreeError> {
        self.bytes += name.len();
        if self.entries.len() >= largest.names || self.bytes > largest.bytes {
            return Err(TreeError::TooMany);
        }
        self.entries.push((name, kind));
        Ok(())
    }
}

/// The files below the served directory: all that the server ever asks of a disk.
pub trait Tree {
    /// An opened file.
    type File;

    /// Tells what `path` leads to, without opening it.
    fn stat(&self, path: &RelativePath) -> impl Future<Output = Result<Metadata, TreeError>>;

    /// Opens the file at `path`. The metadata are those of the opened file, whatever has become of the path since.
    fn open(&self, path: &RelativePath) -> impl Future<Output = Result<(Self::File, Metadata), TreeError>>;

    /// Reads the next piece of a file from `offset` on; nothing at its end.
    fn read(&self, file: &Self::File, offset: u64) -> impl Future<Output = Result<Vec<u8>, TreeError>>;

    /// Lists a directory.
    fn list(&self, path: &RelativePath, largest: Extent) -> impl Future<Output = Result<Names, TreeError>>;
}

/// A regular file, opened.
#[derive(Debug)]
pub struct Representation<F> {
    /// The opened file.
    pub file: F,
    /// The path of the file; of the file as it is, where this is a coded form.
    pub path: RelativePath,
    /// Its media type, without parameters.
    pub media_type: &'static str,
    /// What the opened file said of itself.
    pub metadata: Metadata,
    /// The coding in which this is.
    pub coding: Option<Coding>,
    /// Whether another coding would have been looked for, had the client asked for it.
    pub is_negotiable: bool,
}

/// What a path resolves to.
#[derive(Debug)]
pub enum Resolution {
    /// This file, which was a regular one a moment ago.
    File(RelativePath, Metadata),
    /// A directory without an index, to be listed.
    Listing(RelativePath),
    /// The same thing at its proper address: a directory with its slash, a page without its extension.
    Redirect(String),
    /// Nothing.
    NotFound,
}

/// Finds what answers `path`.
///
/// # Errors
/// When the system fails.
pub async fn resolve<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    if path.is_directory() {
        directory(tree, path.relative(), settings).await
    } else {
        file(tree, path, settings).await
    }
}

async fn directory<T: Tree>(
    tree: &T,
    path: &RelativePath,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    for name in &settings.index {
        let index = path.join(name);
        if let Some(metadata) = stat_file(tree, &index).await? {
            return Ok(Resolution::File(index, metadata));
        }
    }
    let is_listed =
        settings.listing && stat(tree, path).await?.is_some_and(|metadata| metadata.kind == Kind::Directory);
    Ok(if is_listed { Resolution::Listing(path.clone()) } else { Resolution::NotFound })
}

/// The extension of pages that can be asked for without it.
const PAGE: &str = ".html";

async fn file<T: Tree>(tree: &T, path: &UrlPath<'_>, settings: &Settings) -> Result<Resolution, TreeError> {
    let candidate = path.relative();
    match stat(tree, candidate).await? {
        Some(metadata) if metadata.kind == Kind::File => {
            if settings.clean_urls
                && !settings.index.iter().any(|index| index == candidate.file_name())
                && let Some(clean) = candidate.without_suffix(PAGE, settings.hidden)
                // Where something else has the shorter name, this page keeps its own.
                && stat(tree, &clean).await?.is_none()
            {
                // Nobody is sent to a page that cannot be had: the redirect would tell that it exists.
                match tree.open(candidate).await {
                    Ok(_) => {}
                    Err(TreeError::NotFound) => return Ok(Resolution::NotFound),
                    Err(error) => return Err(error),
                }
                return Ok(Resolution::Redirect(clean.location(false, path.query())));
            }
            Ok(Resolution::File(candidate.clone(), metadata))
        }
        // Relative links would break without the slash.
        Some(metadata) if metadata.kind == Kind::Directory => {
            Ok(Resolution::Redirect(candidate.location(true, path.query())))
        }
        _ => Ok(match page(tree, candidate, settings).await? {
            Some((page, metadata)) => Resolution::File(page, metadata),
            None => Resolution::NotFound,
        }),
    }
}

/// The page that can be asked for as `path`.
async fn page<T: Tree>(
    tree: &T,
    path: &RelativePath,
    settings: &Settings,
) -> Result<Option<(RelativePath, Metadata)>, TreeError> {
    if !settings.clean_urls {
        return Ok(None);
    }
    let page = path.with_suffix(PAGE);
    let metadata = stat_file(tree, &page).await?;
    Ok(metadata.map(|metadata| (page, metadata)))
}

/// The file that a path of this site means when the site's own rules name it: as [`resolve`], without sending anybody
/// to a more proper address.
///
/// # Errors
/// When the system fails.
pub async fn find<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    settings: &Settings,
) -> Result<Option<(RelativePath, Metadata)>, TreeError> {
    let candidate = path.relative();
    if path.is_directory() {
        return Ok(match directory(tree, candidate, settings).await? {
            Resolution::File(index, metadata) => Some((index, metadata)),
            _ => None,
        });
    }
    match stat_file(tree, candidate).await? {
        Some(metadata) => Ok(Some((candidate.clone(), metadata))),
        None => page(tree, candidate, settings).await,
    }
}

/// What a path leads to, if it leads to a file or a directory. Anything else is treated as missing.
async fn stat<T: Tree>(tree: &T, path: &RelativePath) -> Result<Option<Metadata>, TreeError> {
    match tree.stat(path).await {
        Ok(metadata) => Ok(Some(metadata).filter(|metadata| metadata.kind != Kind::Other)),
        Err(TreeError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a path leads to, if it leads to a regular file.
///
/// # Errors
/// When the system fails.
pub async fn stat_file<T: Tree>(tree: &T, path: &RelativePath) -> Result<Option<Metadata>, TreeError> {
    Ok(stat(tree, path).await?.filter(|metadata| metadata.kind == Kind::File))
}

/// Opens a file that was found, or the best of the coded forms beside it that the client would rather have.
///
/// A coded form counts only when it is not older than the file itself: otherwise the file was changed and the other
/// forgotten. Its kind comes before it is opened, for opening a FIFO would wait for somebody to write to it.
///
/// # Errors
/// [`TreeError::NotFound`] when the file has gone meanwhile, or when the system fails.
pub async fn open<T: Tree>(
    tree: &T,
    path: RelativePath,
    metadata: &Metadata,
    wanted: &[Coding],
    settings: &Settings,
) -> Result<Representation<T::File>, TreeError> {
    let media_type = media_type::of(&path);
    let is_negotiable = settings.precompressed && !media_type::is_compressed(media_type);
    for &coding in wanted.iter().filter(|_| is_negotiable) {
        let sibling = path.with_suffix(coding.suffix());
        let is_usable = |other: &Metadata| other.kind == Kind::File && other.modified >= metadata.modified;
        if !stat(tree, &sibling).await?.is_some_and(|other| is_usable(&other)) {
            continue;
        }
        match tree.open(&sibling).await {
            Ok((file, metadata)) if is_usable(&metadata) => {
                let coding = Some(coding);
                return Ok(Representation { file, path, media_type, metadata, coding, is_negotiable });
            }
            Ok(_) | Err(TreeError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let (file, metadata) = tree.open(&path).await?;
    // It may have been replaced since it was looked at.
    if metadata.kind != Kind::File {
        return Err(TreeError::NotFound);
    }
    Ok(Representation { file, path, media_type, metadata, coding: None, is_negotiable })
}

/// The page that tells a person of an error, opened, if the site has one.
///
/// # Errors
/// When the system fails.
pub async fn error_page<T: Tree>(
    tree: &T,
    status: u16,
    missing: &RelativePath,
    settings: &Settings,
) -> Result<Option<(T::File, Metadata)>, TreeError> {
    let candidates = match &settings.error_pages {
        ErrorPages::None => Vec::new(),
        ErrorPages::Directory(directory) => vec![directory.clone()],
        ErrorPages::Nearest if status != 404 => Vec::new(),
        ErrorPages::Nearest => existing_directories(tree, missing).await?,
    };
    for directory in candidates.iter().rev() {
        let page = directory.join(&format!("{status}{PAGE}"));
        if stat_file(tree, &page).await?.is_some() {
            match tree.open(&page).await {
                Ok((file, metadata)) if metadata.kind == Kind::File => return Ok(Some((file, metadata))),
                Ok(_) | Err(TreeError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}

/// The directories above a path that exist, from the root down: looked for from there, so that a path of a thousand
/// segments that are not there costs one question.
async fn existing_directories<T: Tree>(
    tree: &T,
    path: &RelativePath,
) -> Result<Vec<RelativePath>, TreeError> {
    let mut directories = vec![RelativePath::root()];
    for directory in path.ancestors().skip(1) {
        if !stat(tree, &directory).await?.is_some_and(|metadata| metadata.kind == Kind::Directory) {
            break;
        }
        directories.push(directory);
    }
    Ok(directories)
}

/// The first bytes of a file, at most `most`, and whether there are more.
///
/// # Errors
/// When the file cannot be read.
pub async fn read_start<T: Tree>(
    tree: &T,
    file: &T::File,
    most: usize,
) -> Result<(Vec<u8>, bool), TreeError> {
    let mut bytes = Vec::new();
    while bytes.len() <= most {
        let piece = tree.read(file, bytes.len() as u64).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    let is_cut = bytes.len() > most;
    bytes.truncate(most);
    Ok((bytes, is_cut))
}
