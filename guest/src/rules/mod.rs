//! The operator's rules about paths: `_headers` and `_redirects` of the site, and header fields from the settings.
//!
//! A rule is about a request when its pattern matches one of these [`Paths`]: the requested one, that of the file that
//! answers, or the clean URL of that file. A slash at the end of the rule or of the path makes no difference. What guards
//! `secret.html` guards its precompressed variants too when they are requested by their own names.
//!
//! The files are read for every request, unless the host gives their contents
//! ([`RULE_TEXTS`](crate::config::RULE_TEXTS)). Lines are compared for every request, so lines about other paths are passed over after a few bytes. Lines about the
//! request are parsed, and an error in them fails the request: a line that is left out may be the one that guards the
//! site. [`check`] parses every line, which hosts do at the start.
//!
//! [`Guard`]s are about more than that: about each name that the requested file has, whether or not it is there.

mod headers;
mod index;
mod redirects;
mod target;

pub use headers::{Changes, check_setting, setting_pattern};
pub use index::Index;
pub use redirects::{Redirect, Target};

use crate::config::{CleanUrls, Settings};
use crate::digest;
use crate::encoding::Coding;
use crate::guard::{self, Access, Client, Guard};
use crate::path::{NamePolicy, RelativePath, UrlPath, is_well_escaped};
use crate::pattern::{Captures, Pattern};
use crate::resolve::{PAGE, clean_urls};
use index::Place;
use memchr::memchr;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

/// The most bytes of a file of rules: it is read for every request.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// The most rules in one file. Each is compared with the path of every request.
pub const MAX_RULES: usize = 1000;

/// The most bytes of a line: the pattern and the target of a rule are matched and copied for each request about it.
const MAX_LINE_BYTES: usize = 2048;

/// The most wildcards of a pattern: the time to match a path grows with them.
const MAX_WILDCARDS: usize = 16;

/// Why a file of rules cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    file: &'static str,
    line: usize,
    message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        write!(f, "{file}, line {line}: {message}")
    }
}

impl std::error::Error for RuleError {}

impl RuleError {
    /// The file exists and cannot be read.
    pub fn unreadable(file: &'static str) -> Self {
        let message = "the file cannot be read; make it a regular file that every user may read".to_owned();
        Self { file, line: 1, message }
    }

    fn too_long(file: &'static str, line: usize) -> Self {
        let message =
            format!("the file is too long; it may have {MAX_RULES} rules and {MAX_FILE_BYTES} bytes");
        Self { file, line, message }
    }
}

/// Parses every line of `_headers` and `_redirects`, and returns what is wrong with them.
pub fn check(headers: &[u8], redirects: &[u8], policy: &NamePolicy) -> Vec<RuleError> {
    let mut errors = headers::check(headers);
    errors.extend(redirects::check(redirects, policy));
    errors
}

/// The indexes of the contents of `_headers` and `_redirects`; `None` for one that is not there, or has an error that is not that of a
/// line.
pub fn indexes([headers, redirects]: [Option<&[u8]>; 2]) -> [Option<Index>; 2] {
    [headers.and_then(headers::index), redirects.and_then(redirects::index)]
}

/// The guards in the content of `_headers`.
pub fn guards(headers: &[u8]) -> Result<Vec<Guard>, RuleError> {
    headers::guards(headers)
}

/// The rules that hold for one request.
pub struct Rules<'a> {
    settings: &'a Settings,
    /// Those in `_headers`.
    guards: Cow<'a, [Guard]>,
    /// The content of `_headers`.
    headers: Cow<'a, [u8]>,
    /// The content of `_redirects`.
    redirects: Cow<'a, [u8]>,
    paths: Paths,
    changes: OnceCell<Result<Changes, RuleError>>,
}

/// The paths that rules are compared with.
#[derive(Debug, Default)]
struct Paths {
    /// The path of the request, decoded.
    requested: String,
    /// The path of the file that answers, and its clean URL.
    answering: Vec<String>,
    /// Whether that is another file than the requested one: the target of a rule, or the page of an application.
    is_substitute: bool,
    /// The same of the file that the answering one is a precompressed variant of.
    original: Vec<String>,
    /// The names of files that were requested and, where they were not found, of those that would have answered in their place.
    possible: Vec<String>,
}

