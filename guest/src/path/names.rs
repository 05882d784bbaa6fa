//! Which names may be served: those that mean the same on every system, and are meant for everybody.

use crate::encoding::Coding;

/// Which names may be served beyond those that anybody expects to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Those with a leading dot are refused, but for `/.well-known/` (RFC 8615).
    Refused,
    /// Those with a leading dot are names like others.
    Served,
}

/// The files in the root that tell the server what to do; they are no part of the site, whoever asks.
pub const RULE_FILES: [&str; 2] = ["_headers", "_redirects"];

/// Whether a decoded segment may name something that is served; `first` tells that it stands right below the root.
pub(super) fn is_served_name(segment: &str, first: bool, hidden: Hidden) -> bool {
    let refused_dot =
        segment.starts_with('.') && hidden == Hidden::Refused && !(first && segment == ".well-known");
    // NUL ends a name on some systems, and the others are separators on some.
    let separator = segment.bytes().any(|byte| matches!(byte, b'/' | b'\\' | b':' | b'\0'));
    // Windows drops these, so `secret.txt.` would open what a rule for `secret.txt` guards. `.` and `..` are among them.
    let trimmed_by_windows = segment.ends_with(['.', ' ']);
    !segment.is_empty()
        && !refused_dot
        && !separator
        && !trimmed_by_windows
        && !is_device_name(segment)
        && !is_short_name(segment)
        && !is_rule_file(segment)
}

/// Whether this is a file of rules, or a coded form of one that a careless build has left. They count in every directory,
/// for a link may make the root one below itself.
fn is_rule_file(segment: &str) -> bool {
    segment.starts_with('_') && {
        let coded = Coding::ALL.iter().find_map(|coding| segment.strip_suffix(coding.suffix()));
        let name = coded.unwrap_or(segment);
        RULE_FILES.iter().any(|rules| name.eq_ignore_ascii_case(rules))
    }
}

/// Whether Windows takes the name for a device, whatever its extension (CVE-2024-51745 is about the superscripts).
fn is_device_name(segment: &str) -> bool {
    // Few names begin like a device; the others are told without a copy.
    if !segment.starts_with(['A', 'C', 'L', 'N', 'P', 'a', 'c', 'l', 'n', 'p']) {
        return false;
    }
    let stem = segment.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        stem => ["COM", "LPT"].iter().any(|port| {
            stem.strip_prefix(port).is_some_and(|number| {
                matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
            })
        }),
    }
}

/// Whether Windows may take the name for the 8.3 alias of another, as `GIT~1` is one of `.git`.
fn is_short_name(segment: &str) -> bool {
    let (stem, extension) = segment.split_once('.').unwrap_or((segment, ""));
    stem.len() <= 8
        && extension.len() <= 3
        && stem.rsplit_once('~').is_some_and(|(name, number)| {
            !name.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}
