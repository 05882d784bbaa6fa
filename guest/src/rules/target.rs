//! The target of a redirect: text, and the places where it takes a value from the request.

use crate::path::encode_segment;
use crate::pattern::{SPLAT, split_name};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// The values of the names in a pattern and its conditions.
pub(super) type Values<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// A piece of a target.
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// `:name`
    Name(&'a str),
}

/// The pieces of a target. A name stands at the start of a segment of the path, or is the value of a parameter.
pub(super) fn pieces(target: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = target;
    // The port of a host is not a name.
    let mut fixed = target.find("://").map_or(0, |at| {
        let authority = &target[at + 3..];
        at + 3 + authority.find(['/', '?', '#']).unwrap_or(authority.len())
    });
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if fixed == 0
            && let Some((name, _)) = rest.strip_prefix(':').and_then(target_name)
        {
            rest = &rest[1 + name.len()..];
            return Some(Piece::Name(name));
        }
        // Up to the next place where a name could stand.
        let from = fixed.max(1).min(rest.len());
        fixed = 0;
        let end = rest[from - 1..].find(['/', '=']).map_or(rest.len(), |at| from + at).max(from);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}

/// Splits what follows a `:` in a target into a name and the rest.
fn target_name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(['/', '?', '#', '&', '=']).unwrap_or(text.len());
    split_name(&text[..end])
}

/// Adds what a name stands for, encoded again.
pub(super) fn push_value(target: &mut String, name: &str, values: &Values<'_>) {
    let value = values.iter().find(|(known, _)| *known == name);
    let mut value = value.map_or("", |(_, value)| value.as_ref());
    // `*` may stand for a slash too.
    if target.ends_with('/') {
        value = value.trim_start_matches('/');
    }
    let keeps_slashes = name == SPLAT;
    for (at, segment) in value.split('/').enumerate() {
        if at > 0 {
            target.push_str(if keeps_slashes { "/" } else { "%2F" });
        }
        if target.contains('?') {
            target.extend(utf8_percent_encode(segment, NON_ALPHANUMERIC));
        } else {
            target.extend(encode_segment(segment));
        }
    }
}
