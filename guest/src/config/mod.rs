//! The settings: the `FILES_*` variables of the environment, validated.
//!
//! They are variables so that they work on every runtime. [`VARIABLES`] describes each of them, and a host can make its flags
//! and help from it.

mod variables;

pub use variables::{NAMES, VARIABLES, Variable};

use crate::guard::{Guard, REALM, Users};
use crate::path::{NamePolicy, RelativePath, is_site_name};
use crate::rules::{Index, RuleError};
use crate::table::Table;
use crate::{fields, markdown, media_type, rules};
use std::fmt;

/// The prefix of all names.
pub const PREFIX: &str = "FILES_";

/// Variables that only a host sets: the contents of `_headers` and of `_redirects`, in the place of the files. So a host can keep
/// the rules that it has checked until the files are right again, and no request reads them.
pub const RULE_TEXTS: [&str; 2] = ["FILES_HEADERS_TEXT", "FILES_REDIRECTS_TEXT"];

/// A variable that only a host sets: `on` where a file's stream that becomes a response's body unread is sent up to the
/// response's Content-Length and no further. The file server of WASI 0.3 then hands over the streams of single ranges too.
/// Elsewhere, it copies bodies: a stream has no end of its own but that of the file, and a body that is longer than its
/// Content-Length is an error.
pub const BOUNDED_STREAMS: &str = "FILES_BOUNDED_STREAMS";

/// A variable that only a host sets: `on` where the body of a response with [`GZIP_FIELD`](crate::archive::GZIP_FIELD) is compressed
/// on its way. Elsewhere, archives are not.
pub const COMPRESSED_ARCHIVES: &str = "FILES_COMPRESSED_ARCHIVES";

/// The setting for guards.
pub const AUTH: &str = "FILES_AUTH";

/// Where pages for errors come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorPages {
    /// `404.html` of the nearest directory.
    Nearest,
    /// `<status>.html` of one directory.
    Directory(RelativePath),
    /// The server's own.
    None,
}

/// How pages are answered that have a clean URL: `/about` for `about.html`, and `/` for `index.html`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUrls {
    /// Under their file names only.
    Off,
    /// Under both; the file name names the clean URL as the canonical one.
    On,
    /// Under the clean URL, to which the file name redirects.
    Redirect,
}

/// Which files of Markdown are rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendering {
    /// None: they are sent and shown as text.
    Off,
    /// Those below listings.
    Readme,
    /// Those below listings, and the others as pages for browsers.
    Pages,
}

/// Which times entity tags are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagSource {
    /// The modification time, and the time of the last change where a tool may have set the former.
    Auto,
    /// The modification time alone, so that replicas of a site agree.
    Modification,
}

/// Splits a line into its pattern, if it has one, and its value.
fn split_pattern(line: &str) -> (Option<&str>, &str) {
    match line.split_once(": ") {
        Some((pattern, value)) => (Some(pattern.trim()), value.trim()),
        None => (None, line),
    }
}

/// Reads the lines of a setting, `PATTERN: VALUE` or `VALUE` for every path. `value` reads a value; `None` where there can be none such.
fn table<T>(text: &str, otherwise: T, value: impl Fn(Option<&str>, &str) -> Option<T>) -> Option<Table<T>> {
    let mut table = Vec::new();
    let mut for_all = None;
    for line in lines(text) {
        let (pattern, text) = split_pattern(line);
        let value = value(pattern, text)?;
        match pattern {
            Some(pattern) if for_all.is_none() => {
                table.push((rules::setting_pattern(pattern).ok()?.into_owned(), value));
            }
            Some(pattern) => drop(rules::setting_pattern(pattern).ok()?),
            None => _ = for_all.get_or_insert(value),
        }
    }
    Some(Table::new(table, for_all.unwrap_or(otherwise)))
}

/// The same of a setting that says at least one thing, and nothing that has no effect: a line that is meant to close a path must not
/// stand behind one that opens every path.
fn decisive_table<T>(
    text: &str,
    otherwise: T,
    takes: &str,
    value: impl Fn(Option<&str>, &str) -> Option<T>,
) -> Result<Table<T>, String> {
    let table = table(text, otherwise, value).filter(|_| !text.trim().is_empty()).ok_or(takes)?;
    let mut rest = lines(text).skip_while(|line| split_pattern(line).0.is_some());
    match (rest.next(), rest.next()) {
        (Some(for_all), Some(line)) => Err(format!(
            "its line `{}` has no effect after `{}`, which is about every path; put it before that",
            line.escape_debug(),
            for_all.escape_debug()
        )),
        _ => Ok(table),
    }
}

