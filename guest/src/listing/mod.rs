//! Listings: the entries of a directory, filtered, sorted and in pages, as [`html`] or as [`json`].

pub mod html;
pub mod json;
mod merge;

use crate::archive;
use crate::config::Settings;
use crate::markdown;
use crate::path::{RelativePath, is_possible_name};
use crate::tree::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use percent_encoding::percent_decode_str;
use std::cmp::Ordering;

/// How many names of a directory are listed. They are all held to be sorted, and with their metadata fill half of the memory
/// that our host gives an instance.
pub const LISTED_MAX: Extent = Extent { names: 200_000, bytes: 16 * 1024 * 1024 };

/// How many entries a page has.
pub const PAGE_LENGTH: usize = 1000;

/// How much of a README is shown, in bytes.
const README_MAX_BYTES: usize = 64 * 1024;

/// The level of its headings of the first level: the listing has one, and the README's name.
const README_LEVEL: usize = 3;

/// The longest filter, in bytes: no file name is longer.
const FILTER_MAX_BYTES: usize = 255;

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

    /// Its name in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// The direction of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Order {
    /// Its name in a query.
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

/// Which part of a listing is wanted, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is sorted by.
    pub key: Key,
    /// Which way.
    pub order: Order,
    /// Which page, from 1.
    pub page: usize,
    /// What the names contain, letters of either case alike; empty for all names.
    pub filter: String,
}

impl Default for View {
    fn default() -> Self {
        Self { key: Key::Name, order: Order::Ascending, page: 1, filter: String::new() }
    }
}

impl View {
    /// Reads `sort`, `order`, `page` and `q` from a query. Values that are not understood are ignored.
    pub fn from_query(query: Option<&str>) -> Self {
        let mut view = Self::default();
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "sort" => view.key = Key::ALL.into_iter().find(|key| key.name() == value).unwrap_or(view.key),
                "order" if value == "desc" => view.order = Order::Descending,
                "page" => view.page = value.parse().unwrap_or(view.page),
                // Forms send spaces as pluses.
                "q" => {
                    let value = value.replace('+', " ");
                    let filter = percent_decode_str(&value).decode_utf8_lossy();
                    view.filter =
                        if filter.len() <= FILTER_MAX_BYTES { filter.into_owned() } else { String::new() };
                }
                _ => {}
            }
        }
        view
    }

    /// Whether entries stand in the default order.
    fn is_default_order(&self) -> bool {
        (self.key, self.order) == (Key::Name, Order::Ascending)
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
    /// How many further names cannot be served: they are not UTF-8, or name something else on other systems.
    pub unreadable: usize,
    /// Whether the directory has more entries than are listed.
    pub is_truncated: bool,
    /// Whether the directory is sent as an archive on request.
    pub is_archived: bool,
    /// Whether it is then also sent as a compressed one.
    pub is_compressed: bool,
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
    rendered: Option<String>,
}

impl Readme {
    /// The text as HTML, where it is Markdown and settings ask for it.
    pub fn rendered(&self) -> Option<&str> {
        // Known to the compiler, so that a component without Markdown has nothing of it.
        if markdown::IS_BUILT { self.rendered.as_deref() } else { None }
    }
}