impl Paths {
    fn all(&self) -> impl Iterator<Item = &str> {
        let others = self.answering.iter().chain(&self.original);
        std::iter::once(self.requested.as_str()).chain(others.map(String::as_str))
    }
}

impl<'a> Rules<'a> {
    /// The rules of the settings, for a request for this decoded path.
    pub fn new(settings: &'a Settings, requested: String) -> Self {
        Self {
            settings,
            guards: Cow::Borrowed(&[]),
            headers: Cow::Borrowed(&[]),
            redirects: Cow::Borrowed(&[]),
            paths: Paths { requested, ..Paths::default() },
            changes: OnceCell::new(),
        }
    }

    /// The rules of a request where there are none.
    pub fn none(settings: &'a Settings) -> Self {
        Self::new(settings, String::new())
    }

    /// Adds the rules of the site: the contents of `_headers` and `_redirects`.
    pub fn add_site(&mut self, headers: Cow<'a, [u8]>, redirects: Cow<'a, [u8]>) {
        (self.headers, self.redirects) = (headers, redirects);
    }

    /// Adds the guards of the site.
    pub fn add_guards(&mut self, guards: Cow<'a, [Guard]>) {
        self.guards = guards;
    }

    /// Removes the rules of the site, which cannot be obeyed. Guards stay.
    pub fn remove_site(&mut self) {
        self.add_site(Cow::Borrowed(&[]), Cow::Borrowed(&[]));
        self.changes.take();
    }

    /// Says which file answers in the place of the requested one.
    pub fn answers_with_substitute(&mut self, file: &RelativePath) {
        self.answers_with(file);
        self.paths.is_substitute = true;
    }

    /// Says which file answers.
    pub fn answers_with(&mut self, file: &RelativePath) {
        let has_rules =
            !self.headers.is_empty() || !self.redirects.is_empty() || !self.settings.headers.is_empty();
        if !has_rules && !self.has_guards() {
            return;
        }
        self.answers_with_none();
        self.paths.answering = self.names_of(file);
        self.paths.original = self.names_of_originals(file);
    }

    /// Says that no file answers.
    pub fn answers_with_none(&mut self) {
        self.paths.answering.clear();
        self.paths.original.clear();
        self.paths.is_substitute = false;
        self.changes.take();
    }

    /// Says which file was requested by its name, by the client or by a rule for it, whether or not it is there.
    pub fn requests(&mut self, file: &RelativePath) {
        if self.has_guards() {
            let names = self.all_names_of(file);
            self.paths.possible.extend(names);
        }
    }

    /// Says that there is no such file. Then guards are also about the page or the index that could have been there instead, so
    /// that a guarded file that is missing is not told from one that is there.
    pub fn finds_none(&mut self, path: &UrlPath<'_>) {
        if !self.has_guards() {
            return;
        }
        let (requested, settings) = (path.relative(), self.settings);
        let page = if path.is_directory() { None } else { requested.with_suffix(PAGE, &settings.names) };
        let page = page.filter(|page| clean_urls(page, settings) != CleanUrls::Off);
        let indexes = settings.index.iter().map(|index| requested.join(index));
        let others: Vec<_> =
            page.into_iter().chain(indexes).flat_map(|file| self.all_names_of(&file)).collect();
        self.paths.possible.extend(others);
    }

    /// Whether there are guards, of whatever paths.
    pub fn has_guards(&self) -> bool {
        !self.settings.guards.is_empty() || !self.guards.is_empty()
    }

    /// What guards allow a client with the request.
    pub fn access(&self, client: &Client<'_>) -> Access {
        let possible = self.paths.possible.iter().map(String::as_str);
        guard::access(self.all_guards(), self.paths.all().chain(possible), client)
    }

