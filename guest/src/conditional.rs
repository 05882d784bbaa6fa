//! Conditional requests: proceed, 304 or 412, in the order of RFC 9110 §13.2.2.

use crate::date;
use crate::request::{Headers, Method, Name, Request};
use crate::validators::{EntityTag, Validators};

/// The result of evaluating the preconditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They hold, or there are none: answer normally.
    Proceed,
    /// The client already has this representation: 304.
    NotModified,
    /// The file is not in the state that the client requires: 412.
    PreconditionFailed,
}

/// Evaluates the preconditions of a request against the file that would answer it. `now` is in seconds since 1970.
///
/// `If-Range` is not among them: it applies only to the range of a request that may proceed (see [`if_range_holds`]).
pub fn evaluate(request: &Request, validators: &Validators, now: u64) -> Outcome {
    let headers = &request.headers;
    let modified = validators.last_modified.and_then(|seconds| i64::try_from(seconds).ok());
    if headers.contains(Name::IfMatch) {
        if !any_tag_matches(headers, Name::IfMatch, validators, EntityTag::matches_strongly) {
            return Outcome::PreconditionFailed;
        }
    } else if let Some(modified) = modified
        && date(headers, Name::IfUnmodifiedSince, now).is_some_and(|limit| modified > limit)
    {
        return Outcome::PreconditionFailed;
    }

    if headers.contains(Name::IfNoneMatch) {
        if any_tag_matches(headers, Name::IfNoneMatch, validators, EntityTag::matches_weakly) {
            return match request.method {
                Method::Get | Method::Head => Outcome::NotModified,
                Method::Options | Method::Other => Outcome::PreconditionFailed,
            };
        }
    } else if matches!(request.method, Method::Get | Method::Head)
        && let Some(modified) = modified
        && date(headers, Name::IfModifiedSince, now).is_some_and(|since| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether any member of a list of entity tags matches. `*` matches any representation (RFC 9110 §13.1.1, §13.1.2).
fn any_tag_matches<'h>(
    headers: &'h Headers,
    name: Name,
    validators: &Validators,
    matches: fn(&EntityTag<'h>, &EntityTag<'_>) -> bool,
) -> bool {
    headers.values(name).iter().any(|value| {
        if value.trim_ascii() == b"*" {
            return true;
        }
        let Some(ours) = &validators.entity_tag else { return false };
        // Most clients send back the one tag that they were given.
        let (weak, quoted) = value.strip_prefix(b"W/").map_or((false, &**value), |quoted| (true, quoted));
        if let [b'"', opaque @ .., b'"'] = quoted
            && opaque == &*ours.opaque
        {
            return matches(&EntityTag { weak, opaque: opaque.into() }, ours);
        }
        entity_tags(value).any(|tag| matches(&tag, ours))
    })
}

/// The entity tags in one field line.
///
/// A tag may contain commas (RFC 9110 §8.8.3), so the line is parsed from left to right instead of split at commas. An
/// invalid member is skipped up to the next comma: it matches nothing, and the other members still count.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after;
                continue;
            }
            if rest.is_empty() {
                return None;
            }
            if let Some((tag, after)) = entity_tag(rest) {
                rest = after.trim_ascii_start();
                if matches!(rest.first(), None | Some(b',')) {
                    return Some(tag);
                }
            }
            rest = rest.iter().position(|&byte| byte == b',').map_or(&[], |comma| &rest[comma..]);
        }
    })
}

/// The entity tag at the start of `bytes`, and the bytes after it.
fn entity_tag(bytes: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    // `W/` is case-sensitive (RFC 9110 §8.8.3).
    let (weak, quoted) = match bytes.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, bytes),
    };
    let inside = quoted.strip_prefix(b"\"")?;
    let end = inside.iter().position(|&byte| byte == b'"')?;
    let opaque = &inside[..end];
    // etagc (RFC 9110 §8.8.3): visible characters except the quote, and bytes beyond ASCII.
    opaque
        .iter()
        .all(|&byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80)
        .then(|| (EntityTag { weak, opaque: opaque.into() }, &inside[end + 1..]))
}

