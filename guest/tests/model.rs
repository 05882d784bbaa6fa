//! Compares the evaluator of conditions and ranges with a model of RFC 9110 §13 and §14.
//!
//! The model is written from the text of the RFC and shares no code with the evaluator. It never parses a header field:
//! it is given the meaning of each field, from which the field itself is then written in one of its valid spellings.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use guest::config::{Settings, TagSource};
use guest::path::RelativePath;
use guest::request::{Headers, Method, Request};
use guest::respond;
use guest::response::{Body, Plan};
use guest::tree::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The time of every request, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

/// A tree with a single file, `f`.
#[derive(Clone, Debug)]
struct OneFile {
    length: u64,
    modified: Timestamp,
}

impl OneFile {
    fn metadata(&self) -> Metadata {
        Metadata { kind: Kind::File, length: self.length, modified: Some(self.modified), changed: None }
    }

    /// The value of its entity tag, between the quotes.
    fn opaque(&self) -> String {
        let nanoseconds =
            u128::from(self.modified.seconds) * 1_000_000_000 + u128::from(self.modified.nanoseconds);
        format!("{nanoseconds:x}-{:x}", self.length)
    }

    /// A file that is less than a second old may change again without a change of its modification time.
    fn has_weak_tag(&self) -> bool {
        match NOW - self.modified.seconds {
            0 => true,
            1 => self.modified.nanoseconds > 0,
            _ => false,
        }
    }

    /// §8.8.2.2: the date is strong if it is at least one second older than the answer's `Date`.
    fn has_strong_date(&self) -> bool {
        NOW - self.modified.seconds >= 1
    }
}

impl Tree for OneFile {
    type File = ();
    type Directory = ();

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        if path.as_str() == "f" { Ok(self.metadata()) } else { Err(TreeError::NotFound) }
    }

    async fn is_link(&self, _: &RelativePath) -> Result<bool, TreeError> {
        unreachable!("no listing is asked for")
    }

    async fn exists(&self, path: &RelativePath) -> Result<bool, TreeError> {
        Ok(path.as_str() == "f")
    }

    async fn open(&self, _: &RelativePath) -> Result<((), Metadata), TreeError> {
        Ok(((), self.metadata()))
    }

    async fn read_start(&self, _: &RelativePath, _: usize) -> Result<Vec<u8>, TreeError> {
        unreachable!("a file is moved by the runtime")
    }

    async fn open_directory(&self, _: &RelativePath) -> Result<(), TreeError> {
        Err(TreeError::NotFound)
    }

    async fn names(&self, (): &(), _: Extent) -> Result<Names, TreeError> {
        Err(TreeError::NotFound)
    }

    async fn stat_in(&self, (): &(), _: &str) -> Result<Metadata, TreeError> {
        Err(TreeError::NotFound)
    }
}

/// An entity tag in a condition, relative to that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    /// The file's tag, written as a strong or a weak one.
    Same { weak: bool },
    /// Another tag.
    Other { weak: bool },
    /// Not a valid tag.
    Invalid,
}

/// The value of a field of entity tags.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    List(Vec<Tag>),
}

/// A date, relative to that of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// This many seconds after it.
    After(i64),
    /// This time, in seconds since 1970: long before 1970, or the latest possible date.
    Absolute(i64),
    /// Not a valid date.
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Imf,
    Rfc850,
    Asctime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum IfRange {
    Tag(Tag),
    Date(When, Format),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Between(u64, u64),
    From(u64),
    Last(u64),
    Invalid,
}

/// A request, by the meaning of its fields.
#[derive(Clone, Debug)]
struct RequestSpec {
    head: bool,
    if_match: Option<Tags>,
    if_unmodified_since: Option<(When, Format)>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<(When, Format)>,
    if_range: Option<IfRange>,
    /// Whether the unit is `bytes`, and the pieces.
    range: Option<(bool, Vec<Piece>)>,
    /// Selects the spelling of the fields.
    style: usize,
}

/// The outcome that the model requires.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    PreconditionFailed,
    NotModified,
    Whole,
    Unsatisfiable,
    /// The first and last position of each part.
    Parts(Vec<(u64, u64)>),
}

/// §13.1.1 to §13.1.4: the meaning of a date, in seconds since 1970; `None` if it is invalid.
fn seconds(when: When, file: &OneFile) -> Option<i64> {
    match when {
        When::After(after) => Some(i64::try_from(file.modified.seconds).unwrap() + after),
        When::Absolute(seconds) => Some(seconds),
        When::Invalid => None,
    }
}

