//! The fuzz targets: every parser of input from a client or from the files of a site, as a function of arbitrary bytes.
//!
//! `cargo fuzz` runs them through `fuzz_targets/`, and `cargo test` runs them for a few seconds through
//! `../tests/fuzz.rs`. A target must not panic, and checks what must hold for every result.

use guest::conditional;
use guest::config::Settings;
use guest::date::{self, Date};
use guest::encoding::{self, Coding};
use guest::guard::{Access, Client};
use guest::listing::View;
use guest::path::{NamePolicy, UrlPath, sibling_reference, with_query};
use guest::pattern::Pattern;
use guest::range::{self, Selection};
use guest::request::{Headers, Method, Request};
use guest::rules::{self, Rules, Target, Which};
use guest::table::Table;
use guest::tree::{Kind, Metadata, Timestamp};
use guest::validators::{EntityTag, Validators};
use guest::{accept, digest, disposition, markdown};

/// A function of arbitrary bytes.
pub type EntryPoint = fn(&[u8]);

/// Every entry point, by the name of its target.
pub const ENTRY_POINTS: [(&str, EntryPoint); 8] = [
    ("path", path),
    ("range", range),
    ("conditions", conditions),
    ("accept_encoding", accept_encoding),
    ("rules", rules),
    ("date", date),
    ("digest", digest),
    ("markdown", markdown),
];

/// The current time for the parsers that depend on it, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

