//! The files `_headers` and `_redirects`, in the form that static hosts share.
//!
//! What is wrong in them is an error, with its line, and not passed over: a header that is not sent may be the one that
//! guards the site.

use crate::fields::{self, FieldError, OwnField};
use crate::path::{Hidden, RULE_FILES, UrlPath, encode_query, encode_segment};
use crate::pattern::{Captures, Pattern, SPLAT};
use percent_encoding::percent_decode_str;
use std::fmt;

/// The most bytes of such a file: they are read for every request.
pub const LONGEST_FILE: usize = 64 * 1024;

/// The most rules in one file, and the most fields. Each is compared with the path of every request.
pub const MOST_RULES: usize = 1000;

/// The longest line, in bytes: it holds a path and a target, or a field, and is read for every request.
const LONGEST_LINE: usize = 2048;

/// The longest target, in bytes, that what stands for its names may make: as long as a request may be.
const LONGEST_TARGET: usize = 16 * 1024;

const HEADERS_FILE: &str = RULE_FILES[0];
const REDIRECTS_FILE: &str = RULE_FILES[1];

/// The statuses that a redirect may have.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The status of a rule that names none, as in the format's first implementation.
const DEFAULT_STATUS: u16 = 301;

/// Fields for the paths of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Which paths.
    pub pattern: Pattern,
    /// The fields to add.
    pub set: Vec<OwnField>,
    /// The names of fields, in lower case, that rules before this one added and that are to be left out.
    pub unset: Vec<String>,
}

/// Another answer for the paths of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    pattern: Pattern,
    target: String,
    /// The status of the answer: of a redirect, or of the file that is answered instead.
    pub status: u16,
    /// Whether it holds even where there is a file.
    pub forced: bool,
    /// The line it stands in, from 1.
    pub line: usize,
}

/// What a redirect leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another URL for the client to ask, ready to be sent.
    Location(String),
    /// A path of this server whose file is answered.
    File(String),
    /// Nowhere: it would be longer than any request.
    TooLong,
}

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
    /// The redirect in this line leads in a circle.
    pub fn circle(line: usize) -> Self {
        let message = "this redirect leads back to where it came from; give it another target".to_owned();
        Self { file: REDIRECTS_FILE, line, message }
    }

    /// The redirect in this line leads to an address that is too long.
    pub fn long_target(line: usize) -> Self {
        let message = "this redirect leads to an address that is too long; shorten its target".to_owned();
        Self { file: REDIRECTS_FILE, line, message }
    }

    /// The file is there and cannot be read.
    pub fn unreadable(file: &'static str) -> Self {
        let message = "the file cannot be read; make it a regular file that everybody may read".to_owned();
        Self { file, line: 1, message }
    }

    fn too_long(file: &'static str, line: usize) -> Self {
        let message =
            format!("the file is too long; it may have {MOST_RULES} rules and {LONGEST_FILE} bytes");
        Self { file, line, message }
    }
}

