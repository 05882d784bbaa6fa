//! Ranges: which bytes a `Range` field selects (RFC 9110 §14).

/// The only range unit that this server supports (RFC 9110 §14.1.2). Units are case-insensitive.
const UNIT: &[u8] = b"bytes";

/// Ranges with a smaller gap than this, in bytes, are joined: the head of a part would be longer (RFC 9110 §15.3.7.2).
const MIN_GAP: u64 = 80;

/// The most parts of one answer. A client that asks for more gets the whole file, which costs less than collecting many
/// scattered parts (CVE-2011-3192 and similar attacks).
const MAX_PARTS: usize = 16;

/// The estimated size of the head of a part, in bytes.
const PART_OVERHEAD: u64 = 256;

/// The most bytes by which an answer in parts may exceed the whole file.
const MAX_OVERHEAD: u64 = 4096;

/// The bytes of a representation from `first` to `last`, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The position of the first byte, from 0.
    pub first: u64,
    /// The position of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// The number of bytes.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a `Range` field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole representation: the field is ignored.
    Whole,
    /// One range.
    One(ByteRange),
    /// Two or more separate ranges, in the order of the request.
    Several(Vec<ByteRange>),
    /// No existing byte: 416.
    Unsatisfiable,
}

/// What a `Range` field with this value selects from a representation of `length` bytes.
///
/// An invalid field, or one with an unknown unit, selects the whole representation (RFC 9110 §14.2). So does any field
/// for an empty representation, which has no byte to name.
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

/// One member of a set of ranges, as written.
#[derive(Clone, Copy, Debug)]
enum Spec<'a> {
    /// From a position to another one, or to the end.
    From(&'a [u8], Option<&'a [u8]>),
    /// This number of bytes at the end.
    Suffix(&'a [u8]),
}

impl Spec<'_> {
    /// The existing bytes that it selects, in a representation whose last byte is at `end`.
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

/// The members of a set of ranges; `None` if the set is invalid, which one invalid member is enough for. Empty members
/// are skipped, as in every list (RFC 9110 §5.6.1.2), but one member must not be empty.
fn parse(value: &[u8]) -> Option<impl Iterator<Item = Spec<'_>>> {
    let (unit, set) = value.split_at_checked(UNIT.len())?;
    let set = set.strip_prefix(b"=").filter(|_| unit.eq_ignore_ascii_case(UNIT))?;
    let members = || set.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty());
    let valid = members().next().is_some() && members().all(|member| spec(member).is_some());
    valid.then(|| members().filter_map(spec))
}

/// Strips the optional whitespace around a member (RFC 9110 §5.6.3).
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

/// A key that orders numbers of any length by value.
fn magnitude(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// The number, or `u64::MAX` if it is larger. No file is that long, so the result is the same.
fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value: u64, byte| value.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
}

/// Joins ranges that overlap or nearly touch. A joined range takes the place of the first of its members.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted: Vec<_> = ranges.into_iter().enumerate().collect();
    sorted.sort_unstable_by_key(|&(place, range)| (range.first, place));
    let mut joined: Vec<(usize, ByteRange)> = Vec::new();
    for (place, range) in sorted {
        match joined.last_mut() {
            Some((first_place, before)) if range.first <= before.last.saturating_add(MIN_GAP) => {
                before.last = before.last.max(range.last);
                *first_place = place.min(*first_place);
            }
            _ => joined.push((place, range)),
        }
    }
    joined.sort_unstable_by_key(|&(place, _)| place);
    joined.into_iter().map(|(_, range)| range).collect()
}

/// Whether sending parts costs less than sending the whole file, or not much more.
fn is_worth_it(ranges: &[ByteRange], length: u64) -> bool {
    let add = |sum: u64, range: &ByteRange| sum.saturating_add(range.length()).saturating_add(PART_OVERHEAD);
    let parts = ranges.iter().fold(0, add);
    ranges.len() <= MAX_PARTS && parts <= length.saturating_add(MAX_OVERHEAD)
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
    fn a_range_is_cut_at_the_end_of_the_file() {
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
    fn invalid_fields_are_ignored() {
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
    fn any_range_of_an_empty_file_selects_the_whole_file() {
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
    fn too_many_scattered_ranges_select_the_whole_file() {
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
    fn ranges_of_the_longest_file_do_not_overflow() {
        let expected = several(&[(0, 0), (90, u64::MAX - 1)]);
        assert_eq!(select(b"bytes=0-0,90-", u64::MAX), expected);
    }

    proptest! {
        #[test]
        fn selected_ranges_exist_and_are_apart(value in "bytes=([0-9]{0,4}-[0-9]{0,4}[ ,]{0,2}){0,40}", length: u16) {
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
        fn arbitrary_bytes_never_panic(value: Vec<u8>, length: u64) {
            select(&value, length);
            select(&[b"bytes=".as_slice(), &value].concat(), length);
        }
    }
}