/// Whether a range may be sent: there is no `If-Range`, or its validator matches the file (RFC 9110 §13.1.5).
pub fn if_range_holds(headers: &Headers, validators: &Validators, now: u64) -> bool {
    if !headers.contains(Name::IfRange) {
        return true;
    }
    let Some(value) = headers.single(Name::IfRange).map(<[u8]>::trim_ascii) else { return false };
    if let Some((tag, rest)) = entity_tag(value) {
        rest.is_empty() && validators.entity_tag.as_ref().is_some_and(|ours| tag.matches_strongly(ours))
    } else {
        let modified = validators.last_modified.filter(|_| validators.date_is_strong);
        date::parse(value, now)
            .is_some_and(|date| modified.and_then(|at| i64::try_from(at).ok()) == Some(date))
    }
}

/// The date of a field, in seconds since 1970; `None` if the field is absent, repeated or not an HTTP-date. Such a
/// field is ignored (RFC 9110 §13.1.3, §13.1.4).
fn date(headers: &Headers, name: Name, now: u64) -> Option<i64> {
    date::parse(headers.single(name)?.trim_ascii(), now)
}

#[cfg(test)]
mod tests {
    use super::{Outcome, entity_tags, evaluate, if_range_holds};
    use crate::request::{Headers, Method, Request};
    use crate::validators::{EntityTag, Validators};
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn outcome(fields: &[(&str, &str)]) -> Outcome {
        let tag = EntityTag { weak: false, opaque: b"e".into() };
        outcome_for(fields, &Validators { entity_tag: Some(tag), ..dated(true) })
    }

    /// The validators of a file without an entity tag.
    fn dated(date_is_strong: bool) -> Validators {
        Validators { entity_tag: None, last_modified: Some(784_111_777), date_is_strong }
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        Headers::new(fields.iter().map(field).collect::<Vec<_>>())
    }

    fn outcome_for(fields: &[(&str, &str)], validators: &Validators) -> Outcome {
        let request = Request { method: Method::Get, target: "/".into(), headers: headers(fields) };
        evaluate(&request, validators, NOW)
    }

    #[test]
    fn if_none_match_compares_weakly_over_the_whole_list() {
        for value in [
            "\"e\"",
            "W/\"e\"",
            "*",
            " * ",
            "\"a,b\", \"x\" , \"e\"",
            ",,\"e\"",
            "junk, \"e\"",
            "\"x\" y, \"e\"",
        ] {
            assert_eq!(outcome(&[("If-None-Match", value)]), Outcome::NotModified, "{value}");
        }
        for value in ["\"nope\"", "", "e", "\"e", "w/\"e\"", "\"a,\"e\"", "\"x\"\"e\"", "W/ \"e\""] {
            assert_eq!(outcome(&[("If-None-Match", value)]), Outcome::Proceed, "{value}");
        }
        assert_eq!(outcome(&[("If-None-Match", "\"a\""), ("if-none-match", "\"e\"")]), Outcome::NotModified);
    }

    #[test]
    fn if_none_match_overrides_if_modified_since() {
        assert_eq!(outcome(&[("If-None-Match", "\"n\""), ("If-Modified-Since", MODIFIED)]), Outcome::Proceed);
        let old = "Sat, 01 Jan 2000 00:00:00 GMT";
        assert_eq!(outcome(&[("If-None-Match", "\"e\""), ("If-Modified-Since", old)]), Outcome::NotModified);
    }

