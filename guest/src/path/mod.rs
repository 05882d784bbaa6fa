//! Which relative file path a URL names, or why none.
//!
//! A path is decoded exactly once, and the string that was checked is the string that is opened. The rules are those
//! of every operating system at once: what one of them would read as a separator, a stream or a device is refused on
//! all of them, so that a component behaves the same wherever it runs.

mod names;

pub use names::{Hidden, RULE_FILES};

use names::is_served_name;
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};
use std::borrow::Cow;

/// Why a request target names no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The target is not a valid path (RFC 3986 §3.3), or holds a byte that no name has on any system: answered with 400.
    Malformed,
    /// The target is a valid path that no served file can have: answered with 404, like any missing file. With it comes
    /// a path that is just as missing, in the directory that the request came to before the name that cannot be.
    NoSuchName(RelativePath),
}

/// Stands for a name that cannot be, where a path is needed of which only the directory matters.
const MISSING: &str = "-";

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

    /// The path from its leading slash on, as patterns of paths are compared with it.
    pub fn decoded(&self) -> String {
        ["/", self.0.as_str()].concat()
    }

    /// The root itself.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// A path that an operator wrote: as it is, without percent-encoding; a slash at its start or end says nothing.
    /// `None` when it cannot be served.
    pub fn from_setting(text: &str, hidden: Hidden) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut segments = text.split('/').enumerate();
        let served = segments.all(|(at, segment)| is_served_name(segment, at == 0, hidden));
        (served || text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The file of this name in the directory, if a request for it could be answered.
    pub fn served_child(&self, name: &str, hidden: Hidden) -> Option<Self> {
        is_served_name(name, self.0.is_empty(), hidden).then(|| self.join(name))
    }

    /// The same file with something appended to its name.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// The same file with `suffix` taken from its name; `None` when it does not end so, or when nothing that is served
    /// would be left.
    pub fn without_suffix(&self, suffix: &str, hidden: Hidden) -> Option<Self> {
        let rest = self.0.strip_suffix(suffix)?;
        let (parent, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        is_served_name(name, parent.is_empty(), hidden).then(|| Self(rest.to_owned()))
    }

    /// The directory that this is in; the root is in none.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None if self.0.is_empty() => None,
            None => Some(Self::root()),
        }
    }

    /// The directories from the root down to this path's own, which is the last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        let slashes = self.0.match_indices('/').map(|(at, _)| Self(self.0[..at].to_owned()));
        let inner = (!self.0.is_empty()).then(Self::root);
        inner.into_iter().chain(slashes)
    }

    /// Where this is on the server, percent-encoded: one leading slash, and a trailing one where asked for.
    ///
    /// It is made anew from decoded segments, none of which is empty or holds a backslash, so that it can never start
    /// with `//` or `/\` and be taken for another host (the open redirects of CVE-2021-28861 and others).
    pub fn location(&self, directory: bool, query: Option<&str>) -> String {
        let mut location = String::with_capacity(self.0.len() + 2);
        for segment in self.0.split('/').filter(|segment| !segment.is_empty()) {
            location.push('/');
            location.extend(encode_segment(segment));
        }
        if directory || location.is_empty() {
            location.push('/');
        }
        if let Some(query) = query {
            location.push('?');
            location.extend(encode_query(query));
        }
        location
    }
}

/// Encodes a name as a path segment: all but the unreserved characters of RFC 3986 §2.3.
pub fn encode_segment(segment: &str) -> PercentEncode<'_> {
    utf8_percent_encode(segment, SEGMENT)
}

/// Encodes a query that came with a request. What is not ASCII may stand in a request as it is, but not in an answer.
pub fn encode_query(query: &str) -> PercentEncode<'_> {
    utf8_percent_encode(query, CONTROLS)
}

/// The path of a request target, decoded and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPath<'a> {
    relative: RelativePath,
    directory: bool,
    has_controls: bool,
    query: Option<&'a str>,
}