/// The lines of a file of rules that say something, with their numbers.
fn lines<'a>(
    content: &'a [u8],
    file: &'static str,
) -> Result<impl Iterator<Item = (usize, &'a str)>, RuleError> {
    if content.len() > LONGEST_FILE {
        let line = content[..LONGEST_FILE].split(|&byte| byte == b'\n').count();
        return Err(RuleError::too_long(file, line));
    }
    let text = str::from_utf8(content).map_err(|error| RuleError {
        file,
        line: content[..error.valid_up_to()].split(|&byte| byte == b'\n').count(),
        message: "this is not UTF-8; save the file in that encoding".to_owned(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((line, _)) = (1..).zip(text.lines()).find(|(_, line)| line.len() > LONGEST_LINE) {
        let message = format!("the line is too long; it may have {LONGEST_LINE} bytes");
        return Err(RuleError { file, line, message });
    }
    Ok((1..).zip(text.lines()).filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    }))
}

/// Reads `_headers`: a path to a line, and below it, indented, the fields for it.
pub fn parse_headers(content: &[u8]) -> Result<Vec<HeaderRule>, RuleError> {
    const FILE: &str = HEADERS_FILE;
    let mut rules: Vec<HeaderRule> = Vec::new();
    let mut fields = 0;
    for (line, text) in lines(content, FILE)? {
        let wrong = |message: String| RuleError { file: FILE, line, message };
        let is_indented = text.starts_with([' ', '\t']);
        let text = text.trim();
        if !is_indented {
            if rules.len() == MOST_RULES {
                return Err(RuleError::too_long(FILE, line));
            }
            let mut words = words(text);
            let path = words.next().filter(|path| path.starts_with('/') && words.next().is_none());
            let path = path.ok_or_else(|| {
                wrong(
                    "a path begins with a slash and has no spaces, and a field begins with spaces".to_owned(),
                )
            })?;
            let pattern = path_pattern(path).map_err(wrong)?;
            rules.push(HeaderRule { pattern, set: Vec::new(), unset: Vec::new() });
            continue;
        }
        fields += 1;
        if fields > MOST_RULES {
            return Err(RuleError::too_long(FILE, line));
        }
        let rule =
            rules.last_mut().ok_or_else(|| wrong("a path has to come before its fields".to_owned()))?;
        if let Some(name) = text.strip_prefix('!').map(str::trim) {
            if !fields::is_name(name) {
                return Err(wrong("`!` takes the name of a field to leave out".to_owned()));
            }
            rule.unset.push(name.to_ascii_lowercase());
        } else {
            let (name, value) = text.split_once(':').unwrap_or_default();
            rule.set.push(fields::checked(name, value).map_err(|error| match error {
                FieldError::Malformed => wrong("this is no header field; it takes `Name: value`".to_owned()),
                FieldError::Reserved => {
                    wrong(format!("the server itself says what `{}` is; leave it out", name.trim()))
                }
            })?);
        }
    }
    Ok(rules)
}

/// Reads `_redirects`: to a line, a path, where it leads, and perhaps a status.
pub fn parse_redirects(content: &[u8], hidden: Hidden) -> Result<Vec<Redirect>, RuleError> {
    const FILE: &str = REDIRECTS_FILE;
    let mut rules = Vec::new();
    for (line, text) in lines(content, FILE)? {
        if rules.len() == MOST_RULES {
            return Err(RuleError::too_long(FILE, line));
        }
        let rule = redirect(text, line, hidden);
        rules.push(rule.map_err(|message| RuleError { file: FILE, line, message })?);
    }
    Ok(rules)
}

fn redirect(text: &str, line: usize, hidden: Hidden) -> Result<Redirect, String> {
    let mut words = words(text);
    let (Some(from), Some(target)) = (words.next(), words.next()) else {
        return Err("a redirect takes a path and a target, such as `/old /new 301`".to_owned());
    };
    let (status, forced) = match words.next() {
        None => (DEFAULT_STATUS, false),
        Some(word) => {
            let (digits, forced) = word.strip_suffix('!').map_or((word, false), |digits| (digits, true));
            let status = digits
                .parse()
                .ok()
                .filter(|status| REDIRECTS.contains(status) || [200, 404].contains(status));
            (
                status.ok_or("a status is 301, 302, 303, 307, 308, 200 or 404, or one of them with `!`")?,
                forced,
            )
        }
    };
    if words.next().is_some() {
        return Err("nothing may follow the status; conditions are not supported".to_owned());
    }
    if !from.starts_with('/') {
        return Err("a redirect is from a path of this site, which begins with a slash".to_owned());
    }
    let pattern = path_pattern(from)?;
    if pattern.has_inner_star() {
        return Err("`*` may stand at the end of a path only; for one segment, write `:name`".to_owned());
    }
    check_target(target, &pattern, status, hidden)?;
    Ok(Redirect { pattern, target: target.to_owned(), status, forced, line })
}

/// The words of a line, without the comment at its end: what follows a `#` at the start of a word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace().take_while(|word| !word.starts_with('#'))
}

/// The pattern of a path as it is written in a URL, and compared as it is decoded. A slash at its end makes no
/// difference, as it makes none in a request.
fn path_pattern(path: &str) -> Result<Pattern, String> {
    if path.contains('?') {
        return Err(
            "a rule is about a path, whatever the query; leave out what follows the question mark".into()
        );
    }
    let mut escapes = path.split('%').skip(1).map(|escape| escape.as_bytes().get(..2));
    if !escapes.all(|digits| digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))) {
        return Err("`%` in a path is followed by two hexadecimal digits; the character itself is %25".into());
    }
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| "the path is not UTF-8".to_owned())?;
    let decoded = decoded.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&decoded);
    Ok(Pattern::new(decoded))
}