    /// What guards allow a client with another file or directory of the site.
    pub fn access_to(&self, path: &RelativePath, client: &Client<'_>) -> Access {
        if !self.has_guards() {
            return Access::Open;
        }
        let names = self.all_names_of(path);
        guard::access(self.all_guards(), names.iter().map(String::as_str), client)
    }

    fn all_guards(&self) -> impl Iterator<Item = &Guard> {
        self.settings.guards.iter().chain(&*self.guards)
    }

    /// The names of a file, and of those that it is a precompressed variant or the digest of.
    fn all_names_of(&self, file: &RelativePath) -> Vec<String> {
        // The digest of a file tells what is in it.
        let represented = file.without_suffix(digest::SUFFIX, &self.settings.names);
        let mut names = Vec::new();
        for file in [Some(file), represented.as_ref()].into_iter().flatten() {
            names.extend(self.names_of(file));
            names.extend(self.names_of_originals(file));
        }
        names
    }

    /// The names of those that a file is a precompressed variant of.
    fn names_of_originals(&self, file: &RelativePath) -> Vec<String> {
        let mut names = Vec::new();
        // Scripts that compress a site leave `a.html.gz.br` when they run twice.
        let mut variant = Cow::Borrowed(file);
        while let Some(original) = self.original_of(&variant) {
            names.extend(self.names_of(&original));
            variant = Cow::Owned(original);
        }
        names
    }

    /// The file that another one is named as a precompressed variant of.
    fn original_of(&self, file: &RelativePath) -> Option<RelativePath> {
        Coding::ALL.iter().find_map(|coding| file.without_suffix(coding.suffix(), &self.settings.names))
    }

    /// The path of a file and, if it has one, its clean URL.
    fn names_of(&self, file: &RelativePath) -> Vec<String> {
        let mut names = vec![file.decoded()];
        if self.settings.index.iter().any(|index| index == file.file_name()) {
            names.extend(file.parent().map(|directory| directory.decoded()));
        } else if clean_urls(file, self.settings) != CleanUrls::Off {
            names.extend(file.without_suffix(PAGE, &self.settings.names).map(|page| page.decoded()));
        }
        names
    }

    /// What the rules change in the header of the answer.
    pub fn changes(&self) -> Result<&Changes, RuleError> {
        static NONE: Changes = Changes { set: Vec::new(), unset: Vec::new() };
        if self.headers.is_empty() && self.settings.headers.is_empty() {
            return Ok(&NONE);
        }
        let changes = self.changes.get_or_init(|| {
            let [index, _] = self.indexes();
            headers::changes(&self.settings.headers, &self.headers, index, &self.paths)
        });
        changes.as_ref().map_err(Clone::clone)
    }

    /// The first redirect about the request that holds.
    pub fn redirect(&self, which: Which, query: Option<&str>) -> Result<Option<Redirect>, RuleError> {
        let [_, index] = self.indexes();
        redirects::first(&self.redirects, index, &self.paths, (which, query), self.settings)
    }

    /// The indexes of the rules, where they are those that the host gave and were not removed.
    fn indexes(&self) -> [Option<&Index>; 2] {
        let [headers, redirects] = &self.settings.rule_indexes;
        [
            headers.as_ref().filter(|_| !self.headers.is_empty()),
            redirects.as_ref().filter(|_| !self.redirects.is_empty()),
        ]
    }

    /// The same rules for another path of the site.
    #[must_use]
    pub fn about(&self, path: String) -> Rules<'_> {
        let headers = Cow::Borrowed(&*self.headers);
        let redirects = Cow::Borrowed(&*self.redirects);
        let guards = Cow::Borrowed(&*self.guards);
        Rules { guards, headers, redirects, ..Rules::new(self.settings, path) }
    }
}

/// Which redirects are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    Any,
    /// Those that hold even where there is a file.
    Forced,
    /// The same but for that of this line.
    ForcedBut(usize),
}

/// Whether a line of a file of rules may be about one of the paths, as far as the bytes before its first wildcard tell. Most
/// rules end here, after a few bytes. A line that does not begin with a path may be about everything.
fn may_be_about(line: &[u8], paths: &Paths) -> bool {
    let end = |byte: u8| byte.is_ascii_whitespace();
    !line.starts_with(b"/") || paths.all().any(|path| may_match(line, path, end))
}

