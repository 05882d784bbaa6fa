//! Which relative file path a URL names, or why none.
//!
//! A path is decoded exactly once, and the string that was checked is the string that is opened. The rules are those
//! of every operating system at once: what one of them would read as a separator, a stream or a device is refused on
//! all of them, so that a component behaves the same wherever it runs.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Why a request target names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The target is not a valid path (RFC 3986 §3.3), or holds an encoded control character: answered with 400.
    Malformed,
    /// The target is a valid path that no served file can have: answered with 404, like any missing file.
    NoSuchName,
}

/// A path below the served directory: segments that are plain file names, joined by `/`, without a leading slash.
///
/// Only [`UrlPath`] makes one, so holding it means that every rule of this module was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// The path as `wasi:filesystem` takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file called `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// The last segment; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// The path of a request target, decoded and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPath<'a> {
    relative: RelativePath,
    directory: bool,
    query: Option<&'a str>,
}

impl<'a> UrlPath<'a> {
    /// Decodes and checks a request target in origin-form (RFC 9112 §3.2.1).
    ///
    /// # Errors
    /// [`PathError`] says whether the target is malformed or only names nothing.
    pub fn parse(target: &'a str) -> Result<Self, PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = path.strip_prefix('/').ok_or(PathError::Malformed)?;

        // A malformed byte anywhere outweighs a name that cannot be: the answer must not depend on which came first.
        let mut relative = String::with_capacity(path.len());
        let mut named = true;
        let mut segments = path.split('/').peekable();
        let mut directory = false;
        let mut first = true;
        while let Some(raw) = segments.next() {
            if raw.is_empty() && segments.peek().is_none() {
                directory = true;
                break;
            }
            match decode(raw)? {
                Some(segment) if is_served_name(&segment, first) => {
                    if !first {
                        relative.push('/');
                    }
                    relative.push_str(&segment);
                }
                _ => named = false,
            }
            first = false;
        }
        if named {
            Ok(Self { relative: RelativePath(relative), directory, query })
        } else {
            Err(PathError::NoSuchName)
        }
    }

    /// The path below the served directory; empty for the root.
    pub fn relative(&self) -> &RelativePath {
        &self.relative
    }

    /// Whether the path ends in a slash, and so names a directory.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Where the directory of this name is, for a redirect: one leading slash, one trailing slash, the query kept.
    ///
    /// It is made anew from the decoded segments, none of which is empty or holds a backslash, so that it can never
    /// start with `//` or `/\` and be taken for another host (the open redirects of CVE-2021-28861 and others).
    pub fn directory_location(&self) -> String {
        let mut location = String::from("/");
        for segment in self.relative.as_str().split('/').filter(|segment| !segment.is_empty()) {
            location.extend(utf8_percent_encode(segment, SEGMENT));
            location.push('/');
        }
        if let Some(query) = self.query {
            location.push('?');
            // What is not ASCII may stand in a request as it is, but not in a field of the answer.
            location.extend(utf8_percent_encode(query, CONTROLS));
        }
        location
    }
}

/// What must be encoded in a path segment that is sent to a client: all but the unreserved characters (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Decodes one segment; `None` when it is not UTF-8, which no path of `wasi:filesystem` can be.
fn decode(raw: &str) -> Result<Option<String>, PathError> {
    let bytes = raw.as_bytes();
    let well_formed = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !well_formed {
        return Err(PathError::Malformed);
    }
    let decoded: Vec<u8> = percent_decode_str(raw).collect();
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(PathError::Malformed);
    }
    Ok(String::from_utf8(decoded).ok())
}

