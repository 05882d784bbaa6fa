//! Which file answers a path: itself, the page of a clean URL, the index or the listing of a directory, another URL, or
//! none.

use crate::config::{CleanUrls, ErrorPages, Settings};
use crate::encoding::Coding;
use crate::media_type;
use crate::path::{RelativePath, UrlPath, sibling_reference, with_query};
use crate::tree::{Kind, Metadata, Tree, TreeError, open_file, stat, stat_file};

/// The extension of pages that have a clean URL.
pub(crate) const PAGE: &str = ".html";

/// A regular file that was found.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: RelativePath,
    /// What it was when it was found.
    pub metadata: Metadata,
    /// A reference to its clean URL, where it was requested by another one.
    pub canonical: Option<String>,
}

impl Found {
    fn new(path: RelativePath, metadata: Metadata) -> Self {
        Self { path, metadata, canonical: None }
    }
}

/// What a path resolves to.
#[derive(Debug)]
pub enum Resolution {
    /// A file.
    File(Found),
    /// A relative reference to the same resource at its own URL: a directory with an index, or a page without its extension.
    Redirect(String),
    /// A directory without an index, and without its slash: a relative reference to it with its slash.
    Directory(String),
    /// A directory without an index, to be listed.
    Listing(RelativePath),
    /// Nothing.
    NotFound,
}

/// Finds what answers `path`.
pub async fn resolve<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    if path.is_directory() {
        return directory(tree, path.relative(), settings).await;
    }
    let candidate = path.relative();
    match stat(tree, candidate).await? {
        Some(Metadata { kind: Kind::Directory, .. }) => without_slash(tree, path, settings).await,
        Some(metadata) => {
            let mut found = Found::new(candidate.clone(), metadata);
            found.canonical = clean_url(tree, candidate, settings).await?;
            at_its_url(tree, path, found, settings).await
        }
        None => match page(tree, candidate, settings).await? {
            Some(mut found) => {
                if settings.index.iter().any(|index| index == found.path.file_name()) {
                    found.canonical = Some(sibling_reference("", true));
                }
                at_its_url(tree, path, found, settings).await
            }
            None => Ok(Resolution::NotFound),
        },
    }
}

/// The index of a directory, or its listing.
async fn directory<T: Tree>(
    tree: &T,
    path: &RelativePath,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    for name in &settings.index {
        let Some(index) = path.child(name, &settings.names) else { continue };
        if let Some(metadata) = stat_file(tree, &index).await? {
            return Ok(Resolution::File(Found::new(index, metadata)));
        }
    }
    let is_listed = *settings.listing.of_path(|| path.decoded())
        && stat(tree, path).await?.is_some_and(|metadata| metadata.kind == Kind::Directory);
    Ok(if is_listed { Resolution::Listing(path.clone()) } else { Resolution::NotFound })
}

/// What answers a directory that was requested without its slash, without which its relative links would be wrong. Where it has
/// no index, a page of its name comes first. A directory that cannot be read is missing: a redirect would tell that it exists.
async fn without_slash<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    let location = || with_query(sibling_reference(path.relative().file_name(), true), path.query());
    match directory(tree, path.relative(), settings).await? {
        Resolution::File(found) => Ok(match open_file(tree, &found.path).await? {
            Some(_) => Resolution::Redirect(location()),
            None => Resolution::NotFound,
        }),
        _ => match page(tree, path.relative(), settings).await? {
            Some(page) => Ok(Resolution::File(page)),
            None => match tree.open_directory(path.relative()).await {
                Ok(_) => Ok(Resolution::Directory(location())),
                Err(TreeError::NotFound) => Ok(Resolution::NotFound),
                Err(error) => Err(error),
            },
        },
    }
}

/// How the clean URL of a page is answered.
pub fn clean_urls(page: &RelativePath, settings: &Settings) -> CleanUrls {
    *settings.clean_urls.of_file(|| page.decoded())
}

/// A reference from a page to its clean URL, if that leads to the page.
async fn clean_url<T: Tree>(
    tree: &T,
    file: &RelativePath,
    settings: &Settings,
) -> Result<Option<String>, TreeError> {
    if clean_urls(file, settings) == CleanUrls::Off {
        return Ok(None);
    }
    if let Some(at) = settings.index.iter().position(|index| index == file.file_name()) {
        // An index that comes before this one would answer for the directory.
        for earlier in &settings.index[..at] {
            let directory = file.parent().unwrap_or_else(RelativePath::root);
            let Some(other) = directory.child(earlier, &settings.names) else { continue };
            if stat_file(tree, &other).await?.is_some() {
                return Ok(None);
            }
        }
        return Ok(Some(sibling_reference("", true)));
    }
    let Some(clean) = file.without_suffix(PAGE, &settings.names) else { return Ok(None) };
    // A file of the shorter name answers there, and so does the index of a directory.
    let is_taken = match stat(tree, &clean).await?.map(|metadata| metadata.kind) {
        None => false,
        Some(Kind::Directory) => matches!(directory(tree, &clean, settings).await?, Resolution::File(_)),
        Some(_) => true,
    };
    Ok((!is_taken).then(|| sibling_reference(clean.file_name(), false)))
}