fn model(spec: &RequestSpec, file: &OneFile) -> Expected {
    let modified = i64::try_from(file.modified.seconds).unwrap();
    // §8.8.3.2
    let strongly = |tag: &Tag| *tag == Tag::Same { weak: false } && !file.has_weak_tag();
    let weakly = |tag: &Tag| matches!(tag, Tag::Same { .. });

    // §13.2.2, step 1
    if let Some(tags) = &spec.if_match {
        let holds = match tags {
            Tags::Any => true,
            Tags::List(list) => list.iter().any(strongly),
        };
        if !holds {
            return Expected::PreconditionFailed;
        }
    } else if let Some((when, _)) = spec.if_unmodified_since
        // Step 2
        && let Some(date) = seconds(when, file)
        && modified > date
    {
        return Expected::PreconditionFailed;
    }
    // Step 3
    if let Some(tags) = &spec.if_none_match {
        let holds = match tags {
            Tags::Any => false,
            Tags::List(list) => !list.iter().any(weakly),
        };
        if !holds {
            return Expected::NotModified;
        }
    } else if let Some((when, _)) = spec.if_modified_since
        // Step 4
        && let Some(date) = seconds(when, file)
        && modified <= date
    {
        return Expected::NotModified;
    }
    // Step 5; §14.2: only GET has ranges.
    let Some((unit_is_bytes, pieces)) = &spec.range else { return Expected::Whole };
    if spec.head {
        return Expected::Whole;
    }
    let holds = match &spec.if_range {
        None => true,
        Some(IfRange::Tag(tag)) => strongly(tag),
        Some(IfRange::Date(when, _)) => file.has_strong_date() && seconds(*when, file) == Some(modified),
    };
    if !holds || !unit_is_bytes {
        return Expected::Whole;
    }
    ranges(pieces, file.length)
}

/// §14.1.2, and this server's choices where §14.2 and §15.3.7.2 allow several.
fn ranges(pieces: &[Piece], length: u64) -> Expected {
    let is_valid = !pieces.is_empty()
        && pieces.iter().all(|piece| match piece {
            Piece::Between(first, last) => first <= last,
            Piece::From(_) | Piece::Last(_) => true,
            Piece::Invalid => false,
        });
    if !is_valid || length == 0 {
        return Expected::Whole;
    }
    let mut wanted: Vec<(u64, u64)> = Vec::new();
    for piece in pieces {
        match *piece {
            Piece::Between(first, last) if first < length => wanted.push((first, last.min(length - 1))),
            Piece::From(first) if first < length => wanted.push((first, length - 1)),
            Piece::Last(count) if count > 0 => wanted.push((length.saturating_sub(count), length - 1)),
            _ => {}
        }
    }
    if wanted.is_empty() {
        return Expected::Unsatisfiable;
    }
    // Join two ranges with fewer than 80 bytes between them, in the place of the earlier one, until no such pair is
    // left.
    'again: loop {
        for earlier in 0..wanted.len() {
            for later in earlier + 1..wanted.len() {
                let (a, b) = (wanted[earlier], wanted[later]);
                if a.0.max(b.0) <= a.1.min(b.1) + 80 {
                    wanted[earlier] = (a.0.min(b.0), a.1.max(b.1));
                    wanted.remove(later);
                    continue 'again;
                }
            }
        }
        break;
    }
    let bytes: u64 = wanted.iter().map(|(first, last)| last - first + 1).sum();
    let count = wanted.len() as u64;
    if count > 1 && (count > 16 || bytes + 256 * count > length + 4096) {
        return Expected::Whole;
    }
    Expected::Parts(wanted)
}

fn write_tag(tag: Tag, file: &OneFile) -> String {
    let weak = |weak| if weak { "W/" } else { "" };
    match tag {
        Tag::Same { weak: is_weak } => format!("{}\"{}\"", weak(is_weak), file.opaque()),
        Tag::Other { weak: is_weak } => format!("{}\"other, {}\"", weak(is_weak), file.length),
        Tag::Invalid => file.opaque(),
    }
}

fn write_tags(tags: &Tags, file: &OneFile, style: usize) -> String {
    match tags {
        Tags::Any => "*".to_owned(),
        Tags::List(list) => {
            let separator = [",", ", ", " , ", ",,\t,"][style % 4];
            list.iter().map(|&tag| write_tag(tag, file)).collect::<Vec<_>>().join(separator)
        }
    }
}

