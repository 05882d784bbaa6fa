//! Listings: what is in a directory, sorted and in pages, as [`html`] or as [`json`].

pub mod html;
pub mod json;

use crate::config::Settings;
use crate::path::{Hidden, RelativePath};
use crate::resolve::{Extent, Kind, Names, Timestamp, Tree, TreeError};
use std::cmp::Ordering;
use std::fmt::Write as _;

/// The largest directory that is listed: all of its names have to be held to be sorted, and with what belongs to them
/// they fill half of the memory that our host gives an instance.
pub const LARGEST: Extent = Extent { names: 200_000, bytes: 16 * 1024 * 1024 };

/// How many entries a page has.
pub const PAGE_LENGTH: usize = 1000;

/// How much of a README is shown, in bytes.
const LONGEST_README: usize = 64 * 1024;

/// The files whose text is shown below a listing, in lower case, the first that exists.
const READMES: [&str; 3] = ["readme.md", "readme.txt", "readme"];

/// What the entries are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The name, letters of either case alike.
    Name,
    /// The size in bytes.
    Size,
    /// When the content last changed.
    Time,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 3] = [Self::Name, Self::Size, Self::Time];

    /// What it is called in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Order {
    /// What it is called in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }

    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// How a listing is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is sorted by.
    pub key: Key,
    /// Which way.
    pub order: Order,
    /// Which page, from 1.
    pub page: usize,
}

impl View {
    /// Reads `sort`, `order` and `page` from a query. What is not understood is as if it were not there.
    pub fn from_query(query: Option<&str>) -> Self {
        let parameter = |name: &str| {
            let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
        };
        let key = parameter("sort").and_then(|name| Key::ALL.into_iter().find(|key| key.name() == name));
        let order = match parameter("order") {
            Some("desc") => Order::Descending,
            _ => Order::Ascending,
        };
        let page = parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        Self { key: key.unwrap_or(Key::Name), order, page }
    }

    /// The query that asks for it, its ampersands ready for markup.
    fn query(self) -> String {
        let mut query = format!("?sort={}&amp;order={}", self.key.name(), self.order.name());
        if self.page > 1 {
            // Writing to a string does not fail.
            let _ = write!(query, "&amp;page={}", self.page);
        }
        query
    }
}

/// A file or directory of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it is.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its size in bytes; of a file only.
    pub size: Option<u64>,
    /// When its content last changed, where that is known.
    pub modified: Option<Timestamp>,
}

/// One page of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The directory.
    pub path: RelativePath,
    /// How it is sorted, and which page this is.
    pub view: View,
    /// How many pages there are, at least 1.
    pub pages: usize,
    /// How many entries there are on all pages.
    pub total: usize,
    /// How many further names are no text, and so cannot be shown or asked for.
    pub unreadable: usize,
    /// The entries of this page.
    pub entries: Vec<Entry>,
    /// The start of a README, where there is one.
    pub readme: Option<Readme>,
}

/// The text of a README.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readme {
    /// The name of the file.
    pub name: String,
    /// Its text, or the start of it.
    pub text: String,
    /// Whether there is more.
    pub is_cut: bool,
}

/// Lists a directory.
///
/// Only what a request could be answered with is listed. Sorting by name needs nothing but the names, so that only the
/// files of the page are looked at; the other orders look at all.
///
/// # Errors
/// [`TreeError::TooMany`] beyond [`LARGEST`], and others of the tree.
pub async fn list<T: Tree>(
    tree: &T,
    path: &RelativePath,
    view: View,
    settings: &Settings,
) -> Result<Listing, TreeError> {
    let Names { entries: names, unreadable, .. } = tree.list(path, LARGEST).await?;
    let mut entries = Vec::with_capacity(names.len());
    for (name, kind) in names {
        // `/.well-known/` is for programs that know it.
        let is_known_to_programs = name == ".well-known" && settings.hidden == Hidden::Refused;
        let is_shown = path.served_child(&name, settings.hidden).is_some() && !is_known_to_programs;
        if !is_shown || kind == Some(Kind::Other) {
            continue;
        }
        let mut entry =
            Entry { name, is_directory: kind == Some(Kind::Directory), size: None, modified: None };
        let is_known = kind.is_some() && view.key == Key::Name;
        if is_known || fill(tree, path, &mut entry).await? {
            // Boxed, for sorting keeps dozens of elements on the stack, at each of up to twice as many levels as the
            // number of entries has binary digits.
            entries.push(Box::new(entry));
        }
    }
    entries.sort_unstable_by(|a, b| compare(a, b, view));

    let total = entries.len();
    let pages = total.div_ceil(PAGE_LENGTH).max(1);
    let view = View { page: view.page.clamp(1, pages), ..view };
    let readme = match readme_of(&entries) {
        Some(name) if view.page == 1 => read(tree, path, name).await?,
        _ => None,
    };
    let mut page: Vec<Entry> = entries
        .into_iter()
        .skip((view.page - 1) * PAGE_LENGTH)
        .take(PAGE_LENGTH)
        .map(|entry| *entry)
        .collect();
    if view.key == Key::Name {
        for entry in &mut page {
            // What has gone since the directory was read is left as it was.
            fill(tree, path, entry).await?;
        }
    }
    Ok(Listing { path: path.clone(), view, pages, total, unreadable, entries: page, readme })
}