/// A file, or the redirect to its clean URL where settings demand it.
async fn at_its_url<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    mut found: Found,
    settings: &Settings,
) -> Result<Resolution, TreeError> {
    if clean_urls(&found.path, settings) != CleanUrls::Redirect {
        return Ok(Resolution::File(found));
    }
    match found.canonical.take() {
        None => Ok(Resolution::File(found)),
        // A page that cannot be read is missing: a redirect would tell that it exists.
        Some(location) => Ok(match open_file(tree, &found.path).await? {
            Some(_) => Resolution::Redirect(with_query(location, path.query())),
            None => Resolution::NotFound,
        }),
    }
}

/// The page whose clean URL is `path`.
async fn page<T: Tree>(
    tree: &T,
    path: &RelativePath,
    settings: &Settings,
) -> Result<Option<Found>, TreeError> {
    // Most sites have clean URLs everywhere, or nowhere.
    if settings.clean_urls.same_for_all() == Some(&CleanUrls::Off) {
        return Ok(None);
    }
    let Some(page) = path.with_suffix(PAGE, &settings.names) else { return Ok(None) };
    if clean_urls(&page, settings) == CleanUrls::Off {
        return Ok(None);
    }
    let metadata = stat_file(tree, &page).await?;
    Ok(metadata.map(|metadata| Found::new(page, metadata)))
}

/// Finds the file that a path means as the target of a rule: the file, the index of the directory, or the page. This never
/// redirects.
pub async fn find<T: Tree>(
    tree: &T,
    path: &UrlPath<'_>,
    settings: &Settings,
) -> Result<Option<Found>, TreeError> {
    let candidate = path.relative();
    let metadata = if path.is_directory() { None } else { stat(tree, candidate).await? };
    if let Some(metadata) = metadata.filter(|metadata| metadata.kind == Kind::File) {
        return Ok(Some(Found::new(candidate.clone(), metadata)));
    }
    if (path.is_directory() || metadata.is_some())
        && let Resolution::File(index) = directory(tree, candidate, settings).await?
    {
        return Ok(Some(index));
    }
    if path.is_directory() { Ok(None) } else { page(tree, candidate, settings).await }
}

/// A regular file, opened.
#[derive(Debug)]
pub struct Representation<'s, F> {
    /// The opened file.
    pub file: F,
    /// The path of the file; of the original, where this is a precompressed variant.
    pub path: RelativePath,
    /// Its media type.
    pub media_type: &'s str,
    /// The metadata of the opened file.
    pub metadata: Metadata,
    /// The coding of a precompressed variant.
    pub coding: Option<Coding>,
    /// Whether other requests may get another variant.
    pub is_negotiable: bool,
    /// A reference to the clean URL, where another one was requested.
    pub canonical: Option<String>,
}

/// Opens a file that was found, or the precompressed variant that the client prefers. `wanted` tells the codings that it prefers,
/// the best first; it is asked only where the file may have variants.
///
/// A variant counts only if it is not older than the file: otherwise the file was changed and the variant was not. Its kind
/// is known before it is opened, because opening a FIFO waits for a writer.
///
/// # Errors
/// [`TreeError::NotFound`] when the file has gone meanwhile.
pub async fn open<'s, T: Tree>(
    tree: &T,
    found: Found,
    wanted: impl FnOnce() -> Vec<Coding>,
    settings: &'s Settings,
) -> Result<Representation<'s, T::File>, TreeError> {
    let Found { path, metadata, canonical } = found;
    let media_type = settings.media_type(&path);
    let is_negotiable = settings.precompressed && !media_type::is_compressed(media_type);
    let wanted = if is_negotiable { wanted() } else { Vec::new() };
    for coding in wanted {
        let Some(sibling) = path.with_suffix(coding.suffix(), &settings.names) else { continue };
        let is_usable = |other: &Metadata| other.modified >= metadata.modified;
        if !stat_file(tree, &sibling).await?.is_some_and(|other| is_usable(&other)) {
            continue;
        }
        if let Some((file, metadata)) = open_file(tree, &sibling).await?
            && is_usable(&metadata)
        {
            let coding = Some(coding);
            return Ok(Representation { file, path, media_type, metadata, coding, is_negotiable, canonical });
        }
    }
    let (file, metadata) = open_file(tree, &path).await?.ok_or(TreeError::NotFound)?;
    Ok(Representation { file, path, media_type, metadata, coding: None, is_negotiable, canonical })
}

/// The site's page for an error.
#[derive(Debug)]
pub struct ErrorPage<F> {
    /// Where it is.
    pub path: RelativePath,
    /// The opened file.
    pub file: F,
    /// Its length in bytes.
    pub length: u64,
}

/// Opens the site's page for an error, if it has one.
pub async fn error_page<T: Tree>(
    tree: &T,
    status: u16,
    missing: &RelativePath,
    settings: &Settings,
) -> Result<Option<ErrorPage<T::File>>, TreeError> {
    let candidates = match &settings.error_pages {
        ErrorPages::None => Vec::new(),
        ErrorPages::Directory(directory) => vec![directory.clone()],
        ErrorPages::Nearest if status != 404 => Vec::new(),
        ErrorPages::Nearest => existing_directories(tree, missing).await?,
    };
    let name = status.to_string() + PAGE;
    for directory in candidates.iter().rev() {
        let Some(path) = directory.child(&name, &settings.names) else { continue };
        if stat_file(tree, &path).await?.is_some()
            && let Some((file, metadata)) = open_file(tree, &path).await?
        {
            return Ok(Some(ErrorPage { path, file, length: metadata.length }));
        }
    }
    Ok(None)
}

/// The directories above a path that exist, from the root down. The search begins at the root, so that a path of a thousand
/// missing segments costs one call.
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