fn write_date(when: When, format: Format, file: &OneFile) -> String {
    let Some(seconds) = seconds(when, file) else { return "Sun, 32 Nov 1994 08:49:37 GMT".to_owned() };
    // The generators produce only one date before 1970, which is written out here.
    let Ok(since) = u64::try_from(seconds) else { return "Mon, 01 Jan 1900 00:00:00 GMT".to_owned() };
    let imf =
        httpdate::HttpDate::from(std::time::UNIX_EPOCH + std::time::Duration::from_secs(since)).to_string();
    let (weekday, day, month, year, time) = (&imf[..3], &imf[5..7], &imf[8..11], &imf[12..16], &imf[17..25]);
    match format {
        // Two digits can only name a year near the current one.
        Format::Rfc850 if (1990..2060).contains(&year.parse().unwrap()) => {
            format!("Wednesday, {day}-{month}-{} {time} GMT", &year[2..])
        }
        Format::Asctime => {
            let day = day.strip_prefix('0').map_or(day.to_owned(), |digit| format!(" {digit}"));
            format!("{weekday} {month} {day} {time} {year}")
        }
        Format::Imf | Format::Rfc850 => imf,
    }
}

fn write_range(unit_is_bytes: bool, pieces: &[Piece], style: usize) -> String {
    let unit = if unit_is_bytes { ["bytes", "Bytes", "BYTES"][style % 3] } else { "lines" };
    let separator = [",", ", ", " ,", ", ,"][style % 4];
    let zeros = ["", "000"][style % 2];
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Between(first, last) => format!("{zeros}{first}-{last}"),
            Piece::From(first) => format!("{first}-"),
            Piece::Last(count) => format!("-{zeros}{count}"),
            Piece::Invalid => ["x-1", "-", "1", "1--2", "0x1-2", "+1-2"][style % 6].to_owned(),
        })
        .collect();
    format!("{unit}={}", pieces.join(separator))
}

fn write(spec: &RequestSpec, file: &OneFile) -> Request {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let name = if spec.style.is_multiple_of(2) { name.to_owned() } else { name.to_ascii_uppercase() };
            fields.push((name, value.into_bytes()));
        }
    };
    let tags = |tags: &Option<Tags>| tags.as_ref().map(|tags| write_tags(tags, file, spec.style));
    let date = |date: Option<(When, Format)>| date.map(|(when, format)| write_date(when, format, file));
    add("if-match", tags(&spec.if_match));
    add("if-unmodified-since", date(spec.if_unmodified_since));
    add("if-none-match", tags(&spec.if_none_match));
    add("if-modified-since", date(spec.if_modified_since));
    add(
        "if-range",
        spec.if_range.as_ref().map(|if_range| match if_range {
            IfRange::Tag(tag) => write_tag(*tag, file),
            IfRange::Date(when, format) => write_date(*when, *format, file),
        }),
    );
    add(
        "range",
        spec.range.as_ref().map(|(unit_is_bytes, pieces)| write_range(*unit_is_bytes, pieces, spec.style)),
    );
    // The order of fields with different names has no meaning.
    let turn = spec.style % fields.len().max(1);
    fields.rotate_left(turn);
    let method = if spec.head { Method::Head } else { Method::Get };
    Request { method, target: "/f".into(), headers: Headers::new(fields) }
}

fn answer(file: &OneFile, request: &Request) -> Plan<()> {
    let settings = Settings { tags: TagSource::Modification, ..Settings::default() };
    let mut plan = pin!(respond(file, &settings, request, || Timestamp { seconds: NOW, nanoseconds: 0 }));
    match plan.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(plan) => plan,
        Poll::Pending => panic!("the response waits, but no operation of the tree does"),
    }
}

/// The outcome of an answer, with checks of what must hold for every answer of its kind.
fn outcome(plan: &Plan<()>, file: &OneFile, head: bool) -> Expected {
    let header = |name: &str| plan.headers.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
    let length = || header("content-length").unwrap().parse::<u64>().unwrap();
    match plan.status {
        412 => Expected::PreconditionFailed,
        304 => {
            assert!(matches!(plan.body, Body::Empty) && header("content-length").is_none());
            Expected::NotModified
        }
        200 => {
            assert_eq!(length(), file.length);
            match plan.body {
                Body::Empty => assert!(head || file.length == 0),
                Body::File { offset, length, .. } => {
                    assert_eq!((offset, length, head), (0, file.length, false));
                }
                _ => panic!("{plan:?}"),
            }
            Expected::Whole
        }
        416 => {
            assert_eq!(header("content-range"), Some(format!("bytes */{}", file.length).as_str()));
            Expected::Unsatisfiable
        }
        206 => match &plan.body {
            Body::File { offset, length: count, .. } => {
                let last = offset + count - 1;
                let expected = format!("bytes {offset}-{last}/{}", file.length);
                assert_eq!((header("content-range"), length()), (Some(expected.as_str()), *count));
                Expected::Parts(vec![(*offset, last)])
            }
            Body::Parts { parts, end, .. } => {
                assert_eq!(header("content-range"), None);
                let texts: usize = parts.iter().map(|(head, _)| head.len()).sum::<usize>() + end.len();
                let bytes: u64 = parts.iter().map(|(_, range)| range.length()).sum();
                assert_eq!(length(), texts as u64 + bytes);
                Expected::Parts(parts.iter().map(|(_, range)| (range.first, range.last)).collect())
            }
            _ => panic!("{plan:?}"),
        },
        status => panic!("{status}"),
    }
}

