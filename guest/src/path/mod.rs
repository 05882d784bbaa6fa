//! Which relative file path a URL names, or why none.
//!
//! A path is decoded exactly once, and the string that was checked is the string that is opened. A URL has one spelling:
//! encoded separators, `.`, `..` and empty segments name no file.

mod names;

pub use names::{NamePolicy, RULE_FILES, is_possible_name, is_site_name};

use names::{is_served, is_served_name};
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};
use std::borrow::Cow;

/// Why a request target names no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The target is not a valid path (RFC 3986 §3.3), or has a byte that no file name has: answered with 400.
    Malformed,
    /// The target is a valid path that no served file can have: answered with 404. The path is one that is missing too, in
    /// the last directory before the refused name.
    NoSuchName(RelativePath),
}

/// Stands for a refused name in a path of which only the directory matters.
const MISSING: &str = "-";

/// A path below the served directory: segments that are plain file names, joined by `/`, without a leading slash.
///
/// Its constructors apply the rules of this module, but for [`RelativePath::join`] and [`RelativePath::join_all`], whose names come from
/// settings, from directories and from the server itself. So a value of this type is safe to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelativePath(String);

impl RelativePath {
    /// The path as `wasi:filesystem` takes it; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file called `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut path = String::with_capacity(self.0.len() + 1 + name.len());
        if !self.0.is_empty() {
            path.push_str(&self.0);
            path.push('/');
        }
        path.push_str(name);
        Self(path)
    }

    /// The file that these names lead to from this directory.
    #[must_use]
    pub fn join_all<'n>(&self, names: impl Iterator<Item = &'n str>) -> Self {
        let mut path = self.0.clone();
        for name in names {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
        }
        Self(path)
    }

    /// The last segment; empty for the root.
    pub fn file_name(&self) -> &str {
        &self.0[name_start(&self.0)..]
    }

    /// The path with its leading slash, as patterns are compared with it.
    pub fn decoded(&self) -> String {
        let mut decoded = String::with_capacity(self.0.len() + 2);
        decoded.push('/');
        decoded.push_str(&self.0);
        decoded
    }

    /// The root itself.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// A path in a setting: without percent-encoding, with or without a slash at its start and end. `None` when it cannot
    /// be served.
    pub fn from_setting(text: &str, policy: &NamePolicy) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut start = 0;
        let mut served = text.split('/').map(|segment| {
            let end = start + segment.len();
            let is_served = is_served(&text[..end], start, policy);
            start = end + 1;
            is_served
        });
        (text.is_empty() || served.all(|is_served| is_served)).then(|| Self(text.to_owned()))
    }

    /// Whether a request for the file of this name in the directory could be answered.
    pub fn serves_child(&self, name: &str, policy: &NamePolicy) -> bool {
        if policy.hidden.same_for_all().is_some() {
            return is_served_name(name, self.0.is_empty(), policy);
        }
        let child = self.join(name);
        is_served(&child.0, child.0.len() - name.len(), policy)
    }

    /// The file of this name in the directory, if its path is served. The name itself is one of a file of a site, as those of settings
    /// are.
    pub fn child(&self, name: &str, policy: &NamePolicy) -> Option<Self> {
        // Where all hidden paths are treated alike, settings refuse the names that are not served.
        let is_served = policy.hidden.same_for_all().is_some() || self.serves_child(name, policy);
        is_served.then(|| self.join(name))
    }

    /// The same file with something appended to its name; `None` when the result is not served.
    pub fn with_suffix(&self, suffix: &str, policy: &NamePolicy) -> Option<Self> {
        let mut whole = String::with_capacity(self.0.len() + suffix.len());
        whole.push_str(&self.0);
        whole.push_str(suffix);
        let start = name_start(&self.0);
        // A suffix of ours changes what a name is only if that begins with a dot: `.well-known` is served, and nothing else that
        // begins so.
        let is_plain = !whole[start..].starts_with('.') && policy.hidden.same_for_all().is_some();
        let is_served_now = is_plain || is_served(&whole, start, policy);
        debug_assert_eq!(is_served_now, is_served(&whole, start, policy), "{whole}");
        is_served_now.then_some(Self(whole))
    }

    /// The same file with `suffix` taken from its name; `None` when it does not end so, or when the rest is not served.
    pub fn without_suffix(&self, suffix: &str, policy: &NamePolicy) -> Option<Self> {
        let rest = self.0.strip_suffix(suffix)?;
        is_served(rest, name_start(rest), policy).then(|| Self(rest.to_owned()))
    }

    /// The directory that this is in; `None` for the root.
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
}

