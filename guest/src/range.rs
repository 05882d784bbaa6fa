//! Ranges: which bytes a `Range` field asks for (RFC 9110 §14).

/// The unit that this server knows (RFC 9110 §14.1.2); units are case-insensitive.
const UNIT: &[u8] = b"bytes";

/// Ranges with fewer bytes than this between them are sent as one: the head of a part is longer (RFC 9110 §15.3.7.2).
const SMALLEST_GAP: u64 = 80;

/// The most parts of one answer. A client that wants more scattered bytes than this gets the whole file, which
/// costs less than finding them (CVE-2011-3192 and its descendants).
const MOST_PARTS: usize = 16;

/// What the head of a part counts for, in bytes, when it is judged whether parts are worth it.
const PART_OVERHEAD: u64 = 256;

/// How many bytes longer than the whole file an answer in parts may be.
const MOST_OVERHEAD: u64 = 4096;

/// Bytes of a representation, from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The position of the first byte, from 0.
    pub first: u64,
    /// The position of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// How many bytes these are.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything: the field is to be ignored.
    Whole,
    /// One piece.
    One(ByteRange),
    /// At least two pieces, apart from each other, in the order in which they were asked for.
    Several(Vec<ByteRange>),
    /// Nothing that exists: 416.
    Unsatisfiable,
}

/// What a `Range` field with this value selects of a representation of `length` bytes.
///
/// A field that is not valid, or whose unit is unknown, selects everything (RFC 9110 §14.2); so does any field of an
/// empty representation, of which no piece could be named.
pub fn select(value: &[u8], length: u64) -> Selection {
    let Some(end) = length.checked_sub(1) else { return Selection::Whole };
    let Some(specs) = parse(value) else { return Selection::Whole };
    let satisfiable: Vec<ByteRange> = specs.filter_map(|spec| spec.resolve(end)).collect();
    let ranges = coalesce(satisfiable);
    match ranges[..] {
        [] => Selection::Unsatisfiable,
        [range] => Selection::One(range),
        _ if is_worth_it(&ranges, length) => Selection::Several(ranges),
        _ => Selection::Whole,
    }
}

/// One member of a set of ranges, as it was written.
#[derive(Clone, Copy, Debug)]
enum Spec<'a> {
    /// From a position, up to another one or the end.
    From(&'a [u8], Option<&'a [u8]>),
    /// The last so many bytes.
    Suffix(&'a [u8]),
}

impl Spec<'_> {
    /// The bytes that exist of it, in a representation whose last byte is at `end`.
    fn resolve(self, end: u64) -> Option<ByteRange> {
        match self {
            Spec::From(first, last) => {
                let first = value(first);
                let last = last.map_or(end, |last| value(last).min(end));
                (first <= end).then_some(ByteRange { first, last })
            }
            Spec::Suffix(count) => {
                let count = value(count);
                (count > 0).then(|| ByteRange { first: (end - end.min(count - 1)), last: end })
            }
        }
    }
}

/// The members of a set of ranges; `None` when any of them, and so the set, is not valid. Members may be empty, as in
/// every list (RFC 9110 §5.6.1.2), but not all.
fn parse(value: &[u8]) -> Option<impl Iterator<Item = Spec<'_>>> {
    let (unit, set) = value.split_at_checked(UNIT.len())?;
    let set = set.strip_prefix(b"=").filter(|_| unit.eq_ignore_ascii_case(UNIT))?;
    let members = || set.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty());
    let valid = members().next().is_some() && members().all(|member| spec(member).is_some());
    valid.then(|| members().filter_map(spec))
}

/// Without the optional whitespace around it (RFC 9110 §5.6.3).
fn trim(mut member: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = member {
        member = rest;
    }
    member
}

fn spec(member: &[u8]) -> Option<Spec<'_>> {
    let dash = member.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    if !first.iter().chain(last).all(u8::is_ascii_digit) {
        return None;
    }
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Suffix(last)),
        (false, true) => Some(Spec::From(first, None)),
        (false, false) => (magnitude(first) <= magnitude(last)).then_some(Spec::From(first, Some(last))),
    }
}

/// A key by which numbers of any number of digits compare as numbers do.
fn magnitude(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// A number, or the largest there is: no file is that long, so that it makes no difference.
fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value: u64, byte| value.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
}

/// Joins ranges that overlap or nearly touch; each keeps the place of the first that it is made of.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().collect();
    sorted.sort_unstable_by_key(|&(place, range)| (range.first, place));
    let mut joined: Vec<(usize, ByteRange)> = Vec::new();
    for (place, range) in sorted {
        match joined.last_mut() {
            Some((first_place, before)) if range.first <= before.last.saturating_add(SMALLEST_GAP) => {
                before.last = before.last.max(range.last);
                *first_place = place.min(*first_place);
            }
            _ => joined.push((place, range)),
        }
    }
    joined.sort_unstable_by_key(|&(place, _)| place);
    joined.into_iter().map(|(_, range)| range).collect()
}