/// A table of switches.
fn switches(text: &str) -> Result<Table<bool>, String> {
    let takes = "it takes `on` or `off`, or lines such as `/docs/*: on`";
    decisive_table(text, false, takes, |_, value| switch(value).ok())
}

/// Which origins may read answers (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// None but the server's own.
    None,
    /// Every origin.
    Any,
    /// These.
    Origins(Vec<String>),
}

/// The settings of the file server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Settings {
    /// `FILES_INDEX`
    pub index: Vec<String>,
    /// `FILES_LISTING`, by the path of the directory
    pub listing: Table<bool>,
    /// `FILES_ARCHIVE`, by the path of the directory
    pub archive: Table<bool>,
    /// `FILES_CLEAN_URLS`, by the path of the page
    pub clean_urls: Table<CleanUrls>,
    /// `FILES_SPA`, by the path of the request
    pub spa: Table<Option<RelativePath>>,
    /// `FILES_ERROR_PAGE`
    pub error_pages: ErrorPages,
    /// `FILES_HIDDEN` and `FILES_PORTABLE_NAMES`
    pub names: NamePolicy,
    /// `FILES_MARKDOWN`
    pub markdown: Rendering,
    /// `FILES_PRECOMPRESSED`
    pub precompressed: bool,
    /// `FILES_AUTH`
    pub guards: Vec<Guard>,
    /// `FILES_CACHE_CONTROL`
    pub cache_control: Table<Option<String>>,
    /// `FILES_TYPE`
    pub types: Table<Option<String>>,
    /// `FILES_ETAG`
    pub tags: TagSource,
    /// `FILES_DIGESTS`
    pub digests: bool,
    /// `FILES_HEADERS`: lines of `PATTERN: NAME: VALUE`
    pub headers: String,
    /// `FILES_SECURITY_HEADERS`
    pub security_headers: bool,
    /// `FILES_CORS`
    pub cors: Cors,
    /// `FILES_RULES`
    pub rules: bool,
    /// What the host gives in the place of the files of rules, in the order of [`RULE_TEXTS`].
    pub rule_texts: [Option<String>; 2],
    /// Where the rules are in them.
    pub rule_indexes: [Option<Index>; 2],
    /// The guards in the first of them.
    pub rule_guards: Result<Vec<Guard>, RuleError>,
    /// [`REALM`]
    pub realm: Option<String>,
    /// [`BOUNDED_STREAMS`]
    pub bounded_streams: bool,
    /// [`COMPRESSED_ARCHIVES`]
    pub compressed_archives: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            index: vec!["index.html".to_owned()],
            listing: Table::uniform(false),
            archive: Table::uniform(false),
            clean_urls: Table::uniform(CleanUrls::On),
            spa: Table::uniform(None),
            error_pages: ErrorPages::Nearest,
            names: NamePolicy::default(),
            markdown: Rendering::Off,
            precompressed: true,
            guards: Vec::new(),
            cache_control: Table::uniform(None),
            types: Table::uniform(None),
            tags: TagSource::Auto,
            digests: false,
            headers: String::new(),
            security_headers: false,
            cors: Cors::None,
            rules: false,
            rule_texts: [None, None],
            rule_indexes: [None, None],
            rule_guards: Ok(Vec::new()),
            realm: None,
            bounded_streams: false,
            compressed_archives: false,
        }
    }
}

