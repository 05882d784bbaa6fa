//! `_redirects`: to a line, a path, perhaps conditions on the query, a target, and perhaps a status.

use super::target::{Piece, Values, pieces, push_value};
use super::{
    Index, Lines, MAX_RULES, Paths, RuleError, Which, captures, may_be_about, path_pattern, text, words,
};
use crate::config::{CleanUrls, Settings};
use crate::path::{NamePolicy, RULE_FILES, UrlPath, encode_query};
use crate::pattern::{Pattern, split_name};
use crate::request::LONGEST_TARGET;
use memchr::memchr;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

const FILE: &str = RULE_FILES[1];

/// The statuses of a redirect.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The statuses with which a file of the site answers.
const REWRITES: [u16; 3] = [200, 404, 410];

/// The status of a rule that names none, as on the static hosts that share the format.
const DEFAULT_STATUS: u16 = 301;

/// What is said of conditions that this server does not know.
const UNSUPPORTED: &str =
    "nothing may follow the status; conditions on countries, languages, roles and cookies are not supported";

/// A rule that holds for a request, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The status of the answer: of a redirect, or of the file that answers instead.
    pub status: u16,
    /// Where it leads.
    pub target: Target,
    /// The line of the rule, from 1.
    pub line: usize,
}

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another URL, absolute or with a leading slash, for the client.
    Location(String),
    /// A path of this server whose file answers.
    File(String),
    /// To an address that is longer than any request, because the request is long.
    TooLong,
}

impl Redirect {
    /// It leads in a circle.
    pub fn circle(&self) -> RuleError {
        let message = "this redirect leads back to where it came from; give it another target".to_owned();
        RuleError { file: FILE, line: self.line, message }
    }
}

/// The first rule that holds for a request.
pub(super) fn first(
    content: &[u8],
    index: Option<&Index>,
    paths: &Paths,
    asked: (Which, Option<&str>),
    settings: &Settings,
) -> Result<Option<Redirect>, RuleError> {
    let lines = Lines::new(content, FILE)?;
    // Most sites have no forced rules, and most requests are for files.
    let may_force = || index.map_or_else(|| memchr(b'!', content).is_some(), |index| index.may_force);
    if asked.0 != Which::Any && !may_force() {
        return Ok(None);
    }
    if let Some(index) = index {
        let mut lines = index.about(paths).filter_map(|rule| Lines::from(content, rule).next());
        return lines.find_map(|line| follow(line, paths, asked, settings).transpose()).transpose();
    }
    for (count, line) in lines.enumerate() {
        if count == MAX_RULES {
            return Err(RuleError::too_long(FILE, line.0));
        }
        if let Some(redirect) = follow(line, paths, asked, settings)? {
            return Ok(Some(redirect));
        }
    }
    Ok(None)
}

/// Where the rules of `_redirects` are.
pub(super) fn index(content: &[u8]) -> Option<Index> {
    Index::new(content, FILE, |line| Some(line.trim_ascii_start()))
}

/// The redirect of a line, if it holds for a request.
fn follow(
    (line, bytes): (usize, &[u8]),
    paths: &Paths,
    (which, query): (Which, Option<&str>),
    settings: &Settings,
) -> Result<Option<Redirect>, RuleError> {
    let bytes = bytes.trim_ascii_start();
    if !may_be_about(bytes, paths) {
        return Ok(None);
    }
    let rule =
        Rule::parse(bytes, &settings.names).map_err(|message| RuleError { file: FILE, line, message })?;
    if (which != Which::Any && !rule.forced) || which == Which::ForcedBut(line) {
        return Ok(None);
    }
    let target = paths.all().find_map(|path| rule.apply(path, query));
    let target = target.filter(|target| !rule.leads_back(paths, query, target, settings));
    Ok(target.map(|target| Redirect { status: rule.status, target, line }))
}

/// Parses every line.
pub(super) fn check(content: &[u8], policy: &NamePolicy) -> Vec<RuleError> {
    let lines = match Lines::new(content, FILE) {
        Ok(lines) => lines,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for (count, (line, bytes)) in lines.enumerate() {
        if count == MAX_RULES {
            errors.push(RuleError::too_long(FILE, line));
            break;
        }
        let outcome = Rule::parse(bytes, policy);
        errors.extend(outcome.err().map(|message| RuleError { file: FILE, line, message }));
    }
    errors
}

/// A line, parsed.
#[derive(Debug)]
struct Rule<'a> {
    pattern: Pattern<'a>,
    conditions: Vec<Condition<'a>>,
    target: &'a str,
    status: u16,
    /// Whether it holds even where there is a file.
    forced: bool,
}