/// A part of a listing that not every client may see.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// The entry of this name.
    Entry(&'a str),
    /// The start of this README.
    Readme(&'a RelativePath),
}

/// Lists a directory. `may_show` tells whether the client may see a part of the listing.
///
/// Only what a request could be answered with is listed. Sorting by name needs only the names, so that only the entries of the
/// page are examined; the other orders examine all.
pub async fn list<T: Tree>(
    tree: &T,
    path: &RelativePath,
    view: View,
    may_show: impl Fn(Part<'_>) -> bool,
    settings: &Settings,
) -> Result<Listing, TreeError> {
    let directory = tree.open_directory(path).await?;
    let Names { entries: names, mut unreadable, is_truncated, .. } =
        tree.names(&directory, LISTED_MAX).await?;
    let filter = view.filter.to_lowercase();
    let prefix = common_prefix(&names);
    let mut entries = Vec::with_capacity(names.len());
    for (name, kind) in names {
        if !shows(path, &name, settings) {
            unreadable += usize::from(!is_possible_name(&name, &settings.names));
            continue;
        }
        if kind == Some(Kind::Other) || !(filter.is_empty() || name.to_lowercase().contains(&filter)) {
            continue;
        }
        if !may_show(Part::Entry(&name)) {
            continue;
        }
        let mut entry =
            Entry { name, is_directory: kind == Some(Kind::Directory), size: None, modified: None };
        let is_known = kind.is_some() && view.key == Key::Name;
        if is_known || fill(tree, &directory, &mut entry).await? {
            // Boxed, because the sort holds all entries a second time.
            entries.push((sort_head(&entry.name.as_bytes()[prefix..]), Box::new(entry)));
        }
    }
    let entries = merge::sort(entries, |a, b| compare((a.0, &a.1), (b.0, &b.1), view.key, view.order));
    let entries: Vec<_> = entries.into_iter().map(|(_, entry)| entry).collect();

    let total = entries.len();
    let pages = total.div_ceil(PAGE_LENGTH).max(1);
    let view = View { page: view.page.clamp(1, pages), ..view };
    let readme = match readme_of(&entries) {
        Some(name) if view.page == 1 && filter.is_empty() && may_show(Part::Readme(&path.join(name))) => {
            read(tree, path, name, settings).await?
        }
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
            // An entry that has gone since the directory was read stays as it was.
            fill(tree, &directory, entry).await?;
        }
    }
    let is_archived = archive::is_open(path, settings);
    let path = path.clone();
    Ok(Listing {
        path,
        view,
        pages,
        total,
        unreadable,
        is_truncated,
        is_archived,
        is_compressed: settings.compressed_archives,
        entries: page,
        readme,
    })
}

/// Whether a name in a directory is shown. `/.well-known/` is served and not shown: it is for programs that know it.
pub fn shows(directory: &RelativePath, name: &str, settings: &Settings) -> bool {
    let is_for_programs =
        || name == ".well-known" && !settings.names.serves_hidden(directory.join(name).as_str());
    directory.serves_child(name, &settings.names) && !is_for_programs()
}

/// Examines an entry; `false` when it is nothing that is served.
async fn fill<T: Tree>(tree: &T, directory: &T::Directory, entry: &mut Entry) -> Result<bool, TreeError> {
    let Metadata { kind, length, modified, .. } = match tree.stat_in(directory, &entry.name).await {
        Ok(metadata) => metadata,
        Err(TreeError::NotFound) => return Ok(false),
        Err(error) => return Err(error),
    };
    entry.is_directory = kind == Kind::Directory;
    entry.size = (kind == Kind::File).then_some(length);
    entry.modified = modified;
    Ok(kind != Kind::Other)
}

/// Compares two entries, each with the [`sort_head`] of its name. Directories come first in either order; among equals, the name
/// decides.
fn compare(a: (u64, &Entry), b: (u64, &Entry), key: Key, order: Order) -> Ordering {
    let by_name = |a: (u64, &Entry), b: (u64, &Entry)| {
        a.0.cmp(&b.0).then_with(|| natural(a.1.name.as_bytes(), b.1.name.as_bytes()))
    };
    let in_order = |a: (u64, &Entry), b: (u64, &Entry)| match key {
        Key::Name => by_name(a, b),
        Key::Size => a.1.size.cmp(&b.1.size).then_with(|| by_name(a, b)),
        Key::Time => a.1.modified.cmp(&b.1.modified).then_with(|| by_name(a, b)),
    };
    b.1.is_directory.cmp(&a.1.is_directory).then_with(|| match order {
        Order::Ascending => in_order(a, b),
        Order::Descending => in_order(b, a),
    })
}

/// The length of what all names begin with, in bytes, without the digits at its end, which belong to numbers.
fn common_prefix(names: &[(String, Option<Kind>)]) -> usize {
    let [(first, _), others @ ..] = names else { return 0 };
    let first = first.as_bytes();
    let length = others.iter().fold(first.len(), |length, (name, _)| {
        let alike = first[..length].iter().zip(name.as_bytes()).take_while(|(a, b)| a == b);
        alike.count()
    });
    first[..length].iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |at| at + 1)
}

/// The first eight bytes of a key whose order is that of [`natural`]: most comparisons need no more. Letters are in lower case,
/// and a number is a zero, its count of digits, and its digits.
fn sort_head(name: &[u8]) -> u64 {
    let mut head = [0; 8];
    let mut place = head.iter_mut();
    let mut rest = name;
    let mut put = |byte: u8| place.next().map(|place| *place = byte);
    while let [first, after @ ..] = rest {
        let is_full = if first.is_ascii_digit() {
            let digits;
            (digits, rest) = split_number(rest);
            let count = u8::try_from(digits.len()).unwrap_or(u8::MAX);
            [b'0', count].iter().chain(digits).any(|&byte| put(byte).is_none())
        } else {
            rest = after;
            put(first.to_ascii_lowercase()).is_none()
        };
        if is_full {
            break;
        }
    }
    u64::from_be_bytes(head)
}