fn tag() -> impl Strategy<Value = Tag> {
    prop_oneof![
        any::<bool>().prop_map(|weak| Tag::Same { weak }),
        any::<bool>().prop_map(|weak| Tag::Other { weak }),
        Just(Tag::Invalid),
    ]
}

fn tags() -> impl Strategy<Value = Tags> {
    prop_oneof![1 => Just(Tags::Any), 6 => vec(tag(), 0..4).prop_map(Tags::List)]
}

fn date() -> impl Strategy<Value = (When, Format)> {
    let when = prop_oneof![
        4 => select(vec![-100_000, -1, 0, 1, 100_000]).prop_map(When::After),
        1 => select(vec![-2_208_988_800, 0, 253_402_300_799]).prop_map(When::Absolute),
        1 => Just(When::Invalid),
    ];
    (when, select(vec![Format::Imf, Format::Rfc850, Format::Asctime]))
}

fn if_range() -> impl Strategy<Value = IfRange> {
    prop_oneof![tag().prop_map(IfRange::Tag), date().prop_map(|(when, format)| IfRange::Date(when, format))]
}

fn range() -> impl Strategy<Value = (bool, Vec<Piece>)> {
    let position = prop_oneof![6 => 0..2500_u64, 1 => Just(u64::MAX), 1 => Just(0)];
    let piece = prop_oneof![
        8 => (position.clone(), 0..300_u64).prop_map(|(first, more)| Piece::Between(first, first.saturating_add(more))),
        1 => (0..2500_u64, 0..2500_u64).prop_map(|(first, last)| Piece::Between(first, last)),
        2 => position.clone().prop_map(Piece::From),
        2 => position.prop_map(Piece::Last),
        1 => Just(Piece::Invalid),
    ];
    let pieces = prop_oneof![
        8 => vec(piece, 0..5),
        // Many valid pieces that are far apart, to reach the limits.
        1 => vec((0..40_u64, 0..20_u64).prop_map(|(at, more)| Piece::Between(at * 100, at * 100 + more)), 10..30),
    ];
    (proptest::bool::weighted(0.9), pieces)
}

fn spec() -> impl Strategy<Value = RequestSpec> {
    (
        proptest::bool::weighted(0.2),
        option::weighted(0.25, tags()),
        option::weighted(0.25, date()),
        option::weighted(0.25, tags()),
        option::weighted(0.25, date()),
        option::weighted(0.4, if_range()),
        option::weighted(0.8, range()),
        0..240_usize,
    )
        .prop_map(
            |(
                head,
                if_match,
                if_unmodified_since,
                if_none_match,
                if_modified_since,
                if_range,
                range,
                style,
            )| {
                RequestSpec {
                    head,
                    if_match,
                    if_unmodified_since,
                    if_none_match,
                    if_modified_since,
                    if_range,
                    range,
                    style,
                }
            },
        )
}

fn file() -> impl Strategy<Value = OneFile> {
    let length = prop_oneof![1 => Just(0), 1 => Just(1), 8 => 2..2000_u64, 3 => 2000..6000_u64];
    // Changed just now, less than a second ago, and long ago.
    let age = select(vec![0, 1, 2, 100_000_000]);
    (length, age, select(vec![0, 1, 500_000_000, 999_999_999])).prop_map(|(length, age, nanoseconds)| {
        OneFile {
            length,
            modified: Timestamp { seconds: NOW - age, nanoseconds: if age == 0 { 0 } else { nanoseconds } },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_agrees_with_the_rfc(spec in spec(), file in file()) {
        let request = write(&spec, &file);
        let plan = answer(&file, &request);
        prop_assert_eq!(outcome(&plan, &file, spec.head), model(&spec, &file), "{:?}", request);
    }
}