/// Input: a request target. Its path stays below the root, and its location is parsed to the same path.
pub fn path(bytes: &[u8]) {
    let Ok(target) = str::from_utf8(bytes) else { return };
    let by_pattern = Table::new(vec![(Pattern::new("/.a/*"), true)], false);
    for (hidden, portable) in
        [(Table::uniform(false), true), (Table::uniform(true), false), (by_pattern, false)]
    {
        let policy = NamePolicy { hidden, portable };
        let Ok(path) = UrlPath::parse(target, &policy) else { continue };
        let relative = path.relative();
        for segment in relative.as_str().split('/').filter(|_| !relative.as_str().is_empty()) {
            assert!(!segment.is_empty() && segment != "." && segment != "..", "{target:?}");
            assert!(!segment.contains(['\\', '\0']), "{target:?}");
        }
        // A reference to the last segment leads to the same path again.
        let reference =
            with_query(sibling_reference(relative.file_name(), path.is_directory()), path.query());
        assert!(reference.starts_with("./"), "{reference:?}");
        assert!(reference.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{reference:?}");
        let parent = relative.parent().map_or_else(String::new, |parent| parent.as_str().to_owned());
        if parent.is_empty() && !relative.as_str().is_empty() {
            let again = UrlPath::parse(&reference[1..], &policy).expect("a reference is a path");
            assert_eq!((again.relative(), again.is_directory()), (relative, path.is_directory()));
        }
        if let Some(value) = disposition::of(path.query(), relative.file_name()) {
            assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{value:?}");
        }
        View::from_query(path.query());
    }
}

/// Input: a length in eight bytes, and a `Range` field. The selected ranges exist and do not overlap.
pub fn range(bytes: &[u8]) {
    let Some((length, value)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let mut ranges = match range::select(value, length) {
        Selection::Whole | Selection::Unsatisfiable => return,
        Selection::One(range) => vec![range],
        Selection::Several(ranges) => {
            assert!((2..=16).contains(&ranges.len()));
            ranges
        }
    };
    ranges.sort_by_key(|range| range.first);
    assert!(ranges.iter().all(|range| range.first <= range.last && range.last < length));
    assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
}

/// Input: one field per line, of which the first byte selects the name. Conditions of every kind are evaluated for a
/// file with every validator, and for one without.
pub fn conditions(bytes: &[u8]) {
    const NAMES: [&str; 5] =
        ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
    let fields = bytes.split(|&byte| byte == b'\n').filter_map(|line| {
        let (&name, value) = line.split_first()?;
        Some((NAMES[usize::from(name) % NAMES.len()].to_owned(), value.to_vec()))
    });
    let headers = Headers::new(fields.collect::<Vec<_>>());
    let request = Request { method: Method::Get, target: "/".to_owned(), headers };
    let tag = EntityTag { weak: false, opaque: b"e".into() };
    let validators =
        Validators { entity_tag: Some(tag), last_modified: Some(784_111_777), date_is_strong: true };
    for validators in [validators, Validators::default()] {
        conditional::evaluate(&request, &validators, NOW);
        conditional::if_range_holds(&request.headers, &validators, NOW);
    }
}

/// Input: the value of an `Accept-Encoding` and of an `Accept` field. No coding is preferred twice.
pub fn accept_encoding(bytes: &[u8]) {
    let field = |name: &str| Headers::new(vec![(name.to_owned(), bytes.to_vec())]);
    let preferred = encoding::preferred(&field("accept-encoding"));
    for coding in Coding::ALL {
        assert!(preferred.iter().filter(|&&other| other == coding).count() <= 1);
    }
    accept::wants_html(&field("accept"));
    accept::wants_json(&field("accept"));
}

/// Input: a path, a line feed, and a file of rules. Fields are visible ASCII, and no rule redirects to a host that it does
/// not name.
pub fn rules(bytes: &[u8]) {
    let line_end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (target, content) = bytes.split_at(line_end);
    let errors = rules::check(content, &[], &NamePolicy::default());
    rules::check(content, content, &NamePolicy::default());
    let guards = rules::guards(content);
    // What is wrong with a guard is told at the start.
    assert!(guards.is_ok() || !errors.is_empty());
    let target = str::from_utf8(target).ok();
    let Some(Ok(path)) = target.map(|target| UrlPath::parse(target, &NamePolicy::default())) else { return };
    let settings = Settings::default();
    let mut rules = Rules::new(&settings, path.decoded());
    rules.add_site(content.into(), content.into());
    rules.add_guards(guards.unwrap_or_default().into());
    rules.requests(path.relative());
    // No guard admits a client that has sent nothing.
    assert!(matches!(rules.access(&Client::default()), Access::Open | Access::Denied));
    if let Ok(changes) = rules.changes() {
        for (name, value) in &changes.set {
            assert!(name.bytes().chain(value.bytes()).all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
        }
    }
    match rules.redirect(Which::Any, path.query()).map(|rule| rule.map(|rule| rule.target)) {
        Ok(Some(Target::Location(location))) => {
            assert!(location.bytes().all(|byte| matches!(byte, b'!'..=b'~' | b' ')), "{location:?}");
            assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location:?}");
        }
        Ok(Some(Target::File(file))) => assert!(file.starts_with('/') && !file.starts_with("//"), "{file:?}"),
        Ok(None | Some(Target::TooLong)) | Err(_) => {}
    }
}

/// Input: the current time in eight bytes, and a date. A parsed date can be written, and is then parsed to the same
/// time.
pub fn date(bytes: &[u8]) {
    let Some((now, text)) = bytes.split_first_chunk() else { return };
    let Some(seconds) = date::parse(text, u64::from_le_bytes(*now)) else { return };
    let Ok(since) = u64::try_from(seconds) else { return };
    if let Some(date) = Date::of(since) {
        assert_eq!(date::parse(date.imf_fixdate().as_bytes(), NOW), Some(seconds));
    }
}

/// Input: a `Want-Repr-Digest` field, and a sidecar. No algorithm is wanted twice, and a digest is visible ASCII.
pub fn digest(bytes: &[u8]) {
    let wanted = digest::wanted(&Headers::new(vec![("want-repr-digest".to_owned(), bytes.to_vec())]));
    assert!(wanted.len() < 2 || wanted[0] != wanted[1]);
    let modified = Some(Timestamp { seconds: NOW, nanoseconds: 5 });
    let file = Metadata { kind: Kind::File, length: 5, modified, changed: None };
    let known = [b"size=5\nmodified=1800000000.000000005\n", bytes].concat();
    for sidecar in [bytes, &known] {
        if let Some(value) = digest::of_sidecar(sidecar, &file, &digest::Algorithm::ALL) {
            assert!(value.bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{value:?}");
        }
    }
}

/// Input: Markdown. Its page has no other tags than those that are written for it, and is not much longer.
pub fn markdown(bytes: &[u8]) {
    const WRITTEN: [&str; 27] = [
        "a",
        "article",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "img",
        "input",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "table",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    let html = markdown::render(bytes, 1).html;
    for tag in html.split('<').skip(1) {
        let name = tag.trim_start_matches('/').split(['>', ' ']).next().unwrap_or_default();
        assert!(WRITTEN.contains(&name), "{tag:?}");
    }
    assert!(html.len() <= 64 * bytes.len().max(64 * 1024));
}
