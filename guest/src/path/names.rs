//! Which names may be served.

use crate::encoding::Coding;
use crate::table::Table;

/// Which names are served beyond those that every system reads alike and that are meant for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePolicy {
    /// Whether hidden paths are served: those with a name with a leading dot. Without it, only `/.well-known/` is served
    /// (RFC 8615).
    pub hidden: Table<bool>,
    /// Refuse names that Windows reads as another path.
    pub portable: bool,
}

impl Default for NamePolicy {
    fn default() -> Self {
        Self { hidden: Table::uniform(false), portable: false }
    }
}

impl NamePolicy {
    /// Whether a hidden path is served, which has no leading slash here. The path of a file below a hidden directory is one too.
    pub fn serves_hidden(&self, path: &str) -> bool {
        *self.hidden.of_path(|| ["/", path].concat())
    }
}

/// The files in the root that configure the server. They are not part of the site and are never served.
pub const RULE_FILES: [&str; 2] = ["_headers", "_redirects"];

/// Whether a path may name something that is served. Its last segment begins at `start`, and what comes before that is served.
///
/// Below a hidden directory, each path is hidden: what serves the directory does not serve everything in it.
pub(super) fn is_served(path: &str, start: usize, policy: &NamePolicy) -> bool {
    let segment = &path[start..];
    match policy.hidden.same_for_all() {
        Some(_) => is_served_name(segment, start == 0, policy),
        None => is_site_name(segment, policy) && (!is_hidden(path) || policy.serves_hidden(path)),
    }
}

/// The same where hidden paths are treated alike, so that no more than the name matters; `first` tells that it is directly below the
/// root.
pub(super) fn is_served_name(segment: &str, first: bool, policy: &NamePolicy) -> bool {
    let serves_hidden = policy.hidden.same_for_all() == Some(&true);
    is_site_name(segment, policy) && (serves_hidden || !is_hidden_name(segment, first))
}

/// Whether a decoded segment may be the name of a file of a site, be it hidden.
pub fn is_site_name(segment: &str, policy: &NamePolicy) -> bool {
    !matches!(segment, "" | "." | "..") && is_possible_name(segment, policy) && !is_rule_file(segment)
}

/// Whether one of the names of a path is hidden.
fn is_hidden(path: &str) -> bool {
    path.split('/').enumerate().any(|(at, segment)| is_hidden_name(segment, at == 0))
}

/// Whether a name is hidden; `first` tells that it is directly below the root.
fn is_hidden_name(segment: &str, first: bool) -> bool {
    segment.starts_with('.') && !(first && segment == ".well-known")
}

/// Whether a name is a name and nothing else to the systems that the component may run on.
pub fn is_possible_name(segment: &str, policy: &NamePolicy) -> bool {
    // `\` is a separator on Windows, also in a path that a runtime there resolves below its preopen.
    segment.bytes().all(|byte| !matches!(byte, b'/' | b'\\' | b'\0'))
        && (!policy.portable || is_portable(segment))
}

/// Whether Windows reads the name as Linux does.
fn is_portable(segment: &str) -> bool {
    // `a.txt::$DATA` is a stream of `a.txt`. Trailing dots and spaces are dropped, so that `secret.txt.` would open
    // `secret.txt` past a rule for that name.
    !segment.contains(':')
        && !segment.ends_with(['.', ' '])
        && !is_device_name(segment)
        && !is_short_name(segment)
}

/// Whether this is a file of rules, or a precompressed variant of one. Such a name is refused in every directory, because
/// a symbolic link can lead to the root from below it.
fn is_rule_file(segment: &str) -> bool {
    segment.starts_with('_') && {
        let coded = Coding::ALL.iter().find_map(|coding| segment.strip_suffix(coding.suffix()));
        let name = coded.unwrap_or(segment);
        RULE_FILES.iter().any(|rules| name.eq_ignore_ascii_case(rules))
    }
}

/// Whether Windows takes the name for a device, whatever its extension (CVE-2024-51745 is about the superscripts).
fn is_device_name(segment: &str) -> bool {
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