/// The order in which people expect names: letters of either case alike, and numbers by their value.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while let ([first_a, ..], [first_b, ..]) = (rest_a, rest_b) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, number_b);
            (number_a, rest_a) = split_number(rest_a);
            (number_b, rest_b) = split_number(rest_b);
            number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b))
        } else {
            (rest_a, rest_b) = (&rest_a[1..], &rest_b[1..]);
            first_a.to_ascii_lowercase().cmp(&first_b.to_ascii_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Splits digits, without leading zeros, from what follows them.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    (&digits[zeros..], rest)
}

fn readme_of(entries: &[Box<Entry>]) -> Option<&str> {
    let named = |wanted: &str| {
        entries.iter().find(|entry| !entry.is_directory && entry.name.eq_ignore_ascii_case(wanted))
    };
    READMES.iter().find_map(|wanted| named(wanted)).map(|entry| entry.name.as_str())
}

async fn read<T: Tree>(
    tree: &T,
    directory: &RelativePath,
    name: &str,
    settings: &Settings,
) -> Result<Option<Readme>, TreeError> {
    let path = directory.join(name);
    let mut bytes = match tree.read_start(&path, README_MAX_BYTES + 1).await {
        Ok(bytes) => bytes,
        Err(TreeError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_cut = bytes.len() > README_MAX_BYTES;
    bytes.truncate(README_MAX_BYTES);
    if is_cut
        && let Err(error) = str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        // A character that is cut in half would look like a mistake in the file.
        bytes.truncate(error.valid_up_to());
    }
    let is_rendered = settings.renders_readme() && markdown::is_source(settings.media_type(&path));
    let rendered = is_rendered.then(|| markdown::render(&bytes, README_LEVEL).html);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some(Readme { name: name.to_owned(), text, is_cut, rendered }))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Key, Order, View, common_prefix, compare, natural, sort_head};
    use crate::tree::Timestamp;
    use proptest::prelude::*;

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
        let head = |entry: &Entry| sort_head(entry.name.as_bytes());
        entries.sort_unstable_by(|a, b| compare((head(a), a), (head(b), b), key, order));
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
    fn numbers_are_sorted_by_their_value() {
        let mut names = ["file10", "file2", "File1", "file02", "file", "file2b", "file 3", "1", "02", "é"];
        names.sort_unstable_by(|a, b| natural(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, ["1", "02", "file", "file 3", "File1", "file02", "file2", "file2b", "file10", "é"]);
    }

    #[test]
    fn a_query_chooses_the_view() {
        let view = |key, order, page, filter: &str| View { key, order, page, filter: filter.to_owned() };
        for (query, expected) in [
            (None, View::default()),
            (Some("sort=size&order=desc&page=3"), view(Key::Size, Order::Descending, 3, "")),
            (Some("sort=time&q=a%20b+%C3%A9"), view(Key::Time, Order::Ascending, 1, "a b é")),
            (Some("sort=colour&order=up&page=-1&&=&page"), View::default()),
            (Some("page=99999999999999999999999"), View::default()),
        ] {
            assert_eq!(View::from_query(query), expected, "{query:?}");
        }
        let long = format!("q={}", "x".repeat(256));
        assert_eq!(View::from_query(Some(&long)), View::default());
    }

    #[test]
    fn the_common_prefix_ends_before_a_number() {
        let prefix = |names: &[&str]| {
            common_prefix(&names.iter().map(|name| ((*name).to_owned(), None)).collect::<Vec<_>>())
        };
        assert_eq!(prefix(&["report-12.txt", "report-13.txt"]), 7);
        assert_eq!(prefix(&["a", "b"]), 0);
        assert_eq!(prefix(&["12", "13"]), 0);
        assert_eq!(prefix(&["abc"]), 3);
        assert_eq!(prefix(&[]), 0);
    }

    proptest! {
        #[test]
        fn a_head_never_contradicts_the_order(prefix in "[a1]{0,2}", a in "[aB01é.]{0,9}", b in "[aB01é.]{0,9}") {
            let names = [(format!("{prefix}{a}"), None), (format!("{prefix}{b}"), None)];
            let start = common_prefix(&names);
            let head = |name: &str| sort_head(&name.as_bytes()[start..]);
            let [(a, _), (b, _)] = &names;
            let order = head(a).cmp(&head(b));
            prop_assert!(order.is_eq() || order == natural(a.as_bytes(), b.as_bytes()), "{} {}", a, b);
        }

        #[test]
        fn the_order_of_names_is_total(a in "[aB01é]{0,5}", b in "[aB01é]{0,5}", c in "[aB01é]{0,5}") {
            let order = |a: &str, b: &str| natural(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &b) == std::cmp::Ordering::Equal, a == b);
            if order(&a, &b).is_lt() && order(&b, &c).is_lt() {
                prop_assert!(order(&a, &c).is_lt(), "{} {} {}", a, b, c);
            }
        }
    }
}