/// An invalid setting: its name, its value, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    name: String,
    value: String,
    accepts: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, accepts } = self;
        // Escaped, so that it is one line whatever the value.
        write!(f, "{} is `{}`, but {accepts}", name.escape_debug(), value.escape_debug())
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings among the variables of an environment. Variables without the prefix are ignored; an unknown one
    /// with it is an error, because it was meant to do something.
    pub fn from_environment(variables: Vec<(String, String)>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let own = || variables.iter().filter(|(name, _)| name.starts_with(PREFIX));
        // Which names are valid in the other settings depends on these two.
        for (name, value) in own() {
            let outcome = match name.as_str() {
                "FILES_HIDDEN" => switches(value).map(|hidden| settings.names.hidden = hidden),
                "FILES_PORTABLE_NAMES" => switch(value).map(|portable| settings.names.portable = portable),
                _ => continue,
            };
            outcome.map_err(|accepts| error(name, value, accepts))?;
        }
        for (name, value) in own() {
            settings.set(name, value).map_err(|accepts| error(name, value, accepts))?;
        }
        if settings.realm.is_none()
            && let Some((name, value)) = own().find(|(name, _)| name == AUTH)
        {
            return Err(error(name, value, "only a host that checks passwords has it".into()));
        }
        // Not copied: they may be long.
        for (name, value) in variables {
            let place = RULE_TEXTS.iter().position(|text| *text == name);
            if let Some(place) = place.and_then(|place| settings.rule_texts.get_mut(place)) {
                *place = Some(value);
            }
        }
        let texts = settings.rule_texts.each_ref();
        settings.rule_indexes = rules::indexes(texts.map(|text| text.as_deref().map(str::as_bytes)));
        if let [Some(headers), _] = &settings.rule_texts {
            settings.rule_guards = rules::guards(headers.as_bytes());
        }
        Ok(settings)
    }

    /// Whether a README of Markdown is rendered below a listing.
    pub fn renders_readme(&self) -> bool {
        markdown::IS_BUILT && self.markdown != Rendering::Off
    }

    /// Whether other files of Markdown are rendered.
    pub fn renders_pages(&self) -> bool {
        markdown::IS_BUILT && self.markdown == Rendering::Pages
    }

    /// The media type of a file, by its path.
    pub fn media_type(&self, file: &RelativePath) -> &str {
        let set = self.types.of_file(|| file.decoded()).as_deref();
        set.unwrap_or_else(|| media_type::of(file))
    }

    /// Whether rules can say something of a request: in the settings, or in files of the site.
    pub fn has_rules(&self) -> bool {
        self.rules || !self.headers.is_empty() || !self.guards.is_empty()
    }

    /// As [`Settings::from_environment`], and checks the rules in them too, which a request reads only as far as it has to.
    pub fn checked(variables: &[(String, String)]) -> Result<Self, SettingsError> {
        let settings = Self::from_environment(variables.to_vec())?;
        let headers = &settings.headers;
        rules::check_setting(headers).map_err(|accepts| error("FILES_HEADERS", headers, accepts))?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let policy = &self.names;
        match name {
            "FILES_INDEX" => {
                let names: Vec<String> = words(value).map(str::to_owned).collect();
                let serves_hidden = policy.hidden.same_for_all() != Some(&false);
                let served =
                    |name: &String| is_site_name(name, policy) && (serves_hidden || !name.starts_with('.'));
                if names.is_empty() || !names.iter().all(served) {
                    return Err("it takes names of files, separated by spaces, such as `index.html`".into());
                }
                self.index = names;
            }
            "FILES_LISTING" => self.listing = switches(value)?,
            "FILES_ARCHIVE" => self.archive = switches(value)?,
            "FILES_CLEAN_URLS" => {
                let takes = "it takes `on`, `redirect` or `off`, or lines such as `/docs/*: off`";
                self.clean_urls = decisive_table(value, CleanUrls::On, takes, |_, value| match value {
                    "on" => Some(CleanUrls::On),
                    "redirect" => Some(CleanUrls::Redirect),
                    "off" => Some(CleanUrls::Off),
                    _ => None,
                })?;
            }
            "FILES_SPA" => {
                let takes = "it takes a file below the served directory, such as `index.html`, or lines such as \
                             `/app/*: app/index.html`";
                let page = |pattern: Option<&str>, value: &str| {
                    if pattern.is_some() && value == "off" {
                        return Some(None);
                    }
                    let path = RelativePath::from_setting(value, policy)?;
                    (path != RelativePath::root()).then_some(Some(path))
                };
                self.spa = decisive_table(value, None, takes, page)?;
            }
            "FILES_ERROR_PAGE" => {
                self.error_pages = match value {
                    "off" => ErrorPages::None,
                    _ => ErrorPages::Directory(
                        RelativePath::from_setting(value, policy).filter(|_| !value.is_empty()).ok_or(
                            "it takes a directory below the served one that holds 404.html, such as `errors`, or `off`",
                        )?,
                    ),
                };
            }
            // Read before the others.
            "FILES_HIDDEN" | "FILES_PORTABLE_NAMES" => {}
            "FILES_MARKDOWN" => {
                self.markdown = match value {
                    "readme" => Rendering::Readme,
                    _ if switch(value).map_err(|_| "it takes `on`, `readme` or `off`")? => Rendering::Pages,
                    _ => Rendering::Off,
                };
                if self.markdown != Rendering::Off && !markdown::IS_BUILT {
                    return Err(
                        "this component has no Markdown; `wasi-httpd guest --markdown` writes one that has"
                            .into(),
                    );
                }
            }
            "FILES_PRECOMPRESSED" => self.precompressed = switch(value)?,
            AUTH => self.guards = guards(value)?,
            "FILES_CACHE_CONTROL" => {
                let checked = |_: Option<&str>, value: &str| {
                    let is_valid = !value.is_empty() && !value.contains(':') && fields::is_value(value);
                    is_valid.then(|| Some(value.to_owned()))
                };
                self.cache_control = table(value, None, checked).ok_or(
                    "each of its lines takes `PATTERN: VALUE` or `VALUE`, such as `*.css: max-age=3600`",
                )?;
            }
            "FILES_TYPE" => {
                let checked = |pattern: Option<&str>, value: &str| {
                    let is_valid = pattern.is_some() && media_type::is_valid(value);
                    is_valid.then(|| Some(value.to_owned()))
                };
                self.types = table(value, None, checked)
                    .ok_or("each of its lines takes `PATTERN: TYPE`, such as `*.foo: text/plain`")?;
            }
            "FILES_ETAG" => {
                self.tags = match value {
                    "auto" => TagSource::Auto,
                    "mtime" => TagSource::Modification,
                    _ => return Err("it takes `auto` or `mtime`".into()),
                };
            }
            "FILES_DIGESTS" => self.digests = switch(value)?,
            // Checked by `check`, or line by line where one is about a request.
            "FILES_HEADERS" => value.clone_into(&mut self.headers),
            "FILES_SECURITY_HEADERS" => self.security_headers = switch(value)?,
            "FILES_CORS" => self.cors = cors(value)?,
            "FILES_RULES" => self.rules = switch(value)?,
            BOUNDED_STREAMS => self.bounded_streams = switch(value)?,
            COMPRESSED_ARCHIVES => self.compressed_archives = switch(value)?,
            REALM => self.realm = Some(value.to_owned()),
            // Taken over after the others.
            name if RULE_TEXTS.contains(&name) => {}
            _ => {
                return Err(format!("there is no such setting; there are {}", NAMES.join(", ")));
            }
        }
        Ok(())
    }
}