/// Looks at what an entry is; `false` when it is nothing that is served.
async fn fill<T: Tree>(tree: &T, directory: &RelativePath, entry: &mut Entry) -> Result<bool, TreeError> {
    let metadata = match tree.stat(&directory.join(&entry.name)).await {
        Ok(metadata) => metadata,
        Err(TreeError::NotFound) => return Ok(false),
        Err(error) => return Err(error),
    };
    entry.is_directory = metadata.kind == Kind::Directory;
    entry.size = (metadata.kind == Kind::File).then_some(metadata.length);
    entry.modified = metadata.modified;
    Ok(metadata.kind != Kind::Other)
}

/// Directories come first, whichever way; among equals, the name decides.
fn compare(a: &Entry, b: &Entry, view: View) -> Ordering {
    let by_name =
        |a: &Entry, b: &Entry| folded(&a.name).cmp(folded(&b.name)).then_with(|| a.name.cmp(&b.name));
    let in_order = |a: &Entry, b: &Entry| match view.key {
        Key::Name => by_name(a, b),
        Key::Size => a.size.cmp(&b.size).then_with(|| by_name(a, b)),
        Key::Time => a.modified.cmp(&b.modified).then_with(|| by_name(a, b)),
    };
    b.is_directory.cmp(&a.is_directory).then_with(|| match view.order {
        Order::Ascending => in_order(a, b),
        Order::Descending => in_order(b, a),
    })
}

/// A name in which letters of either case are alike.
fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

fn readme_of(entries: &[Box<Entry>]) -> Option<&str> {
    let named = |wanted: &str| {
        entries.iter().find(|entry| !entry.is_directory && entry.name.eq_ignore_ascii_case(wanted))
    };
    READMES.iter().find_map(|wanted| named(wanted)).map(|entry| entry.name.as_str())
}

async fn read<T: Tree>(tree: &T, directory: &RelativePath, name: &str) -> Result<Option<Readme>, TreeError> {
    let file = match tree.open(&directory.join(name)).await {
        Ok((file, metadata)) if metadata.kind == Kind::File => file,
        Ok(_) | Err(TreeError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut bytes, is_cut) = crate::resolve::read_start(tree, &file, LONGEST_README).await?;
    if is_cut
        && let Err(error) = str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        // Not in the middle of a character, which would look like a mistake in the file.
        bytes.truncate(error.valid_up_to());
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some(Readme { name: name.to_owned(), text, is_cut }))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Key, Order, View, compare};
    use crate::resolve::Timestamp;

    fn entry(name: &str, size: Option<u64>, seconds: u64) -> Entry {
        let modified = Some(Timestamp { seconds, nanoseconds: 0 });
        Entry { name: name.to_owned(), is_directory: size.is_none(), size, modified }
    }

    fn sorted(key: Key, order: Order) -> Vec<String> {
        let mut entries = [
            entry("b.txt", Some(5), 30),
            entry("A.txt", Some(9), 10),
            entry("c.txt", Some(5), 20),
            entry("z", None, 5),
            entry("Y", None, 50),
        ];
        entries.sort_unstable_by(|a, b| compare(a, b, View { key, order, page: 1 }));
        entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn directories_come_first_and_the_rest_goes_both_ways() {
        assert_eq!(sorted(Key::Name, Order::Ascending), ["Y", "z", "A.txt", "b.txt", "c.txt"]);
        assert_eq!(sorted(Key::Name, Order::Descending), ["z", "Y", "c.txt", "b.txt", "A.txt"]);
        assert_eq!(sorted(Key::Size, Order::Ascending), ["Y", "z", "b.txt", "c.txt", "A.txt"]);
        assert_eq!(sorted(Key::Size, Order::Descending), ["z", "Y", "A.txt", "c.txt", "b.txt"]);
        assert_eq!(sorted(Key::Time, Order::Ascending), ["z", "Y", "A.txt", "c.txt", "b.txt"]);
        assert_eq!(sorted(Key::Time, Order::Descending), ["Y", "z", "b.txt", "c.txt", "A.txt"]);
    }

    #[test]
    fn a_query_says_how_and_nonsense_says_nothing() {
        let view = |key, order, page| View { key, order, page };
        for (query, expected) in [
            (None, view(Key::Name, Order::Ascending, 1)),
            (Some("sort=size&order=desc&page=3"), view(Key::Size, Order::Descending, 3)),
            (Some("sort=time"), view(Key::Time, Order::Ascending, 1)),
            (Some("sort=colour&order=up&page=-1&&=&page"), view(Key::Name, Order::Ascending, 1)),
            (Some("page=99999999999999999999999"), view(Key::Name, Order::Ascending, 1)),
        ] {
            assert_eq!(View::from_query(query), expected, "{query:?}");
        }
        let view = view(Key::Time, Order::Descending, 2);
        assert_eq!(View::from_query(Some(&view.query()[1..].replace("&amp;", "&"))), view);
    }
}