    #[test]
    fn a_file_not_changed_since_the_date_is_not_modified() {
        for (value, expected) in [
            (MODIFIED, Outcome::NotModified),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Outcome::Proceed),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Outcome::NotModified),
            ("Sun Nov  6 08:49:37 1994", Outcome::NotModified),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Outcome::NotModified),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Outcome::Proceed),
            ("yesterday", Outcome::Proceed),
            ("", Outcome::Proceed),
        ] {
            assert_eq!(outcome(&[("If-Modified-Since", value)]), expected, "{value}");
        }
        assert_eq!(
            outcome(&[("If-Modified-Since", MODIFIED), ("If-Modified-Since", MODIFIED)]),
            Outcome::Proceed
        );
    }

    #[test]
    fn if_match_compares_strongly() {
        for (value, expected) in [
            ("\"e\"", Outcome::Proceed),
            ("*", Outcome::Proceed),
            ("W/\"e\"", Outcome::PreconditionFailed),
            ("\"nope\"", Outcome::PreconditionFailed),
        ] {
            assert_eq!(outcome(&[("If-Match", value)]), expected, "{value}");
        }
        let weak = Validators {
            entity_tag: Some(EntityTag { weak: true, opaque: b"e".into() }),
            ..Validators::default()
        };
        assert_eq!(outcome_for(&[("If-Match", "\"e\"")], &weak), Outcome::PreconditionFailed);
        assert_eq!(outcome_for(&[("If-Match", "*")], &weak), Outcome::Proceed);
    }

    #[test]
    fn if_match_overrides_if_unmodified_since() {
        let old = "Sat, 01 Jan 1994 00:00:00 GMT";
        assert_eq!(outcome(&[("If-Unmodified-Since", old)]), Outcome::PreconditionFailed);
        assert_eq!(
            outcome(&[("If-Unmodified-Since", "Mon, 01 Jan 1900 00:00:00 GMT")]),
            Outcome::PreconditionFailed
        );
        assert_eq!(outcome(&[("If-Unmodified-Since", MODIFIED)]), Outcome::Proceed);
        assert_eq!(outcome(&[("If-Unmodified-Since", "garbage")]), Outcome::Proceed);
        assert_eq!(outcome(&[("If-Match", "\"e\""), ("If-Unmodified-Since", old)]), Outcome::Proceed);
    }

    #[test]
    fn without_validators_only_the_asterisk_matches() {
        let none = Validators::default();
        assert_eq!(outcome_for(&[("If-None-Match", "\"e\"")], &none), Outcome::Proceed);
        assert_eq!(outcome_for(&[("If-None-Match", "*")], &none), Outcome::NotModified);
        assert_eq!(outcome_for(&[("If-Modified-Since", MODIFIED)], &none), Outcome::Proceed);
        assert_eq!(
            outcome_for(&[("If-Unmodified-Since", "Sat, 01 Jan 1994 00:00:00 GMT")], &none),
            Outcome::Proceed
        );
    }

    #[test]
    fn if_range_compares_strongly_and_dates_exactly() {
        let tag =
            |weak| Validators { entity_tag: Some(EntityTag { weak, opaque: b"e".into() }), ..dated(true) };
        let holds = |value: &str, validators: &Validators| {
            if_range_holds(&headers(&[("If-Range", value)]), validators, NOW)
        };
        assert!(if_range_holds(&headers(&[]), &tag(true), NOW));
        for (value, expected) in [
            ("\"e\"", true),
            (" \"e\" ", true),
            (MODIFIED, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            ("W/\"e\"", false),
            ("\"e\", \"f\"", false),
            ("\"x\"", false),
            ("*", false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("garbage", false),
            ("", false),
        ] {
            assert_eq!(holds(value, &tag(false)), expected, "{value}");
        }
        assert!(!holds("\"e\"", &tag(true)));
        assert!(!holds(MODIFIED, &dated(false)));
        assert!(!if_range_holds(&headers(&[("If-Range", "\"e\""), ("If-Range", "\"e\"")]), &tag(false), NOW));
    }

    proptest! {
        #[test]
        fn a_list_of_tags_is_read_back(tags in prop::collection::vec(("[!#-~\u{80}-\u{ff}]{0,6}", any::<bool>()), 0..6)) {
            let tags: Vec<_> =
                tags.into_iter().map(|(opaque, weak)| EntityTag { weak, opaque: opaque.into_bytes().into() }).collect();
            let line: Vec<u8> = tags
                .iter()
                .flat_map(|tag| {
                    let mut member = if tag.weak { b"W/\"".to_vec() } else { b"\"".to_vec() };
                    member.extend_from_slice(&tag.opaque);
                    member.extend_from_slice(b"\" ,");
                    member
                })
                .collect();
            prop_assert_eq!(entity_tags(&line).collect::<Vec<_>>(), tags);
        }

        #[test]
        fn arbitrary_bytes_never_panic(tags: Vec<u8>, date: Vec<u8>) {
            let fields = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
            let values = [&tags, &tags, &date, &date];
            let headers: Vec<_> =
                fields.iter().zip(values).map(|(name, value)| ((*name).into(), value.clone())).collect();
            let request = Request { method: Method::Get, target: "/".into(), headers: Headers::new(headers) };
            evaluate(&request, &dated(true), NOW);
            if_range_holds(&Headers::new(vec![("if-range".into(), tags)]), &dated(true), NOW);
        }
    }
}