fn error(name: &str, value: &str, accepts: String) -> SettingsError {
    SettingsError { name: name.to_owned(), value: value.to_owned(), accepts }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it takes `on` or `off`".into()),
    }
}

/// Words that spaces, commas or line ends separate.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', ',', '\n']).filter(|word| !word.is_empty())
}

/// The guards of `FILES_AUTH`.
fn guards(value: &str) -> Result<Vec<Guard>, String> {
    let guard = |line| {
        let (pattern, users) = split_pattern(line);
        let (pattern, users) = pattern.map_or((users, ""), |pattern| (pattern, users));
        // `PATTERN:` without a user was meant to name some.
        if pattern.is_empty() || pattern.ends_with(':') {
            return Err(
                "each of its lines takes `PATTERN` or `PATTERN: USERS`, such as `/private/*: ann bob`".into(),
            );
        }
        let users = Users::Checked(words(users).map(str::to_owned).collect());
        rules::setting_pattern(pattern).map(|pattern| Guard::new(&pattern, users))
    };
    let guards = lines(value).map(guard).collect::<Result<Vec<_>, _>>()?;
    if guards.is_empty() {
        Err("it takes patterns of paths, such as `/private/*`".into())
    } else {
        Ok(guards)
    }
}

fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn cors(value: &str) -> Result<Cors, String> {
    if value == "*" {
        return Ok(Cors::Any);
    }
    let origins: Vec<String> = words(value).map(str::to_ascii_lowercase).collect();
    if origins.is_empty() || !origins.iter().all(|origin| is_origin(origin)) {
        return Err("it takes `*`, or origins such as `https://example.com`, separated by spaces".into());
    }
    Ok(Cors::Origins(origins))
}