/// What a parameter of the query must be.
#[derive(Debug)]
struct Condition<'a> {
    /// Its name, decoded.
    parameter: Cow<'a, str>,
    value: Value<'a>,
}

#[derive(Debug)]
enum Value<'a> {
    /// This value, decoded.
    Is(Cow<'a, str>),
    /// Any value, under a name.
    Named(&'a str),
}

impl<'a> Rule<'a> {
    fn parse(line: &'a [u8], policy: &NamePolicy) -> Result<Self, String> {
        let mut words = words(text(line)?).peekable();
        let from = words.next().unwrap_or_default();
        let pattern = path_pattern(from)?;
        if pattern.has_inner_star() {
            return Err("`*` may stand at the end of a path only; for one segment, write `:name`".to_owned());
        }
        let mut conditions = Vec::new();
        while let Some(word) = words.next_if(|word| is_condition(word)) {
            conditions.push(condition(word)?);
        }
        let target = words.next().ok_or("a redirect takes a path and a target, such as `/old /new 301`")?;
        let (status, forced) = match words.next() {
            None => (DEFAULT_STATUS, false),
            Some(word) if word.contains('=') => return Err(UNSUPPORTED.to_owned()),
            Some(word) => status(word)?,
        };
        if words.next().is_some() {
            return Err(UNSUPPORTED.to_owned());
        }
        let rule = Self { pattern, conditions, target, status, forced };
        rule.check_target(policy)?;
        Ok(rule)
    }

    /// Whether the pattern or a condition has this name.
    fn names(&self, name: &str) -> bool {
        let named =
            |condition: &Condition<'_>| matches!(condition.value, Value::Named(known) if known == name);
        self.pattern.names(name) || self.conditions.iter().any(named)
    }

    fn check_target(&self, policy: &NamePolicy) -> Result<(), String> {
        let target = self.target;
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a target is written in ASCII, other characters percent-encoded".to_owned());
        }
        let is_redirect = REDIRECTS.contains(&self.status);
        match target.strip_prefix("https://").or_else(|| target.strip_prefix("http://")) {
            Some(rest) if is_redirect => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
                // A client must not choose the host.
                let is_fixed = host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
                let has_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                if host.is_empty() || !is_fixed || !has_port {
                    return Err("a target on another host is `https://`, a fixed host and a path".to_owned());
                }
            }
            Some(_) => {
                return Err("only a redirect can lead to another host; this server is no proxy".to_owned());
            }
            None if target.starts_with('/') && !target.starts_with("//") && !target.starts_with("/\\") => {}
            None => return Err("a target begins with one slash, or with https://".to_owned()),
        }
        let mut has_names = false;
        for piece in pieces(target) {
            match piece {
                Piece::Name(name) if self.names(name) => has_names = true,
                Piece::Name(name) => return Err(format!("nothing in the path is called `:{name}`")),
                Piece::Text(text) => {
                    let names = text.split(':').skip(1).filter_map(split_name);
                    if let Some((name, _)) = names.into_iter().find(|(name, _)| self.names(name)) {
                        return Err(format!(
                            "`:{name}` stands at the start of a segment, or after a `=` in the query"
                        ));
                    }
                }
            }
        }
        if !is_redirect && target.contains('#') {
            return Err("the target of 200, 404 or 410 is a file, which has no `#`".to_owned());
        }
        if !is_redirect && !has_names {
            UrlPath::parse(target, policy)
                .map_err(|_| "no file can have the name of this target".to_owned())?;
        }
        Ok(())
    }

    /// Where the rule leads from a decoded path; `None` when it does not hold for the path and the query.
    fn apply(&self, path: &str, query: Option<&str>) -> Option<Target> {
        let captures = captures(&self.pattern, path)?;
        let mut values: Values<'_> =
            captures.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        for Condition { parameter, value } in &self.conditions {
            let mut found = query_parameters(query, parameter);
            match value {
                Value::Is(expected) => {
                    found.find(|value| value == expected)?;
                }
                // As a segment, these two would lead out of the target's directory.
                Value::Named(name) => {
                    values.push((name, found.next().filter(|value| !matches!(&**value, "." | ".."))?));
                }
            }
        }
        let mut target = String::new();
        for piece in pieces(self.target) {
            match piece {
                Piece::Text(text) => target.push_str(text),
                Piece::Name(name) => push_value(&mut target, name, &values),
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
        if !REDIRECTS.contains(&self.status) {
            return Some(Target::File(target));
        }
        if let Some(query) = query.filter(|_| !target.contains('?')) {
            let fragment = target.split_off(target.find('#').unwrap_or(target.len()));
            target.push('?');
            target.extend(encode_query(query));
            target.push_str(&fragment);
        }
        Some(if target.len() > LONGEST_TARGET { Target::TooLong } else { Target::Location(target) })
    }

    /// Whether a redirect leads to where the request already is, so that it does not hold: `/about.html /about` for `/about`,
    /// and `/* /en/:splat` for everything below `/en/`, which it would send to `/en/en/` and so on.
    fn leads_back(&self, paths: &Paths, query: Option<&str>, target: &Target, settings: &Settings) -> bool {
        let Target::Location(location) = target else { return false };
        let own = location.split('#').next().unwrap_or_default();
        let Ok(path) = UrlPath::parse(own, &settings.names) else { return false };
        let decoded = path.decoded();
        let sent = query.map(|query| encode_query(query).to_string());
        if path.query() == sent.as_deref() {
            // Where the server itself redirects between the names of a file, each of them is the same place.
            let redirects =
                |page: &String| *settings.clean_urls.of_file(|| page.clone()) == CleanUrls::Redirect;
            let is_name =
                paths.answering.first().is_some_and(redirects) && paths.answering.contains(&decoded);
            if is_name || decoded == paths.requested {
                return true;
            }
        }
        if !pieces(self.target).any(|piece| matches!(piece, Piece::Name(_))) {
            return false;
        }
        // The request is what the rule leads to, and from there it would lead on without an end.
        let template = self.target.split(['?', '#']).next().unwrap_or_default().replace(":splat", "*");
        path_pattern(&template).is_ok_and(|template| captures(&template, &paths.requested).is_some())
            && match self.apply(&decoded, path.query()) {
                Some(Target::Location(again)) => again != *location && again.len() >= location.len(),
                Some(Target::TooLong) => true,
                Some(Target::File(_)) | None => false,
            }
    }
}

/// Whether a word is a condition on the query: `name=value` or `name=:name`.
fn is_condition(word: &str) -> bool {
    !word.starts_with('/') && !word.contains("://") && word.contains('=')
}

fn condition(word: &str) -> Result<Condition<'_>, String> {
    let (parameter, value) = word.split_once('=').unwrap_or((word, ""));
    let value = match value.strip_prefix(':') {
        None => Value::Is(decoded_parameter(value)),
        Some(name) => match split_name(name) {
            Some((name, "")) => Value::Named(name),
            _ => {
                return Err(format!(
                    "`{}` is no condition; it takes `name=value` or `name=:name`",
                    word.escape_debug()
                ));
            }
        },
    };
    Ok(Condition { parameter: decoded_parameter(parameter), value })
}

