//! `_redirects`: to a line, a path, where it leads, and perhaps a status.

use super::{MOST_RULES, RuleError, lines, path_pattern, words};
use crate::path::{Hidden, RULE_FILES, UrlPath, encode_query, encode_segment};
use crate::pattern::{Captures, Pattern, SPLAT};
use crate::request::LONGEST_TARGET;

const FILE: &str = RULE_FILES[1];

/// The statuses that a redirect may have.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The status of a rule that names none, as in the format's first implementation.
const DEFAULT_STATUS: u16 = 301;

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
    line: usize,
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

/// Reads `_redirects`: to a line, a path, where it leads, and perhaps a status.
pub fn parse_redirects(content: &[u8], hidden: Hidden) -> Result<Vec<Redirect>, RuleError> {
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
    /// It leads in a circle.
    pub fn circle(&self) -> RuleError {
        let message = "this redirect leads back to where it came from; give it another target".to_owned();
        RuleError { file: FILE, line: self.line, message }
    }

    /// It leads to an address that is too long.
    pub fn too_long(&self) -> RuleError {
        let message = "this redirect leads to an address that is too long; shorten its target".to_owned();
        RuleError { file: FILE, line: self.line, message }
    }

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
    use super::{Target, parse_redirects};
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
                // The whole host that the rule names: `https://e.x` may go on as `https://e.xx/`.
                let named = format!("{host}{target}");
                let scheme = named.find("://").unwrap() + 3;
                let end = named[scheme..].find('/').map_or(named.len(), |at| scheme + at);
                let rest = location.strip_prefix(&named[..end]);
                prop_assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{}", location);
            }
        }
    }
}