/// Whether a pattern may match a path, as far as the bytes before its first wildcard tell. `is_end` tells the byte after it.
fn may_match(pattern: &[u8], path: &str, is_end: impl Fn(u8) -> bool) -> bool {
    let mut rest = path.as_bytes();
    for &expected in pattern {
        match (expected, rest) {
            (b'*' | b':' | b'%' | b'?', _) => return true,
            // A slash at the end of the path makes no difference.
            (byte, _) if is_end(byte) => return matches!(rest, b"" | b"/"),
            (byte, [first, after @ ..]) if byte == *first => rest = after,
            (byte, []) => return byte == b'/',
            _ => return false,
        }
    }
    true
}

/// What the wildcards of a pattern stand for in a decoded path; `None` when the rule is not about it.
pub(crate) fn captures<'p>(pattern: &'p Pattern<'_>, path: &'p str) -> Option<Captures<'p>> {
    pattern.captures(path).or_else(|| match path.strip_suffix('/').filter(|other| !other.is_empty()) {
        Some(other) => pattern.captures(other),
        None => pattern.captures_of_directory(path),
    })
}

/// The lines of a file of rules that are not empty or comments, with their numbers from 1.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8], file: &'static str) -> Result<Self, RuleError> {
        if content.len() > MAX_FILE_BYTES {
            let line = content[..MAX_FILE_BYTES].split(|&byte| byte == b'\n').count();
            return Err(RuleError::too_long(file, line));
        }
        Ok(Self { rest: content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content), number: 0 })
    }

    /// The lines from a rule on.
    fn from(content: &'a [u8], place: Place) -> Self {
        Self { rest: content.get(place.start..).unwrap_or_default(), number: place.line - 1 }
    }

    /// The offset of the end of the last line, without what ends it.
    fn offset(&self, content: &[u8]) -> usize {
        let read = content.len() - self.rest.len();
        if content.get(..read).is_some_and(|read| read.ends_with(b"\n")) { read - 1 } else { read }
    }

    /// The next line, whatever it is.
    fn next_line(&mut self) -> &'a [u8] {
        let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        self.rest = after.get(1..).unwrap_or_default();
        self.number += 1;
        line
    }

    /// Passes over the indented lines that follow.
    fn skip_indented(&mut self) {
        while let [b' ' | b'\t', ..] = self.rest {
            self.next_line();
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let line = self.next_line();
            let is_significant = match line {
                [] | [b'#', ..] => false,
                [b'/', ..] => true,
                _ => line.trim_ascii_start().first().is_some_and(|&byte| byte != b'#'),
            };
            if is_significant {
                return Some((self.number, line));
            }
        }
        None
    }
}

/// A line as text.
fn text(line: &[u8]) -> Result<&str, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("the line is too long; it may have {MAX_LINE_BYTES} bytes"));
    }
    str::from_utf8(line).map_err(|_| "this is not UTF-8; save the file in that encoding".to_owned())
}

/// The words of a line. A comment at its end is left out: what follows a `#` at the start of a word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace().take_while(|word| !word.starts_with('#'))
}

/// The pattern of a path that is written as in a URL.
fn path_pattern(path: &str) -> Result<Pattern<'_>, String> {
    if path.starts_with("https://") || path.starts_with("http://") {
        return Err("a rule is about a path of this site; rules for one host name are not supported".into());
    }
    if !path.starts_with('/') {
        return Err("a rule begins with a path, and a path begins with a slash".into());
    }
    if path.contains('?') {
        return Err("a rule is about a path; leave out what follows the question mark".into());
    }
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    pattern(path)
}