/// Whether this is a scheme, a host and perhaps a port, and nothing more (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::{CleanUrls, Cors, ErrorPages, RULE_TEXTS, Rendering, Settings, TagSource, VARIABLES};
    use crate::path::{NamePolicy, RelativePath};
    use crate::table::Table;
    use proptest::prelude::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::checked(&variables).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(read(&[("PATH", "/bin"), ("files_index", "x")]), Ok(Settings::default()));
    }

    #[test]
    fn rules_that_a_host_gives_are_taken_over() {
        let [headers, redirects] = RULE_TEXTS;
        assert_eq!(read(&[]).unwrap().rule_texts, [None, None]);
        let settings = read(&[(headers, ""), (redirects, "/a /b\n")]).unwrap();
        assert_eq!(settings.rule_texts, [Some(String::new()), Some("/a /b\n".to_owned())]);
        assert!(VARIABLES.iter().all(|variable| !RULE_TEXTS.contains(&variable.name)));
    }

    #[test]
    fn every_setting_is_read() {
        let settings = read(&[
            ("FILES_INDEX", "index.htm, .start default.html"),
            ("FILES_LISTING", "on"),
            ("FILES_CLEAN_URLS", "off"),
            ("FILES_SPA", "/app/index.html"),
            ("FILES_ERROR_PAGE", "errors/"),
            ("FILES_HIDDEN", "on"),
            ("FILES_MARKDOWN", "readme"),
            ("FILES_PORTABLE_NAMES", "on"),
            ("FILES_TYPE", "*.foo: text/plain\n/a/*: model/x; y=z"),
            ("FILES_ETAG", "mtime"),
            ("FILES_DIGESTS", "on"),
            ("FILES_PRECOMPRESSED", "off"),
            ("FILES_CACHE_CONTROL", "*.css: max-age=60\n/static/*: public, max-age=3600\nno-store"),
            ("FILES_HEADERS", "*: X-A: b: c\n/x/*: X-B:y"),
            ("FILES_SECURITY_HEADERS", "on"),
            ("FILES_CORS", "https://A.example http://localhost:3000"),
            ("FILES_RULES", "on"),
        ])
        .unwrap();
        assert_eq!(settings.index, ["index.htm", ".start", "default.html"]);
        assert!(settings.security_headers && settings.rules && !settings.precompressed);
        assert!(settings.digests);
        assert_eq!(settings.markdown, Rendering::Readme);
        assert_eq!(settings.listing, Table::uniform(true));
        assert_eq!(settings.clean_urls, Table::uniform(CleanUrls::Off));
        let page = settings.spa.same_for_all().unwrap().as_ref().unwrap();
        assert_eq!(page.as_str(), "app/index.html");
        assert!(matches!(settings.error_pages, ErrorPages::Directory(path) if path.as_str() == "errors"));
        assert_eq!(settings.names, NamePolicy { hidden: Table::uniform(true), portable: true });
        assert_eq!(settings.tags, TagSource::Modification);
        let cached = |path: &str| settings.cache_control.of_file(|| path.to_owned()).as_deref();
        assert_eq!(cached("/static/a.css"), Some("max-age=60"));
        assert_eq!(cached("/static/a.js"), Some("public, max-age=3600"));
        assert_eq!(cached("/a.js"), Some("no-store"));
        let typed = |path: &str| settings.types.of_file(|| path.to_owned()).as_deref();
        assert_eq!(typed("/a/x.bar"), Some("model/x; y=z"));
        assert_eq!(typed("/x.bar"), None);
        assert_eq!(settings.headers, "*: X-A: b: c\n/x/*: X-B:y");
        let origins = vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(settings.cors, Cors::Origins(origins));
        assert_eq!(read(&[("FILES_CORS", "*")]).unwrap().cors, Cors::Any);
        assert_eq!(read(&[("FILES_ERROR_PAGE", "off")]).unwrap().error_pages, ErrorPages::None);
    }

    #[test]
    fn a_setting_may_depend_on_the_path() {
        let settings = read(&[
            ("FILES_LISTING", "/private/*: off\n/*: on"),
            ("FILES_ARCHIVE", "/docs: on"),
            ("FILES_CLEAN_URLS", "/blog/*: redirect\n*.htm.html: off"),
            ("FILES_SPA", "/api/*: off\n/.app/*: .app/index.html\nindex.html"),
            ("FILES_HIDDEN", "/.app/*: on\noff"),
            ("FILES_INDEX", ".start"),
        ])
        .unwrap();
        let listing = |path: &str| *settings.listing.of_path(|| path.to_owned());
        assert!(listing("/") && listing("/docs") && !listing("/private") && !listing("/private/a"));
        let archive = |path: &str| *settings.archive.of_path(|| path.to_owned());
        assert!(archive("/docs") && !archive("/docs/a") && !archive("/"));
        let clean = |path: &str| *settings.clean_urls.of_file(|| path.to_owned());
        assert_eq!(clean("/blog/a.html"), CleanUrls::Redirect);
        assert_eq!(clean("/a.htm.html"), CleanUrls::Off);
        assert_eq!(clean("/a.html"), CleanUrls::On);
        let spa = |path: &str| settings.spa.of_path(|| path.to_owned()).as_ref().map(RelativePath::as_str);
        assert_eq!(spa("/api"), None);
        assert_eq!(spa("/.app/x"), Some(".app/index.html"));
        assert_eq!(spa("/x"), Some("index.html"));
        assert_eq!(settings.names.hidden.same_for_all(), None);
    }

    #[test]
    fn an_error_names_the_variable_what_it_got_and_what_it_takes() {
        assert_eq!(
            read(&[("FILES_LISTING", "yes\n")]),
            Err("FILES_LISTING is `yes\\n`, but it takes `on` or `off`, or lines such as `/docs/*: on`"
                .into())
        );
        assert_eq!(
            read(&[("FILES_HEADERS", "*: Content-Length: 5")]).unwrap_err(),
            "FILES_HEADERS is `*: Content-Length: 5`, but the server itself sets `Content-Length`; leave it out"
        );
        let unknown = read(&[("FILES_LISTINGS", "on")]).unwrap_err();
        assert!(
            unknown.contains("there is no such setting") && unknown.contains("FILES_LISTING,"),
            "{unknown}"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, values) in [
            ("FILES_INDEX", ["", "../x", "a/b", ".hidden", "a\\b"].as_slice()),
            ("FILES_LISTING", &["", "ON", "1", "\n", "/a/*: yes", "a/b: on", "on\n/a: off", "off\noff"]),
            ("FILES_ARCHIVE", &["", "tar", "on\n/a: off"]),
            ("FILES_CLEAN_URLS", &["true", "/a: ", "redirect\n/a: off"]),
            ("FILES_PORTABLE_NAMES", &["yes"]),
            ("FILES_TYPE", &["text/plain", "*.foo: text", "*.foo: ", "a/*: text/plain"]),
            ("FILES_ETAG", &["inode"]),
            ("FILES_SPA", &["", "/", "../index.html", "https://x/y", "/a: ../x", "/a: .x/y", "a\nb"]),
            ("FILES_ERROR_PAGE", &["", "../x", "on/../x"]),
            ("FILES_HIDDEN", &["maybe", "", "/.a/%: on", "on\n/.git/*: off"]),
            ("FILES_PRECOMPRESSED", &["br"]),
            ("FILES_AUTH", &["", "/a:", "/a: ", ": ann", "a/*", "/%2A", "/a"]),
            ("FILES_CACHE_CONTROL", &["*.css: ", "*.css: a: b", "max-age=\u{1}"]),
            (
                "FILES_HEADERS",
                &[
                    "X-A: b",
                    "*: : b",
                    "*: X A: b",
                    "*: X-A: \u{1b}",
                    "*: Date: x",
                    "*: Vary",
                    "*: Basic-Auth: a:b",
                ],
            ),
            ("FILES_SECURITY_HEADERS", &["strict"]),
            ("FILES_CORS", &["", "example.com", "https://", "https://a/b", "ftp://a", "null"]),
            ("FILES_RULES", &["_headers"]),
        ] {
            for value in values {
                let message = read(&[(name, value)]).unwrap_err();
                assert!(message.starts_with(name), "{name}={value}: {message}");
                assert!(!message.contains('\n'), "{message}");
            }
        }
    }

    #[test]
    fn every_variable_is_known_and_described() {
        for variable in VARIABLES {
            let message = read(&[(variable.name, "\u{1}\\")]).unwrap_err();
            assert!(!message.contains("no such setting"), "{message}");
            assert!(!variable.meaning.is_empty() && !variable.default.is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_value_is_answered(at in 0..VARIABLES.len(), value: String) {
            let _ = read(&[(VARIABLES[at].name, &value)]);
        }
    }
}