/// Encodes a name as a segment of a URL. The result is safe in a double-quoted attribute of HTML too.
pub fn encode_segment(segment: &str) -> PercentEncode<'_> {
    utf8_percent_encode(segment, SEGMENT)
}

/// Encodes the query of a request for an answer: a request may carry bytes outside ASCII, a header field should not.
pub fn encode_query(query: &str) -> PercentEncode<'_> {
    utf8_percent_encode(query, CONTROLS)
}

/// A relative reference (RFC 3986 §4.2) to a name beside the requested one, or to the requested directory itself when
/// `name` is empty.
///
/// It begins with `./`, so that no name can be taken for a scheme or another host (the open redirects of CVE-2021-28861
/// and others), and it stays valid behind a proxy that strips a prefix of the path.
pub fn sibling_reference(name: &str, is_directory: bool) -> String {
    let mut reference = String::from("./");
    reference.extend(encode_segment(name));
    if is_directory && !name.is_empty() {
        reference.push('/');
    }
    reference
}

/// Adds the query of a request to a reference.
pub fn with_query(mut reference: String, query: Option<&str>) -> String {
    if let Some(query) = query {
        reference.push('?');
        reference.extend(encode_query(query));
    }
    reference
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
    /// [`PathError`] tells whether the target is malformed or names no file.
    pub fn parse(target: &'a str, policy: &NamePolicy) -> Result<Self, PathError> {
        let (path, query) = match target.bytes().position(|byte| byte == b'?') {
            Some(end) => (&target[..end], Some(&target[end + 1..])),
            None => (target, None),
        };
        let path = path.strip_prefix('/').ok_or(PathError::Malformed)?;
        if !policy.portable && is_plain(path) {
            let (path, directory) = match path.strip_suffix('/') {
                Some(path) => (path, true),
                None => (path, path.is_empty()),
            };
            let relative = RelativePath(path.to_owned());
            return Ok(Self { relative, directory, has_controls: false, query });
        }

        // A malformed byte anywhere outweighs a refused name, whichever comes first.
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
                Ok(segment) if refused.is_none() => {
                    let directory_end = relative.len();
                    if !first {
                        relative.push('/');
                    }
                    let start = relative.len();
                    relative.push_str(segment);
                    if !is_served(&relative, start, policy) {
                        relative.truncate(directory_end);
                        refused = Some(RelativePath(relative.clone()).join(MISSING));
                    }
                }
                Ok(_) => {}
                // Paths of `wasi:filesystem` are UTF-8.
                Err(_) => {
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

    /// Whether the path has a control character. A file may have such a name; if there is none, the request is more likely
    /// an attack than a mistake, and is answered as malformed.
    pub fn has_controls(&self) -> bool {
        self.has_controls
    }

    /// What follows the first question mark, still encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The decoded path with its leading slash, and a trailing one for a directory: what patterns are compared with.
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

    /// The reference from this path to a target on this server that begins with one slash (RFC 3986 §4.2). It stays valid
    /// behind a proxy that strips a prefix of the path.
    pub fn relative_reference(&self, target: &str) -> String {
        let slashes = self.relative.0.matches('/').count();
        let ups = slashes + usize::from(self.directory && !self.relative.0.is_empty());
        let start = if ups == 0 { "./".to_owned() } else { "../".repeat(ups) };
        start + target.trim_start_matches('/')
    }
}

/// Where the last segment of a path begins. Searching a short text byte by byte takes fewer steps than preparing a faster search.
fn name_start(path: &str) -> usize {
    path.bytes().rposition(|byte| byte == b'/').map_or(0, |slash| slash + 1)
}

/// Whether a path without its first slash is decoded as it stands, and consists of names that are served. Most are, and this
/// tells them with one look at each byte.
fn is_plain(path: &str) -> bool {
    let mut is_start = true;
    path.bytes().all(|byte| {
        let is_plain = match byte {
            b'/' | b'.' | b'_' => !is_start,
            b'%' | b'\\' => false,
            byte => !byte.is_ascii_control(),
        };
        is_start = byte == b'/';
        is_plain
    })
}

/// What is encoded in a path segment: all but the characters that RFC 3986 §3.3 allows there, and `&` and `'`, which HTML
/// would need escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

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
    use super::{NamePolicy, PathError, RelativePath, UrlPath, sibling_reference, with_query};
    use crate::pattern::Pattern;
    use crate::table::Table;
    use proptest::prelude::*;

    fn parse(target: &str) -> Result<UrlPath<'_>, PathError> {
        UrlPath::parse(target, &NamePolicy::default())
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
            ["", "*", "a", "/%", "/%4", "/%zz", "/a%00.html", "/a%0d%0a%5cX", "/.x%7f", "/.git/%", "//%"]
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
            "/.git/config",
            "/%2egit/config",
            "/a/.b/c",
            "/a/.well-known/x",
            "/.well-known/.x",
            "/%ff",
            "/_headers",
            "/_Redirects",
            "/_headers.gz",
            "/a/_redirects",
        ] {
            assert!(matches!(relative(target), Err(PathError::NoSuchName(_))), "{target}");
        }
    }

    #[test]
    fn what_windows_reads_as_another_path_is_refused_on_request() {
        let portable = NamePolicy { portable: true, ..NamePolicy::default() };
        for target in [
            "/C:/x",
            "/a.txt::$DATA",
            "/a.txt.",
            "/a.txt%20",
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
            let refused = UrlPath::parse(target, &portable);
            assert!(matches!(refused, Err(PathError::NoSuchName(_))), "{target}");
            assert!(parse(target).is_ok(), "{target}");
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
            ["/.well-known/security.txt", "/a..b", "/12:30.log", "/aux.c", "/log~1.txt", "/a.", "/~user/a"]
        {
            assert_eq!(relative(name), Ok(name[1..].into()));
        }
    }

    #[test]
    fn a_sibling_reference_stays_on_this_host() {
        for (name, is_directory, query, expected) in [
            ("docs", true, None, "./docs/"),
            ("about", false, Some("x=1&y=%2F"), "./about?x=1&y=%2F"),
            ("", true, Some(""), "./?"),
            ("evil.com?x", true, None, "./evil.com%3Fx/"),
            ("@scope+x", false, None, "./@scope+x"),
            ("http:", false, None, "./http:"),
            ("a&'b", false, Some("é=%C3"), "./a%26%27b?%C3%A9=%C3"),
        ] {
            assert_eq!(with_query(sibling_reference(name, is_directory), query), expected);
        }
    }

    #[test]
    fn a_reference_leads_from_the_requested_path_to_the_target() {
        for (target, to, expected) in [
            ("/", "/new", "./new"),
            ("/old", "/new?x", "./new?x"),
            ("/a/b", "/new/", "../new/"),
            ("/a/b/", "/", "../../"),
            ("/a", "//evil.com", "./evil.com"),
        ] {
            assert_eq!(parse(target).unwrap().relative_reference(to), expected, "{target}");
        }
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
        let relative = |target| {
            UrlPath::parse(target, &NamePolicy { hidden: Table::uniform(true), ..NamePolicy::default() })
                .map(|path| path.decoded())
        };
        assert_eq!(relative("/.git/config"), Ok("/.git/config".into()));
        for target in ["/../x", "/.", "/a/..", "/%2e%2e"] {
            assert!(matches!(relative(target), Err(PathError::NoSuchName(_))), "{target}");
        }
    }

    #[test]
    fn each_path_below_a_hidden_directory_has_to_be_open() {
        let lines =
            [("/.a/secret/*", false), ("/.a/*", true), (".env", true), ("/.b", true), ("/.b/x", true)];
        let lines = lines.map(|(pattern, value)| (Pattern::new(pattern), value));
        let policy = NamePolicy { hidden: Table::new(lines.into(), false), ..NamePolicy::default() };
        for (target, is_served) in [
            ("/.a", true),
            ("/.a/", true),
            ("/.a/x/.y", true),
            ("/%2ea/x", true),
            ("/.a/secret", false),
            ("/.a/secret/", false),
            ("/.a/secret/x", false),
            ("/.a/%73ecret/x", false),
            ("/.b/", true),
            ("/.b/x", true),
            ("/.b/x.gz", false),
            ("/.b/y", false),
            ("/x/.env", true),
            ("/.git/.env", false),
            ("/.env/x", false),
            ("/.well-known/x", true),
            ("/.well-known/.x", false),
            ("/.a/../x", false),
            ("/.a/_headers", false),
            ("/x/.a/x", false),
        ] {
            let path = UrlPath::parse(target, &policy);
            assert_eq!(path.is_ok(), is_served, "{target}");
            let setting = percent_encoding::percent_decode_str(target).decode_utf8().unwrap();
            let setting = RelativePath::from_setting(&setting, &policy);
            assert_eq!(setting.is_some(), is_served, "{target}");
            if let Ok(path) = path
                && let Some(parent) = path.relative().parent()
            {
                assert!(parent.serves_child(path.relative().file_name(), &policy), "{target}");
            }
        }
        let path = |text: &str| RelativePath(text.to_owned());
        assert_eq!(path(".b").child("x", &policy), Some(path(".b/x")));
        assert_eq!(path(".b").child("index.html", &policy), None);
        assert_eq!(path(".b/x").with_suffix(".gz", &policy), None);
        assert_eq!(path(".a/x").with_suffix(".gz", &policy), Some(path(".a/x.gz")));
        assert_eq!(path(".b/y.html").without_suffix(".html", &policy), None);
        assert_eq!(path("b/y").with_suffix(".gz", &policy), Some(path("b/y.gz")));
    }

    #[test]
    fn a_setting_is_a_path_as_it_is() {
        let path = |text| RelativePath::from_setting(text, &NamePolicy::default()).map(|path| path.0);
        assert_eq!(path("a%20b/c.html"), Some("a%20b/c.html".into()));
        assert_eq!(path("/errors/"), Some("errors".into()));
        assert_eq!(path("/"), Some(String::new()));
        for text in ["../x", "//x", "a//b", "a\\b", ".x", "_headers", "a\0"] {
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
        let without = |text: &str| RelativePath(text.into()).without_suffix(".html", &NamePolicy::default());
        assert_eq!(without("a/b.html"), Some(RelativePath("a/b".into())));
        for text in ["a/b.htm", ".html", "a/.html", "_headers.html", "..html"] {
            assert_eq!(without(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(target in "/?[/.%25eE0-9a-fA-F\\\\:~ cCoOnNé\u{0}-\u{20}]{0,24}") {
            if let Ok(path) = relative(&target) {
                prop_assert!(!path.starts_with('/') && !path.contains('\\'));
                prop_assert!(!path.contains('\0'));
                for segment in path.split('/').filter(|_| !path.is_empty()) {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.starts_with('.') || segment == ".well-known");
                }
            }
        }

        #[test]
        fn a_redirect_to_the_directory_leads_to_the_same_directory(
            target in "(/[a-zA-Z0-9é%?&=#;, ]{1,8}){1,4}",
        ) {
            if let Ok(path) = parse(&target)
                && !path.is_directory()
            {
                let name = path.relative().file_name();
                let location = with_query(sibling_reference(name, true), path.query());
                let path_part = target.split('?').next().unwrap();
                let base = &path_part[..path_part.rfind('/').unwrap()];
                let absolute = format!("{base}{}", &location[1..]);
                let again = parse(&absolute).unwrap();
                prop_assert_eq!(again.relative(), path.relative());
                prop_assert!(again.is_directory());
            }
        }
    }
}