/// Whether a decoded segment may name something that is served; `first` tells that it stands right below the root.
fn is_served_name(segment: &str, first: bool) -> bool {
    let hidden = segment.starts_with('.') && !(first && segment == ".well-known");
    let separator = segment.contains(['/', '\\', ':']);
    // Windows drops these, so `secret.txt.` would open what a rule for `secret.txt` guards.
    let trimmed_by_windows = segment.ends_with(['.', ' ']);
    !segment.is_empty()
        && !hidden
        && !separator
        && !trimmed_by_windows
        && !is_device_name(segment)
        && !is_short_name(segment)
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

#[cfg(test)]
mod tests {
    use super::{PathError, UrlPath};
    use proptest::prelude::*;

    fn relative(target: &str) -> Result<String, PathError> {
        UrlPath::parse(target).map(|path| path.relative().as_str().to_owned())
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(relative("/a%20b/%C3%A9.txt?x=%2F"), Ok("a b/é.txt".into()));
        assert_eq!(relative("/%2541"), Ok("%41".into()));
        assert_eq!(relative("/%252e%252e/x"), Ok("%2e%2e/x".into()));
        assert_eq!(relative("/"), Ok(String::new()));
    }

    #[test]
    fn a_trailing_slash_names_a_directory() {
        assert!(UrlPath::parse("/a/").unwrap().is_directory());
        assert!(UrlPath::parse("/").unwrap().is_directory());
        assert!(!UrlPath::parse("/a").unwrap().is_directory());
    }

    #[test]
    fn malformed_targets_are_told_apart_from_names_that_cannot_be() {
        for target in
            ["", "*", "a", "/%", "/%4", "/%zz", "/a%00.html", "/a%0d%0aX:y", "/%7f", "/.git/%", "//%"]
        {
            assert_eq!(relative(target), Err(PathError::Malformed), "{target}");
        }
        for target in [
            "/../x",
            "/%2e%2e/x",
            "/.%2e/x",
            "/..%2fx",
            "/%2e%2e%2fx",
            "/a/..;/x",
            "/./a",
            "/a/.",
            "//a",
            "/a//b",
            "//",
            "/%5cevil.com",
            "/private%5cs.txt",
            "/private%2fs.txt",
            "/C:/x",
            "/a.txt::$DATA",
            "/.git/config",
            "/%2egit/config",
            "/a/.b/c",
            "/a/.well-known/x",
            "/.well-known/.x",
            "/a.txt.",
            "/a.txt%20",
            "/%ff",
            "/NUL",
            "/con.txt",
            "/a/aux",
            "/COM%C2%B9",
            "/lpt9.tar.gz",
            "/nul%20.txt",
            "/A~1.TXT",
            "/A~B~1",
            "/GIT~1/config",
        ] {
            assert_eq!(relative(target), Err(PathError::NoSuchName), "{target}");
        }
    }

    #[test]
    fn ordinary_names_are_served() {
        for name in
            ["/.well-known/security.txt", "/a..b", "/com10", "/console", "/backup~", "/~user/a", "/a~b.txt"]
        {
            assert_eq!(relative(name), Ok(name[1..].into()));
        }
    }

    #[test]
    fn a_directory_location_is_a_path_on_this_host() {
        let location = |target| UrlPath::parse(target).unwrap().directory_location();
        assert_eq!(location("/docs"), "/docs/");
        assert_eq!(location("/a%20b/c?x=1&y=%2F"), "/a%20b/c/?x=1&y=%2F");
        assert_eq!(location("/%C3%A9?"), "/%C3%A9/?");
        assert_eq!(location("/evil.com%3fx"), "/evil.com%3Fx/");
        assert_eq!(location("/a?é=%C3"), "/a/?%C3%A9=%C3");
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(target in "/?[/.%25eE0-9a-fA-F\\\\:~ cCoOnNé\u{0}-\u{20}]{0,24}") {
            if let Ok(path) = relative(&target) {
                prop_assert!(!path.starts_with('/') && !path.contains('\\') && !path.contains(':'));
                prop_assert!(!path.bytes().any(|byte| byte.is_ascii_control()));
                for segment in path.split('/').filter(|_| !path.is_empty()) {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.starts_with('.') || segment == ".well-known");
                }
            }
        }

        #[test]
        fn a_location_names_the_same_directory_again(target in "(/[a-zA-Z0-9é%?&=#;, ]{1,8}){1,4}") {
            if let Ok(path) = UrlPath::parse(&target) {
                let location = path.directory_location();
                prop_assert!(location.starts_with('/') && !location.starts_with("//"));
                prop_assert!(!location.bytes().take_while(|&byte| byte != b'?').any(|byte| byte == b'\\'));
                let again = UrlPath::parse(&location).unwrap();
                prop_assert_eq!(again.relative(), path.relative());
                prop_assert!(again.is_directory());
            }
        }
    }
}