impl<'a> UrlPath<'a> {
    /// Decodes and checks a request target in origin-form (RFC 9112 §3.2.1).
    ///
    /// # Errors
    /// [`PathError`] says whether the target is malformed or only names nothing.
    pub fn parse(target: &'a str, hidden: Hidden) -> Result<Self, PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let path = path.strip_prefix('/').ok_or(PathError::Malformed)?;

        // A malformed byte anywhere outweighs a name that cannot be: the answer must not depend on which came first.
        let mut relative = String::with_capacity(path.len());
        let mut refused = None;
        let mut segments = path.split('/').peekable();
        let mut directory = false;
        let mut has_controls = false;
        let mut first = true;
        while let Some(raw) = segments.next() {
            if raw.is_empty() && segments.peek().is_none() {
                directory = true;
                break;
            }
            let decoded = decode(raw)?;
            has_controls |= decoded.iter().any(u8::is_ascii_control);
            match str::from_utf8(&decoded) {
                Ok(segment) if is_served_name(segment, first, hidden) => {
                    if !first {
                        relative.push('/');
                    }
                    relative.push_str(segment);
                }
                // No path of `wasi:filesystem` can be anything but UTF-8.
                _ => {
                    refused.get_or_insert_with(|| RelativePath(relative.clone()).join(MISSING));
                }
            }
            first = false;
        }
        match refused {
            None => Ok(Self { relative: RelativePath(relative), directory, has_controls, query }),
            Some(_) if has_controls => Err(PathError::Malformed),
            Some(missing) => Err(PathError::NoSuchName(missing)),
        }
    }

    /// Whether there is a control character in the path. A file may have such a name; where there is none, the request
    /// is more likely an attack than a mistake, and answered as malformed.
    pub fn has_controls(&self) -> bool {
        self.has_controls
    }

    /// What follows the first question mark, as it came.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The decoded path, from its leading slash on: what patterns of paths are compared with.
    pub fn decoded(&self) -> String {
        let mut decoded = self.relative.decoded();
        if self.directory && !self.relative.0.is_empty() {
            decoded.push('/');
        }
        decoded
    }

    /// The path below the served directory; empty for the root.
    pub fn relative(&self) -> &RelativePath {
        &self.relative
    }

    /// Whether the path ends in a slash, and so names a directory.
    pub fn is_directory(&self) -> bool {
        self.directory
    }
}