fn check_target(target: &str, pattern: &Pattern, status: u16, hidden: Hidden) -> Result<(), String> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a target is written in ASCII, other characters percent-encoded".to_owned());
    }
    let is_redirect = REDIRECTS.contains(&status);
    let path = match target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")) {
        Some(rest) if is_redirect => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
            // Whoever makes the request must not choose the host.
            let is_fixed =
                host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
            if host.is_empty()
                || !is_fixed
                || port.is_empty()
                || !port.bytes().all(|byte| byte.is_ascii_digit())
            {
                return Err("a target on another host is `https://`, a fixed host and a path".to_owned());
            }
            path
        }
        Some(_) => return Err("only a redirect can lead to another host; this server is no proxy".to_owned()),
        None if target.starts_with('/') && !target.starts_with("//") && !target.starts_with("/\\") => {
            &target[1..]
        }
        None => return Err("a target begins with one slash, or with https://".to_owned()),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    for segment in path.split('/') {
        if let Some(name) = segment.strip_prefix(':')
            && !pattern.names(name)
        {
            return Err(format!("nothing in the path is called `:{name}`"));
        }
    }
    if !is_redirect && !pieces(target).any(|piece| matches!(piece, Piece::Name(_))) {
        UrlPath::parse(target, hidden).map_err(|_| "no file can have the name of this target".to_owned())?;
    }
    Ok(())
}

/// A piece of a target.
enum Piece<'a> {
    Text(&'a str),
    /// `:name`, for a whole segment.
    Name(&'a str),
}

/// The pieces of a target, slashes with the text after them.
fn pieces(target: &str) -> impl Iterator<Item = Piece<'_>> {
    let (scheme, rest) = match target.find("://") {
        Some(at) => target.split_at(at + 3),
        None => ("", target),
    };
    let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (path, query) = rest.split_at(path_end);
    let segments = path.split_inclusive('/').flat_map(|segment| {
        let (name, slash) = segment.strip_suffix('/').map_or((segment, ""), |name| (name, "/"));
        let first = match name.strip_prefix(':') {
            Some(name) => Piece::Name(name),
            None => Piece::Text(name),
        };
        [first, Piece::Text(slash)]
    });
    std::iter::once(Piece::Text(scheme)).chain(segments).chain(std::iter::once(Piece::Text(query)))
}

impl Redirect {
    /// Whether the rule is about a decoded path. A slash at its end makes no difference.
    pub fn is_about(&self, path: &str) -> bool {
        self.captures(path).is_some()
    }

    fn captures<'a>(&'a self, path: &'a str) -> Option<Captures<'a>> {
        self.pattern.captures(path).or_else(|| {
            let other = path.strip_suffix('/').filter(|other| !other.is_empty())?;
            self.pattern.captures(other)
        })
    }

    /// Where the rule leads from a decoded path; `None` when it is not about it.
    pub fn apply(&self, path: &str, query: Option<&str>) -> Option<Target> {
        let captures = self.captures(path)?;
        let mut target = String::new();
        for piece in pieces(&self.target) {
            match piece {
                Piece::Text(text) => target.push_str(text),
                Piece::Name(name) => push_captured(&mut target, name, &captures),
            }
            if target.len() > LONGEST_TARGET {
                return Some(Target::TooLong);
            }
        }
        // Names may stand for nothing, and two slashes at the start would make what follows them the name of a host.
        if target.starts_with('/') {
            let slashes = target.len() - target.trim_start_matches(['/', '\\']).len();
            target.replace_range(..slashes, "/");
        }
        Some(if REDIRECTS.contains(&self.status) {
            if let Some(query) = query.filter(|_| !target.contains(['?', '#'])) {
                target.push('?');
                target.extend(encode_query(query));
            }
            Target::Location(target)
        } else {
            Target::File(target)
        })
    }
}

