//! `_headers`: a path to a line, and below it, indented, the fields for it. The setting for fields says the same on one
//! line: a pattern, a name and a value.

use super::{
    Index, Lines, MAX_RULES, Paths, RuleError, captures, may_be_about, may_match, path_pattern, pattern,
    text, words,
};
use crate::fields::{self, FieldError};
use crate::guard::{Guard, Users};
use crate::path::RULE_FILES;
use crate::pattern::Pattern;

const FILE: &str = RULE_FILES[0];

/// The setting for fields.
const SETTING: &str = "FILES_HEADERS";

/// What stands before names and passwords.
const BASIC_AUTH: &str = "basic-auth";

/// What rules change in the header of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The fields to set, names in lower case.
    pub set: Vec<(String, String)>,
    /// The names of fields to remove first, in lower case.
    pub unset: Vec<String>,
}

impl Changes {
    /// The value that the rules give a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.set.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets a field. Values join, unless the field has a single value.
    fn set(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        match self.set.iter_mut().find(|(known, _)| *known == name) {
            Some((_, joined)) if !fields::is_singleton(&name) => {
                joined.push_str(", ");
                joined.push_str(value);
            }
            Some((_, old)) => value.clone_into(old),
            None => self.set.push((name, value.to_owned())),
        }
    }

    fn unset(&mut self, name: &str) {
        self.set.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.unset.push(name.to_ascii_lowercase());
    }

    /// Adds changes that count more: their fields replace those of the same name.
    /// Does what every line of `_headers` says about the paths.
    fn follow_all(&mut self, content: &[u8], paths: &Paths) -> Result<(), RuleError> {
        let mut current = Scope::default();
        let mut rules = 0;
        let mut lines = Lines::new(content, FILE)?;
        while let Some((number, line)) = lines.next() {
            if !is_indented(line) {
                rules += 1;
                if rules > MAX_RULES {
                    return Err(RuleError::too_long(FILE, number));
                }
                current = scope(number, line, paths)?;
                if current == Scope::default() {
                    lines.skip_indented();
                }
                continue;
            }
            if rules == 0 {
                return Err(RuleError { file: FILE, line: number, message: NO_PATH.to_owned() });
            }
            self.follow((number, line), current)?;
        }
        Ok(())
    }

    /// Does what a line below a path says, where the rule has this scope.
    fn follow(&mut self, (number, line): (usize, &[u8]), scope: Scope) -> Result<(), RuleError> {
        if scope == Scope::default() {
            return Ok(());
        }
        match field(line).map_err(|message| RuleError { file: FILE, line: number, message })? {
            Field::Set(name, value) if scope.holds_for(name) => self.set(name, value),
            Field::Unset(name) if scope.holds_for(name) => self.unset(name),
            // `guards` reads what is about passwords.
            Field::Set(..) | Field::Unset(_) | Field::Auth(_) => {}
        }
        Ok(())
    }

    fn override_with(&mut self, later: Self) {
        self.set.retain(|(name, _)| later.value(name).is_none() && !later.unset.contains(name));
        self.set.extend(later.set);
        self.unset.extend(later.unset);
    }
}

/// What the lines of the setting and those of `_headers` change for a request. The latter count last.
pub(super) fn changes(
    setting: &str,
    content: &[u8],
    index: Option<&Index>,
    paths: &Paths,
) -> Result<Changes, RuleError> {
    let mut changes = Changes::default();
    for (number, line) in (1..).zip(setting.lines()) {
        if !setting_may_be_about(line, paths) {
            continue;
        }
        let wrong = |message: String| RuleError { file: SETTING, line: number, message };
        let (pattern, name, value) = setting_line(line).map_err(wrong)?;
        if Scope::of(&pattern, paths).holds_for(name) {
            changes.set(name, value);
        }
    }
    let mut own = Changes::default();
    match index {
        Some(index) => {
            for rule in index.about(paths) {
                let mut lines = Lines::from(content, rule);
                if let Some((number, line)) = lines.next() {
                    let scope = scope(number, line, paths)?;
                    let mut fields = lines.take_while(|(_, line)| is_indented(line));
                    fields.try_for_each(|line| own.follow(line, scope))?;
                }
            }
        }
        None => own.follow_all(content, paths)?,
    }
    changes.override_with(own);
    Ok(changes)
}