/// What must be encoded in a path segment that is sent to a client: all but the unreserved characters (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether every `%` is followed by two hexadecimal digits (RFC 3986 §2.1).
pub fn is_well_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Decodes one segment.
fn decode(raw: &str) -> Result<Cow<'_, [u8]>, PathError> {
    let decoded = Cow::from(percent_decode_str(raw));
    if is_well_escaped(raw) && !decoded.contains(&0) { Ok(decoded) } else { Err(PathError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::{Hidden, PathError, RelativePath, UrlPath};
    use proptest::prelude::*;

    fn parse(target: &str) -> Result<UrlPath<'_>, PathError> {
        UrlPath::parse(target, Hidden::Refused)
    }

    fn relative(target: &str) -> Result<String, PathError> {
        parse(target).map(|path| path.relative().as_str().to_owned())
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
        assert!(parse("/a/").unwrap().is_directory());
        assert!(parse("/").unwrap().is_directory());
        assert!(!parse("/a").unwrap().is_directory());
    }

    #[test]
    fn malformed_targets_are_told_apart_from_names_that_cannot_be() {
        for target in
            ["", "*", "a", "/%", "/%4", "/%zz", "/a%00.html", "/a%0d%0aX:y", "/.x%7f", "/.git/%", "//%"]
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
            "/_headers",
            "/_Redirects",
            "/_headers.gz",
            "/a/_redirects",
        ] {
            assert!(matches!(relative(target), Err(PathError::NoSuchName(_))), "{target}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_missing_where_it_stands() {
        for (target, missing) in [("/.git/config", "-"), ("/a/.git/config", "a/-"), ("/a/b%2fc/.d", "a/-")] {
            assert_eq!(
                relative(target),
                Err(PathError::NoSuchName(RelativePath(missing.into()))),
                "{target}"
            );
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
    fn a_location_is_a_path_on_this_host() {
        let location = |target| {
            let path = parse(target).unwrap();
            path.relative().location(true, path.query())
        };
        assert_eq!(location("/"), "/");
        assert_eq!(location("/docs"), "/docs/");
        assert_eq!(location("/a%20b/c?x=1&y=%2F"), "/a%20b/c/?x=1&y=%2F");
        assert_eq!(location("/%C3%A9?"), "/%C3%A9/?");
        assert_eq!(location("/evil.com%3fx"), "/evil.com%3Fx/");
        assert_eq!(location("/a?é=%C3"), "/a/?%C3%A9=%C3");
    }

    #[test]
    fn control_characters_are_told_of_and_nul_is_in_no_name() {
        let path = parse("/a%0ab").unwrap();
        assert_eq!((path.relative().as_str(), path.has_controls()), ("a\nb", true));
        assert!(!parse("/a").unwrap().has_controls());
        assert_eq!(relative("/a%00"), Err(PathError::Malformed));
    }

    #[test]
    fn hidden_names_are_served_where_that_is_wanted() {
        let relative = |target| UrlPath::parse(target, Hidden::Served).map(|path| path.decoded());
        assert_eq!(relative("/.git/config"), Ok("/.git/config".into()));
        for target in ["/../x", "/.", "/a/..", "/...", "/.a."] {
            assert!(matches!(relative(target), Err(PathError::NoSuchName(_))), "{target}");
        }
    }

    #[test]
    fn a_setting_is_a_path_as_it_is() {
        let path = |text| RelativePath::from_setting(text, Hidden::Refused).map(|path| path.0);
        assert_eq!(path("a%20b/c.html"), Some("a%20b/c.html".into()));
        assert_eq!(path("/errors/"), Some("errors".into()));
        assert_eq!(path("/"), Some(String::new()));
        for text in ["../x", "//x", "a//b", "a:b", ".x", "_headers", "a\0"] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_knows_where_it_is() {
        let path = RelativePath("a/b/c.html".into());
        let names = |paths: Vec<RelativePath>| paths.into_iter().map(|path| path.0).collect::<Vec<_>>();
        assert_eq!(names(path.ancestors().collect()), ["", "a", "a/b"]);
        assert_eq!(names(RelativePath("a".into()).ancestors().collect()), [""]);
        assert_eq!(RelativePath::root().ancestors().count(), 0);
        assert_eq!(path.parent(), Some(RelativePath("a/b".into())));
        assert_eq!(RelativePath("a".into()).parent(), Some(RelativePath::root()));
        assert_eq!(RelativePath::root().parent(), None);
        let without = |text: &str| RelativePath(text.into()).without_suffix(".html", Hidden::Refused);
        assert_eq!(without("a/b.html"), Some(RelativePath("a/b".into())));
        for text in ["a/b.htm", ".html", "a/.html", "nul.html", "a..html", "_headers.html"] {
            assert_eq!(without(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(target in "/?[/.%25eE0-9a-fA-F\\\\:~ cCoOnNé\u{0}-\u{20}]{0,24}") {
            if let Ok(path) = relative(&target) {
                prop_assert!(!path.starts_with('/') && !path.contains('\\') && !path.contains(':'));
                prop_assert!(!path.contains('\0'));
                for segment in path.split('/').filter(|_| !path.is_empty()) {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.starts_with('.') || segment == ".well-known");
                }
            }
        }

        #[test]
        fn a_location_names_the_same_directory_again(target in "(/[a-zA-Z0-9é%?&=#;, ]{1,8}){1,4}") {
            if let Ok(path) = parse(&target) {
                let location = path.relative().location(true, path.query());
                prop_assert!(location.starts_with('/') && !location.starts_with("//"));
                prop_assert!(!location.bytes().take_while(|&byte| byte != b'?').any(|byte| byte == b'\\'));
                let again = parse(&location).unwrap();
                prop_assert_eq!(again.relative(), path.relative());
                prop_assert!(again.is_directory());
            }
        }
    }
}