/// The pattern in a text that may be percent-encoded.
fn pattern(text: &str) -> Result<Pattern<'_>, String> {
    if !is_well_escaped(text) {
        return Err("`%` in a path is followed by two hexadecimal digits; the character itself is %25".into());
    }
    let has_encoded = |digits: &str| text.to_ascii_uppercase().contains(digits);
    if text.contains('%') && (has_encoded("%2A") || has_encoded("%3A")) {
        return Err("`*` and `:` are wildcards in a path, also percent-encoded".into());
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "the path is not UTF-8".to_owned())?;
    let pattern = Pattern::new(decoded);
    if pattern.wildcards() > MAX_WILDCARDS {
        return Err(format!("a path may have {MAX_WILDCARDS} wildcards"));
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE_BYTES, MAX_RULES, Paths, Rules, Which, check, may_be_about, path_pattern};
    use crate::config::Settings;
    use crate::path::{NamePolicy, RelativePath};
    use proptest::prelude::*;

    fn errors(headers: &str, redirects: &str) -> Vec<String> {
        let errors = check(headers.as_bytes(), redirects.as_bytes(), &NamePolicy::default());
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_that_are_too_long_are_refused() {
        let error = &errors(&"/a\n".repeat(MAX_RULES + 1), "")[0];
        assert!(error.starts_with("_headers, line 1001: the file is too long"), "{error}");
        let error = &errors("", &"/a /b\n".repeat(MAX_RULES + 1))[0];
        assert!(error.starts_with("_redirects, line 1001: the file is too long"), "{error}");
        let error = &errors("", &"#".repeat(MAX_FILE_BYTES + 1))[0];
        assert!(error.starts_with("_redirects, line 1: the file is too long"), "{error}");
        let error = &errors(&format!("/{}", "x".repeat(3000)), "")[0];
        assert!(error.starts_with("_headers, line 1: the line is too long"), "{error}");
    }

    #[test]
    fn a_rule_is_about_every_name_of_the_file_that_answers() {
        let settings = Settings::default();
        let about = |pattern: &str, requested: &str, file: &str| {
            let mut rules = Rules::new(&settings, requested.to_owned());
            rules.add_site(format!("{pattern}\n  X-A: 1\n").into_bytes().into(), Vec::new().into());
            rules.answers_with(&RelativePath::from_setting(file, &NamePolicy::default()).unwrap());
            !rules.changes().unwrap().set.is_empty()
        };
        for (pattern, requested, file) in [
            ("/docs/", "/docs/", "docs/index.html"),
            ("/docs", "/docs/", "docs/index.html"),
            ("/docs/", "/docs/index.html", "docs/index.html"),
            ("/docs/index.html", "/docs/", "docs/index.html"),
            ("/blog/:slug/", "/blog/a/", "blog/a/index.html"),
            ("/about", "/about.html", "about.html"),
            ("/about.html", "/about", "about.html"),
            ("/secret.html", "/secret.html.gz", "secret.html.gz"),
            ("/secret", "/secret.html.br", "secret.html.br"),
            ("/", "/", "index.html"),
        ] {
            assert!(about(pattern, requested, file), "{pattern} is about {requested}");
        }
        for (pattern, requested, file) in [
            ("/docs/a", "/docs/", "docs/index.html"),
            ("/secret", "/secrets.html.gz", "secrets.html.gz"),
            ("/index", "/", "index.html"),
        ] {
            assert!(!about(pattern, requested, file), "{pattern} is not about {requested}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(headers: Vec<u8>, redirects: Vec<u8>, path: String) {
            check(&headers, &redirects, &NamePolicy::default());
            let settings = Settings::default();
            let mut rules = Rules::new(&settings, path);
            rules.add_site(headers.into(), redirects.into());
            let _ = rules.changes();
            let _ = rules.redirect(Which::Any, None);
        }

        #[test]
        fn no_match_is_ruled_out_early(pattern in "/[ab/*:%é.]{0,6}", path in "/[ab/é.]{0,8}") {
            if let Ok(compiled) = path_pattern(&pattern)
                && super::captures(&compiled, &path).is_some()
            {
                let paths = Paths { requested: path.clone(), ..Paths::default() };
                prop_assert!(may_be_about(pattern.as_bytes(), &paths), "{} {}", pattern, path);
            }
        }
    }
}