/// Whom a rule is about, by its first line.
fn scope(number: usize, line: &[u8], paths: &Paths) -> Result<Scope, RuleError> {
    if !may_be_about(line, paths) {
        return Ok(Scope::default());
    }
    let pattern = rule_path(line).map_err(|message| RuleError { file: FILE, line: number, message })?;
    Ok(Scope::of(&pattern, paths))
}

/// Where the rules of `_headers` are.
pub(super) fn index(content: &[u8]) -> Option<Index> {
    Index::new(content, FILE, |line| (!is_indented(line)).then_some(line))
}

/// The guards in `_headers`. An error in a line that belongs to one leaves unknown what is guarded.
pub(super) fn guards(content: &[u8]) -> Result<Vec<Guard>, RuleError> {
    let mut guards = Vec::new();
    // The line of the path, and whether the last guard is the one of that path.
    let mut path = None;
    for (number, line) in Lines::new(content, FILE)? {
        if !is_indented(line) {
            path = Some((number, line, false));
            continue;
        }
        if !is_about_passwords(line) {
            continue;
        }
        let wrong = |number| move |message| RuleError { file: FILE, line: number, message };
        let Field::Auth(users) = field(line).map_err(wrong(number))? else { continue };
        let Some((at, path, has_guard)) = &mut path else {
            return Err(wrong(number)(NO_PATH.to_owned()));
        };
        match guards.last_mut() {
            Some(guard) if *has_guard => Guard::admit(guard, users),
            _ => guards.push(Guard::new(&rule_path(path).map_err(wrong(*at))?, users)),
        }
        *has_guard = true;
    }
    Ok(guards)
}

/// Whether an indented line may be a field `Basic-Auth`.
fn is_about_passwords(line: &[u8]) -> bool {
    let start = line.trim_ascii_start();
    start.len() > BASIC_AUTH.len() && start[..BASIC_AUTH.len()].eq_ignore_ascii_case(BASIC_AUTH.as_bytes())
}

/// What of an answer a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scope {
    /// The request, in any way.
    all: bool,
    /// The type of the file that answers. The type of a file is not that of its precompressed variant.
    media_type: bool,
    /// How long the file that answers may be kept. A page that answers for a missing script is not kept as long as a script.
    lifetime: bool,
}

impl Scope {
    fn of(pattern: &Pattern<'_>, paths: &Paths) -> Self {
        let matches = |path: &String| captures(pattern, path).is_some();
        let requested = matches(&paths.requested);
        let answering = paths.answering.iter().any(matches);
        let original = paths.original.iter().any(matches);
        Self {
            all: requested || answering || original,
            media_type: requested || answering,
            lifetime: answering || original || (requested && !paths.is_substitute),
        }
    }

    fn holds_for(self, name: &str) -> bool {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-type") {
            self.media_type
        } else if is("cache-control") || is("expires") {
            self.lifetime
        } else {
            self.all
        }
    }
}

/// Whether a line of the setting may be about the request, as far as its first bytes tell.
fn setting_may_be_about(line: &str, paths: &Paths) -> bool {
    let pattern = line.split_once(": ").map_or(line, |(pattern, _)| pattern).trim().as_bytes();
    // Patterns may have spaces here.
    let end = |_: u8| false;
    !line.trim().is_empty()
        && (!pattern.starts_with(b"/") || paths.all().any(|path| may_match(pattern, path, end)))
}