/// Adds what a name stands for, encoded again.
fn push_captured(target: &mut String, name: &str, captures: &Captures<'_>) {
    let mut value = captures.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    // `*` may stand for a slash too.
    if target.ends_with('/') {
        value = value.trim_start_matches('/');
    }
    for (at, segment) in value.split('/').enumerate() {
        if at > 0 {
            target.push('/');
        }
        target.extend(encode_segment(segment));
    }
    debug_assert!(name == SPLAT || !value.contains('/'));
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_FILE, MOST_RULES, Target, parse_headers, parse_redirects};
    use crate::path::{Hidden, UrlPath};
    use proptest::prelude::*;

    fn redirects(text: &str) -> Result<Vec<super::Redirect>, String> {
        parse_redirects(text.as_bytes(), Hidden::Refused).map_err(|error| error.to_string())
    }

    fn leads(rule: &str, path: &str, query: Option<&str>) -> Option<Target> {
        redirects(rule).unwrap()[0].apply(path, query)
    }

    fn location(text: &str) -> Target {
        Target::Location(text.to_owned())
    }

    #[test]
    fn headers_stand_below_their_path() {
        let rules = parse_headers(
            b"\xef\xbb\xbf# all\n/*\n  X-A: b\n\tX-B: c: d\n\n/private/*\r\n  ! X-A\r\n  Cache-Control: no-store\r\n",
        )
        .unwrap();
        assert_eq!(rules.len(), 2);
        assert!(rules[0].pattern.matches("/any"));
        assert_eq!(rules[0].set, [("x-a".into(), "b".into()), ("x-b".into(), "c: d".into())]);
        assert_eq!(rules[1].unset, ["x-a"]);
        assert_eq!(rules[1].set, [("cache-control".into(), "no-store".into())]);
        assert_eq!(parse_headers(b""), Ok(Vec::new()));
    }

    #[test]
    fn wrong_headers_are_told_with_their_line() {
        for (content, expected) in [
            ("\n  X-A: b", "_headers, line 2: a path has to come before its fields"),
            (
                "/*\nX-A: b",
                "_headers, line 2: a path begins with a slash and has no spaces, and a field begins with spaces",
            ),
            (
                "/a?b",
                "_headers, line 1: a rule is about a path, whatever the query; leave out what follows the question mark",
            ),
            ("/*\n  X-A b", "_headers, line 2: this is no header field; it takes `Name: value`"),
            ("/*\n  X-A:\n", "_headers, line 2: this is no header field; it takes `Name: value`"),
            ("/*\n  ! ", "_headers, line 2: `!` takes the name of a field to leave out"),
            (
                "/*\n\n  Content-Length: 5",
                "_headers, line 3: the server itself says what `Content-Length` is; leave it out",
            ),
        ] {
            assert_eq!(parse_headers(content.as_bytes()).unwrap_err().to_string(), expected);
        }
        let error = parse_headers(b"/a\n/\xff").unwrap_err().to_string();
        assert!(error.starts_with("_headers, line 2: this is not UTF-8"), "{error}");
    }

    #[test]
    fn files_that_are_too_long_are_refused() {
        let rules = "/a\n".repeat(MOST_RULES + 1);
        let error = parse_headers(rules.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("_headers, line 1001: the file is too long"), "{error}");
        let error = redirects(&"/a /b\n".repeat(MOST_RULES + 1)).unwrap_err();
        assert!(error.starts_with("_redirects, line 1001: the file is too long"), "{error}");
        let error = redirects(&"#".repeat(LONGEST_FILE + 1)).unwrap_err();
        assert!(error.starts_with("_redirects, line 1: the file is too long"), "{error}");
    }

    #[test]
    fn a_redirect_leads_where_it_says() {
        assert_eq!(leads("/old /new", "/old", None), Some(location("/new")));
        assert_eq!(leads("/old /new", "/old/", Some("a=b")), Some(location("/new?a=b")));
        assert_eq!(leads("/old /new?x", "/old", Some("a=b")), Some(location("/new?x")));
        assert_eq!(leads("/old /new", "/older", None), None);
        assert_eq!(leads("/old/ /new", "/old", None), Some(location("/new")));
        assert_eq!(leads("/my%20page /new", "/my page", None), Some(location("/new")));
        assert_eq!(leads("/u/:name/* /:splat/:name", "/u/evil.com/", None), Some(location("/evil.com")));
        assert_eq!(leads("/* /:splat/index.html", "/", None), Some(location("/index.html")));
        let many = format!("/a/* {}", "/:splat".repeat(200));
        assert_eq!(leads(&many, &format!("/a/{}", "x".repeat(1000)), None), Some(Target::TooLong));
        assert_eq!(leads("/app* /:splat", "/app/evil.com", None), Some(location("/evil.com")));
        assert_eq!(leads("/a/* /b/:splat 302", "/a/c d/é", None), Some(location("/b/c%20d/%C3%A9")));
        assert_eq!(leads("/a/* /b/:splat/", "/a/", None), Some(location("/b//")));
        assert_eq!(
            leads("/blog/:year/:slug https://example.com/:slug/:year 308", "/blog/26/x", None),
            Some(location("https://example.com/x/26"))
        );
        assert_eq!(
            leads("/* /index.html 200", "/app/x", Some("q")),
            Some(Target::File("/index.html".into()))
        );
        assert_eq!(leads("/a /b # why", "/a", None), Some(location("/b")));
        let rule = &redirects("\n# c\n/a /b 301!").unwrap()[0];
        assert_eq!((rule.status, rule.forced, rule.line), (301, true, 3));
    }

    #[test]
    fn wrong_redirects_are_told_with_their_line() {
        for (line, expected) in [
            ("/a", "a redirect takes a path and a target, such as `/old /new 301`"),
            ("a /b", "a redirect is from a path of this site, which begins with a slash"),
            ("/a b", "a target begins with one slash, or with https://"),
            ("/a //evil.example", "a target begins with one slash, or with https://"),
            ("/a /\\evil.example", "a target begins with one slash, or with https://"),
            ("/a javascript:alert(1)", "a target begins with one slash, or with https://"),
            ("/:h https://:h/", "a target on another host is `https://`, a fixed host and a path"),
            ("/a https://u@evil.example/", "a target on another host is `https://`, a fixed host and a path"),
            (
                "/a https://x.example/ 200",
                "only a redirect can lead to another host; this server is no proxy",
            ),
            ("/a /b 299", "a status is 301, 302, 303, 307, 308, 200 or 404, or one of them with `!`"),
            ("/a /b 301 Country=de", "nothing may follow the status; conditions are not supported"),
            ("/*/a /b", "`*` may stand at the end of a path only; for one segment, write `:name`"),
            ("/:a/* https://:b/:splat", "a target on another host is `https://`, a fixed host and a path"),
            ("/a https://x.example:y/", "a target on another host is `https://`, a fixed host and a path"),
            ("/a%2 /b", "`%` in a path is followed by two hexadecimal digits; the character itself is %25"),
            ("/a /:x", "nothing in the path is called `:x`"),
            ("/a /../b 200", "no file can have the name of this target"),
            ("/a /\u{e9}", "a target is written in ASCII, other characters percent-encoded"),
        ] {
            assert_eq!(redirects(&format!("\n{line}")), Err(format!("_redirects, line 2: {expected}")));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(content: Vec<u8>) {
            let _ = parse_headers(&content);
            let _ = parse_redirects(&content, Hidden::Refused);
        }

        #[test]
        fn no_rule_lets_the_client_choose_the_host(
            host in prop::sample::select(vec!["", "https://e.x", "http://e:8080", "https://:splat", "https://:a"]),
            target in "(/|:splat|:a|:x|x|//|\\\\){0,6}",
            from in prop::sample::select(vec!["/*", "/a*", "/:a/*", "/:a", "/x/:a/*"]),
            path in "(/|/a|/x|evil.com|/:a|\\\\| ){0,5}/?",
        ) {
            let rule = format!("{from} {host}{target} 302");
            let Ok(rules) = redirects(&rule) else { return Ok(()) };
            // Only such paths ever get here.
            let Ok(path) = UrlPath::parse(&path, Hidden::Refused) else { return Ok(()) };
            let Some(Target::Location(location)) = rules[0].apply(&path.decoded(), None) else { return Ok(()) };
            if host.is_empty() {
                prop_assert!(location.starts_with('/'), "{}", location);
                prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{}", location);
            } else {
                let rest = location.strip_prefix(host);
                prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{}", location);
            }
        }
    }
}