/// Whether sending parts is cheaper than sending everything, or not much dearer.
fn is_worth_it(ranges: &[ByteRange], length: u64) -> bool {
    let add = |sum: u64, range: &ByteRange| sum.saturating_add(range.length()).saturating_add(PART_OVERHEAD);
    let parts = ranges.iter().fold(0, add);
    ranges.len() <= MOST_PARTS && parts <= length.saturating_add(MOST_OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::{ByteRange, Selection, select};
    use proptest::prelude::*;

    fn one(first: u64, last: u64) -> Selection {
        Selection::One(ByteRange { first, last })
    }

    fn several(ranges: &[(u64, u64)]) -> Selection {
        Selection::Several(ranges.iter().map(|&(first, last)| ByteRange { first, last }).collect())
    }

    fn of_1000(value: &str) -> Selection {
        select(value.as_bytes(), 1000)
    }

    #[test]
    fn a_range_is_cut_to_what_exists() {
        for (value, expected) in [
            ("bytes=0-9", one(0, 9)),
            ("BYTES=0-9", one(0, 9)),
            ("bytes=0-", one(0, 999)),
            ("bytes=990-5000", one(990, 999)),
            ("bytes=999-", one(999, 999)),
            ("bytes=-10", one(990, 999)),
            ("bytes=-5000", one(0, 999)),
            ("bytes=0-99999999999999999999999", one(0, 999)),
            ("bytes=-99999999999999999999999", one(0, 999)),
            ("bytes=0000000000000000000000000000005-007", one(5, 7)),
            ("bytes=1000-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=18446744073709551616-", Selection::Unsatisfiable),
            ("bytes=18446744073709551615-18446744073709551616", Selection::Unsatisfiable),
            ("bytes=1000-,-0", Selection::Unsatisfiable),
        ] {
            assert_eq!(of_1000(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_not_valid_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes= ",
            "bytes=-",
            "bytes=9-0",
            "bytes=abc",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=--1",
            "bytes=1 -2",
            "bytes=0-9;",
            "bytes=0-9,x",
            "bytes=0-9 20-29",
            "bytes=18446744073709551616-18446744073709551615",
            "bytes =0-9",
            "bytes:0-9",
            "lines=0-9",
            "byte=0-9",
            "bytess=0-9",
        ] {
            assert_eq!(of_1000(value), Selection::Whole, "{value}");
        }
    }

    #[test]
    fn nothing_of_an_empty_file_can_be_selected() {
        for value in ["bytes=0-", "bytes=-5", "bytes=-0", "bytes=5-9"] {
            assert_eq!(select(value.as_bytes(), 0), Selection::Whole, "{value}");
        }
    }

    #[test]
    fn ranges_keep_their_order_and_close_ones_are_joined() {
        for (value, expected) in [
            ("bytes=0-0,-1", several(&[(0, 0), (999, 999)])),
            ("bytes=-1,0-0", several(&[(999, 999), (0, 0)])),
            ("bytes=0-9 ,\t200-209", several(&[(0, 9), (200, 209)])),
            ("bytes=,0-9,,200-209,", several(&[(0, 9), (200, 209)])),
            ("bytes=0-9,5000-", one(0, 9)),
            ("bytes=0-9,5-20", one(0, 20)),
            ("bytes=0-9,10-20", one(0, 20)),
            ("bytes=0-9,89-99", one(0, 99)),
            ("bytes=0-9,90-99", several(&[(0, 9), (90, 99)])),
            ("bytes=500-509,0-9,505-520", several(&[(500, 520), (0, 9)])),
            ("bytes=0-,0-,0-", one(0, 999)),
        ] {
            assert_eq!(of_1000(value), expected, "{value}");
        }
    }

    #[test]
    fn scattered_ranges_are_answered_with_everything() {
        let scattered = |count: u64| {
            let members: Vec<_> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
            select(format!("bytes={}", members.join(",")).as_bytes(), 1_000_000)
        };
        assert!(matches!(scattered(16), Selection::Several(ranges) if ranges.len() == 16));
        assert_eq!(scattered(17), Selection::Whole);
        assert_eq!(scattered(900), Selection::Whole);
        assert_eq!(select(format!("bytes={}", "0-0,".repeat(500)).as_bytes(), 1000), one(0, 0));
    }

    /// Found by fuzzing.
    #[test]
    fn the_longest_file_has_parts_without_overflow() {
        let expected = several(&[(0, 0), (90, u64::MAX - 1)]);
        assert_eq!(select(b"bytes=0-0,90-", u64::MAX), expected);
    }

    proptest! {
        #[test]
        fn what_is_selected_exists_once(value in "bytes=([0-9]{0,4}-[0-9]{0,4}[ ,]{0,2}){0,40}", length: u16) {
            let ranges = match select(value.as_bytes(), length.into()) {
                Selection::Whole | Selection::Unsatisfiable => Vec::new(),
                Selection::One(range) => vec![range],
                Selection::Several(ranges) => ranges,
            };
            let mut sorted = ranges.clone();
            sorted.sort_by_key(|range| range.first);
            for range in &sorted {
                prop_assert!(range.first <= range.last && range.last < length.into());
            }
            for pair in sorted.windows(2) {
                prop_assert!(pair[0].last + 80 < pair[1].first);
            }
            prop_assert!(ranges.len() <= 16);
        }

        #[test]
        fn any_bytes_are_answered(value: Vec<u8>, length: u64) {
            select(&value, length);
            select(&[b"bytes=".as_slice(), &value].concat(), length);
        }
    }
}