/// Parses every line.
pub(super) fn check(content: &[u8]) -> Vec<RuleError> {
    let lines = match Lines::new(content, FILE) {
        Ok(lines) => lines,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    let mut rules = 0;
    for (line, bytes) in lines {
        let outcome = if is_indented(bytes) {
            let has_path = if rules == 0 { Err(NO_PATH.to_owned()) } else { Ok(()) };
            has_path.and_then(|()| field(bytes).map(drop))
        } else {
            rules += 1;
            if rules > MAX_RULES {
                errors.push(RuleError::too_long(FILE, line));
                break;
            }
            rule_path(bytes).map(drop)
        };
        errors.extend(outcome.err().map(|message| RuleError { file: FILE, line, message }));
    }
    errors
}

const NO_PATH: &str = "a path has to come before its fields";

fn is_indented(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

/// The pattern of a line that is not indented.
fn rule_path(line: &[u8]) -> Result<Pattern<'_>, String> {
    let mut words = words(text(line)?);
    let path = words.next().unwrap_or_default();
    if words.next().is_some() || !(path.starts_with('/') || path.contains("://")) {
        return Err("a path begins with a slash and has no spaces, and a field begins with spaces".to_owned());
    }
    path_pattern(path)
}

/// An indented line.
enum Field<'a> {
    Set(&'a str, &'a str),
    Unset(&'a str),
    /// Who is admitted. It is not sent.
    Auth(Users),
}

fn field(line: &[u8]) -> Result<Field<'_>, String> {
    let text = text(line)?.trim();
    if let Some(name) = text.strip_prefix('!').map(str::trim) {
        return match name {
            _ if !fields::is_name(name) => Err("`!` takes the name of a field to leave out".to_owned()),
            _ if fields::is_own(name) => Err(reserved(name)),
            _ => Ok(Field::Unset(name)),
        };
    }
    let (name, value) = text.split_once(':').unwrap_or_default();
    if name.trim().eq_ignore_ascii_case(BASIC_AUTH) {
        let users = Users::listed(value);
        return users
            .map(Field::Auth)
            .ok_or_else(|| "`Basic-Auth` takes `NAME:PASSWORD`, and more of them after spaces".to_owned());
    }
    let (name, value) = fields::checked(name, value).map_err(|error| match error {
        FieldError::Malformed => "this is no header field; it takes `Name: value`".to_owned(),
        FieldError::Reserved => reserved(name),
    })?;
    Ok(Field::Set(name, value))
}

fn reserved(name: &str) -> String {
    let name = name.trim();
    if name.eq_ignore_ascii_case(BASIC_AUTH) {
        "`Basic-Auth` stands below a path in _headers, and nothing takes it away".to_owned()
    } else {
        format!("the server itself sets `{}`; leave it out", name.escape_debug())
    }
}

/// A line of the setting: a pattern, a name and a value.
fn setting_line(line: &str) -> Result<(Pattern<'_>, &str, &str), String> {
    let line = line.trim();
    let parts =
        line.split_once(": ").and_then(|(pattern, field)| Some((pattern.trim(), field.split_once(':')?)));
    let Some((pattern, (name, value))) = parts.filter(|(pattern, _)| !pattern.is_empty()) else {
        return Err(
            "each of its lines takes `PATTERN: NAME: VALUE`, such as `*.html: X-Robots-Tag: none`".into()
        );
    };
    let (name, value) = fields::checked(name, value).map_err(|error| match error {
        FieldError::Malformed => format!("`{}` is no header field", line.escape_debug()),
        FieldError::Reserved => reserved(name),
    })?;
    Ok((setting_pattern(pattern)?, name, value))
}

/// The pattern of a line of a setting.
pub fn setting_pattern(text: &str) -> Result<Pattern<'_>, String> {
    if text.contains('/') && !text.starts_with(['/', '*']) {
        return Err(format!("a pattern with a slash begins with one, such as `/{}`", text.escape_debug()));
    }
    let text = text.strip_suffix('/').filter(|rest| rest.contains('/')).unwrap_or(text);
    pattern(text)
}

/// Checks every line of the setting for fields.
pub fn check_setting(setting: &str) -> Result<(), String> {
    setting.lines().filter(|line| !line.trim().is_empty()).try_for_each(|line| setting_line(line).map(drop))
}

#[cfg(test)]
mod tests {
    use super::{Changes, changes, check, index};
    use crate::rules::Paths;