fn status(word: &str) -> Result<(u16, bool), String> {
    let (digits, forced) = word.strip_suffix('!').map_or((word, false), |digits| (digits, true));
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let status = digits.parse().ok().filter(|_| is_number);
    let status = status.filter(|status| REDIRECTS.contains(status) || REWRITES.contains(status));
    let status =
        status.ok_or("a status is 301, 302, 303, 307, 308, 200, 404 or 410, or one of them with `!`")?;
    Ok((status, forced))
}

/// The decoded values of a parameter in a query.
fn query_parameters<'q>(query: Option<&'q str>, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(key, _)| decoded_parameter(key) == name).map(|(_, value)| decoded_parameter(value))
}

/// Decodes a part of a query, in which forms write spaces as pluses.
fn decoded_parameter(text: &str) -> Cow<'_, str> {
    if text.contains(['%', '+']) {
        let text = text.replace('+', " ");
        Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Redirect, Rule, Target, Which, check, first, index};
    use crate::config::Settings;
    use crate::path::{NamePolicy, UrlPath};
    use crate::rules::{Paths, RuleError};
    use proptest::prelude::*;

    /// Where a rule leads from a path.
    fn leads(rule: &str, path: &str, query: Option<&str>) -> Option<String> {
        match Rule::parse(rule.as_bytes(), &NamePolicy::default()).unwrap().apply(path, query)? {
            Target::Location(target) | Target::File(target) => Some(target),
            Target::TooLong => panic!("{rule} is too long"),
        }
    }

    /// What a file says of a request, which is the same by its index.
    fn both(
        content: &str,
        paths: &Paths,
        asked: (Which, Option<&str>),
    ) -> Result<Option<Redirect>, RuleError> {
        let [plain, indexed] = [None, index(content.as_bytes()).as_ref()]
            .map(|index| first(content.as_bytes(), index, paths, asked, &Settings::default()));
        assert_eq!(plain, indexed);
        plain
    }

    /// The rule of a file that holds for a request.
    fn held(content: &str, requested: &str, query: Option<&str>) -> Option<Redirect> {
        let paths = Paths { requested: requested.to_owned(), ..Paths::default() };
        both(content, &paths, (Which::Any, query)).unwrap()
    }

    #[test]
    fn a_redirect_leads_where_it_says() {
        assert_eq!(leads("/old /new", "/old", None), Some("/new".to_owned()));
        assert_eq!(leads("/old /new", "/old/", Some("a=b")), Some("/new?a=b".to_owned()));
        assert_eq!(leads("/old /new?x", "/old", Some("a=b")), Some("/new?x".to_owned()));
        assert_eq!(leads("/old /new", "/older", None), None);
        assert_eq!(leads("/old/ /new", "/old", None), Some("/new".to_owned()));
        assert_eq!(leads("/my%20page /new", "/my page", None), Some("/new".to_owned()));
        assert_eq!(leads("/u/:name/* /:splat/:name", "/u/evil.com/", None), Some("/evil.com".to_owned()));
        assert_eq!(leads("/* /:splat/index.html", "/", None), Some("/index.html".to_owned()));
        assert_eq!(leads("/app* /:splat", "/app/evil.com", None), Some("/evil.com".to_owned()));
        assert_eq!(leads("/a/* /b/:splat 302", "/a/c d/é", None), Some("/b/c%20d/%C3%A9".to_owned()));
        assert_eq!(leads("/a/* /b/:splat/", "/a/", None), Some("/b//".to_owned()));
        assert_eq!(
            leads("/blog/:year/:slug https://example.com/:slug/:year 308", "/blog/26/x", None),
            Some("https://example.com/x/26".to_owned())
        );
        assert_eq!(leads("/:page.html /:page", "/about.html", None), Some("/about".to_owned()));
        assert_eq!(leads("/a/:x /b?x=:x", "/a/c&d+e", None), Some("/b?x=c%26d%2Be".to_owned()));
        assert_eq!(leads("/a /b#c", "/a", Some("q")), Some("/b?q#c".to_owned()));
        assert_eq!(leads("/docs/* /new/:splat", "/docs", None), Some("/new/".to_owned()));
        assert_eq!(leads("/* /index.html 200", "/app/x", Some("q")), Some("/index.html".to_owned()));
        assert_eq!(leads("/a /b # why", "/a", None), Some("/b".to_owned()));
        let many = format!("/a/* {}", "/:splat".repeat(200));
        let rule = Rule::parse(many.as_bytes(), &NamePolicy::default()).unwrap();
        assert_eq!(rule.apply(&format!("/a/{}", "x".repeat(1000)), None), Some(Target::TooLong));
        let query = "x".repeat(16_384);
        assert_eq!(rule.apply("/a/", Some(&query)), Some(Target::TooLong));
    }

    #[test]
    fn the_first_rule_that_holds_counts() {
        let content = "\n# c\n/a/:x /b\n/a/* /c 302!\n/gone /gone.html 410\n";
        let rule = held(content, "/a/x", None).unwrap();
        assert_eq!((rule.status, rule.target, rule.line), (301, Target::Location("/b".into()), 3));
        assert_eq!(held(content, "/a/x/y", None).unwrap().line, 4);
        let gone = held(content, "/gone/", None).unwrap();
        assert_eq!((gone.status, gone.target), (410, Target::File("/gone.html".into())));
        assert_eq!(held(content, "/b", None), None);
        let paths = Paths { requested: "/a/x".into(), ..Paths::default() };
        let forced = both(content, &paths, (Which::Forced, None)).unwrap();
        assert_eq!(forced.unwrap().line, 4);
    }

    #[test]
    fn a_condition_is_about_the_query() {
        let content = "/store id=:id /item/:id\n/store lang=de /de\n/store /all\n";
        let leads = |query| held(content, "/store", query).unwrap().target;
        let location = |text: &str| Target::Location(text.to_owned());
        assert_eq!(leads(Some("id=7%2F8")), location("/item/7%2F8?id=7%2F8"));
        assert_eq!(leads(Some("x=1&lang=de")), location("/de?x=1&lang=de"));
        assert_eq!(leads(Some("lang=fr")), location("/all?lang=fr"));
        assert_eq!(leads(None), location("/all"));
        assert_eq!(leads(Some("lang=fr&l%61ng=d%65")), location("/de?lang=fr&l%61ng=d%65"));
        assert_eq!(leads(Some("id=..")), location("/all?id=.."), "a dot segment would climb");
        let spaced = "/q a=b%20c /x\n";
        assert!(held(spaced, "/q", Some("a=b+c")).is_some() && held(spaced, "/q", Some("a=b%20c")).is_some());
    }

    #[test]
    fn a_rule_that_leads_to_the_request_does_not_hold() {
        for (rule, requested) in [
            ("/about.html /about 301!", "/about"),
            ("/* / 301", "/"),
            ("/docs /docs/", "/docs/"),
            ("/* /en/:splat 302", "/en/x"),
            ("/* /en/:splat 302", "/en/en/x"),
            ("/:a/:b /:b/:a", "/x/y"),
        ] {
            let content = format!("{rule}\n");
            // As if the file were asked for under both names.
            let answering = rule.split(' ').next().unwrap().to_owned();
            let paths =
                Paths { requested: requested.to_owned(), answering: vec![answering], ..Paths::default() };
            assert_eq!(both(&content, &paths, (Which::Any, None)), Ok(None), "{rule}");
        }
        for (rule, requested, target) in [
            ("/docs /docs/", "/docs", "/docs/"),
            ("/* /en/:splat 302", "/x", "/en/x"),
            ("/:lang/old/* /:lang/:splat", "/en/old/x", "/en/x"),
            ("/:lang/* /:splat", "/en/docs/da", "/docs/da"),
            ("/news/:slug/ /news/:slug", "/news/a/", "/news/a"),
            ("/blog/:slug /blog/:slug/", "/blog/a", "/blog/a/"),
            ("/a lang=de /a?lang=en", "/a", "/a?lang=en"),
        ] {
            let found = held(rule, requested, Some("lang=de")).unwrap().target;
            let Target::Location(location) = found else { panic!("{rule}") };
            assert_eq!(location.split("?lang=de").next(), Some(target), "{rule}");
        }
    }

    #[test]
    fn wrong_redirects_are_told_with_their_line() {
        for (line, expected) in [
            ("/a", "a redirect takes a path and a target, such as `/old /new 301`"),
            ("a /b", "a rule begins with a path, and a path begins with a slash"),
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
            ("/a /b 299", "a status is 301, 302, 303, 307, 308, 200, 404 or 410, or one of them with `!`"),
            ("/a /b 301 Country=de", super::UNSUPPORTED),
            ("/a /b Language=de", super::UNSUPPORTED),
            ("/*/a /b", "`*` may stand at the end of a path only; for one segment, write `:name`"),
            ("/:a/* https://:b/:splat", "a target on another host is `https://`, a fixed host and a path"),
            ("/a https://x.example:y/", "a target on another host is `https://`, a fixed host and a path"),
            ("/a%2 /b", "`%` in a path is followed by two hexadecimal digits; the character itself is %25"),
            ("/a /:x", "nothing in the path is called `:x`"),
            ("/a/:x /b-:x", "`:x` stands at the start of a segment, or after a `=` in the query"),
            ("/a x=:y.html /b", "`x=:y.html` is no condition; it takes `name=value` or `name=:name`"),
            ("/a /b#c 200", "the target of 200, 404 or 410 is a file, which has no `#`"),
            ("/a /b +301", "a status is 301, 302, 303, 307, 308, 200, 404 or 410, or one of them with `!`"),
            ("/a%2A /b", "`*` and `:` are wildcards in a path, also percent-encoded"),
            ("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q /b", "a path may have 16 wildcards"),
            ("/a /../b 200", "no file can have the name of this target"),
            ("/a /\u{e9}", "a target is written in ASCII, other characters percent-encoded"),
        ] {
            let errors = check(format!("\n{line}").as_bytes(), &NamePolicy::default());
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, [format!("_redirects, line 2: {expected}")], "{line}");
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
            let Ok(rule) = Rule::parse(rule.as_bytes(), &NamePolicy::default()) else { return Ok(()) };
            // Only such paths ever get here.
            let Ok(path) = UrlPath::parse(&path, &NamePolicy::default()) else { return Ok(()) };
            let Some(Target::Location(location)) = rule.apply(&path.decoded(), None) else { return Ok(()) };
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