    fn changed(setting: &str, content: &str, path: &str) -> Changes {
        let paths = Paths { requested: path.to_owned(), ..Paths::default() };
        let [plain, indexed] = [None, index(content.as_bytes()).as_ref()]
            .map(|index| changes(setting, content.as_bytes(), index, &paths).unwrap());
        assert_eq!(plain, indexed);
        plain
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn headers_stand_below_their_path() {
        let content = "\u{feff}# all\n/*\n  X-A: b\n\tX-B: c: d\n\n/private/*\r\n  ! X-A\r\n  Cache-Control: no-store\r\n";
        assert_eq!(changed("", content, "/a").set, fields(&[("x-a", "b"), ("x-b", "c: d")]));
        let private = changed("", content, "/private/a");
        assert_eq!(private.set, fields(&[("x-b", "c: d"), ("cache-control", "no-store")]));
        assert_eq!(private.unset, ["x-a"]);
        assert_eq!(changed("", "", "/"), Changes::default());
    }

    #[test]
    fn fields_of_one_source_join_and_the_sites_own_count_last() {
        let setting = "*: X-A: 1\n*.css: X-A: 2\n*.js: X-B: 3\n*: X-C: c";
        let site = "/*\n  X-C: d\n  X-D: e\n/a/*\n  ! X-D\n  X-E: f\n";
        assert_eq!(
            changed(setting, site, "/a/b.css").set,
            fields(&[("x-a", "1, 2"), ("x-c", "d"), ("x-e", "f")])
        );
    }

    #[test]
    fn a_field_with_one_value_takes_the_last() {
        let site = "/*\n  X-Frame-Options: DENY\n  Link: a\n/a\n  X-Frame-Options: SAMEORIGIN\n  Link: b\n";
        assert_eq!(
            changed("", site, "/a").set,
            fields(&[("x-frame-options", "SAMEORIGIN"), ("link", "a, b")])
        );
    }

    #[test]
    fn wrong_headers_are_told_with_their_line() {
        for (content, expected) in [
            ("\n  X-A: b", "_headers, line 2: a path has to come before its fields"),
            (
                "/*\nX-A: b",
                "_headers, line 2: a path begins with a slash and has no spaces, and a field begins with spaces",
            ),
            ("/a?b", "_headers, line 1: a rule is about a path; leave out what follows the question mark"),
            (
                "https://:project.pages.dev/*",
                "_headers, line 1: a rule is about a path of this site; rules for one host name are not supported",
            ),
            ("/*\n  X-A b", "_headers, line 2: this is no header field; it takes `Name: value`"),
            ("/*\n  X-A:\n", "_headers, line 2: this is no header field; it takes `Name: value`"),
            ("/*\n  ! ", "_headers, line 2: `!` takes the name of a field to leave out"),
            ("/*\n  ! ETag", "_headers, line 2: the server itself sets `ETag`; leave it out"),
            ("/*\n  Content-Type: x", "_headers, line 2: this is no header field; it takes `Name: value`"),
            (
                "/*\n\n  Content-Length: 5",
                "_headers, line 3: the server itself sets `Content-Length`; leave it out",
            ),
            (
                "/*\n  Basic-Auth: secret",
                "_headers, line 2: `Basic-Auth` takes `NAME:PASSWORD`, and more of them after spaces",
            ),
            (
                "/*\n  ! Basic-Auth",
                "_headers, line 2: `Basic-Auth` stands below a path in _headers, and nothing takes it away",
            ),
        ] {
            let errors: Vec<_> = check(content.as_bytes()).iter().map(ToString::to_string).collect();
            assert_eq!(errors, [expected]);
            let paths = Paths { requested: "/a".to_owned(), ..Paths::default() };
            assert_eq!(changes("", content.as_bytes(), None, &paths).unwrap_err().to_string(), expected);
        }
        let error = check(b"/a\n/\xff")[0].to_string();
        assert!(error.starts_with("_headers, line 2: this is not UTF-8"), "{error}");
    }

    #[test]
    fn an_error_fails_the_requests_that_it_could_be_about() {
        let paths = |path: &str| Paths { requested: path.to_owned(), ..Paths::default() };
        let content = b"/a/*\n  X-A\n/b\n  X-B: 1\n";
        assert!(changes("", content, None, &paths("/a/x")).is_err());
        assert_eq!(changes("", content, None, &paths("/b")).unwrap().set, fields(&[("x-b", "1")]));
    }
}
