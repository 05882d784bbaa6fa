//! What the operator wants: the `FILES_*` variables of the environment, validated.
//!
//! They are variables so that they work on every runtime. What each of them is called, takes and does stands in
//! [`VARIABLES`], from which a host can make its own flags and help.

mod variables;

pub use variables::{VARIABLES, Variable};

use crate::fields::{self, FieldError};
use crate::path::{Hidden, RelativePath};
use crate::pattern::Pattern;
use crate::rules::HeaderRule;
use std::fmt;

/// What all names begin with.
pub const PREFIX: &str = "FILES_";

/// Where pages for errors come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorPages {
    /// `404.html` of the nearest directory.
    Nearest,
    /// `<status>.html` of one directory.
    Directory(RelativePath),
    /// Nowhere.
    None,
}

/// Which origins may read answers (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// None but the server's own.
    None,
    /// All.
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
    /// `FILES_LISTING`
    pub listing: bool,
    /// `FILES_CLEAN_URLS`
    pub clean_urls: bool,
    /// `FILES_SPA`
    pub spa: Option<RelativePath>,
    /// `FILES_ERROR_PAGE`
    pub error_pages: ErrorPages,
    /// `FILES_HIDDEN`
    pub hidden: Hidden,
    /// `FILES_PRECOMPRESSED`
    pub precompressed: bool,
    /// `FILES_CACHE_CONTROL`: the first pattern that fits; `None` fits every path.
    pub cache_control: Vec<(Option<Pattern>, String)>,
    /// `FILES_HEADERS`
    pub headers: Vec<HeaderRule>,
    /// `FILES_SECURITY_HEADERS`
    pub security_headers: bool,
    /// `FILES_CORS`
    pub cors: Cors,
    /// `FILES_RULES`
    pub rules: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            index: vec!["index.html".to_owned()],
            listing: false,
            clean_urls: true,
            spa: None,
            error_pages: ErrorPages::Nearest,
            hidden: Hidden::Refused,
            precompressed: true,
            cache_control: Vec::new(),
            headers: Vec::new(),
            security_headers: false,
            cors: Cors::None,
            rules: false,
        }
    }
}

/// A setting that cannot be meant: which, what it got, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    name: String,
    value: String,
    accepts: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, accepts } = self;
        // Escaped, for it is one line whatever was set.
        write!(f, "{} is `{}`, but {accepts}", name.escape_debug(), value.escape_debug())
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings among the variables of an environment. A variable of another prefix is no concern of this;
    /// one of this prefix that is unknown is an error, for it was meant to do something.
    pub fn from_environment(variables: &[(String, String)]) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        // Others depend on it.
        if let Some((name, value)) = variables.iter().rfind(|(name, _)| name == "FILES_HIDDEN") {
            let served = switch(value).map_err(|accepts| error(name, value, accepts))?;
            settings.hidden = if served { Hidden::Served } else { Hidden::Refused };
        }
        for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            settings.set(name, value).map_err(|accepts| error(name, value, accepts))?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let hidden = self.hidden;
        match name {
            "FILES_INDEX" => {
                let names: Vec<String> = words(value).map(str::to_owned).collect();
                let served =
                    |name: &String| RelativePath::root().join("x").served_child(name, hidden).is_some();
                if names.is_empty() || !names.iter().all(served) {
                    return Err("it takes names of files, separated by spaces, such as `index.html`".into());
                }
                self.index = names;
            }
            "FILES_LISTING" => self.listing = switch(value)?,
            "FILES_CLEAN_URLS" => self.clean_urls = switch(value)?,
            "FILES_SPA" => {
                let path =
                    RelativePath::from_setting(value, hidden).filter(|path| *path != RelativePath::root());
                self.spa =
                    Some(path.ok_or("it takes a file below the served directory, such as `index.html`")?);
            }
            "FILES_ERROR_PAGE" => {
                self.error_pages = match value {
                    "off" => ErrorPages::None,
                    _ => ErrorPages::Directory(
                        RelativePath::from_setting(value, hidden).filter(|_| !value.is_empty()).ok_or(
                            "it takes a directory below the served one that holds 404.html, such as `errors`, or `off`",
                        )?,
                    ),
                };
            }
            "FILES_HIDDEN" => {}
            "FILES_PRECOMPRESSED" => self.precompressed = switch(value)?,
            "FILES_CACHE_CONTROL" => {
                self.cache_control = lines(value).map(cache_rule).collect::<Result<_, _>>()?;
            }
            "FILES_HEADERS" => self.headers = lines(value).map(header_rule).collect::<Result<_, _>>()?,
            "FILES_SECURITY_HEADERS" => self.security_headers = switch(value)?,
            "FILES_CORS" => self.cors = cors(value)?,
            "FILES_RULES" => self.rules = switch(value)?,
            _ => {
                let known: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
                return Err(format!("there is no such setting; there are {}", known.join(", ")));
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

fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn cache_rule(line: &str) -> Result<(Option<Pattern>, String), String> {
    let (pattern, value) = match line.split_once(": ") {
        Some((pattern, value)) => (Some(Pattern::new(pattern.trim())), value.trim()),
        None => (None, line),
    };
    if value.is_empty() || value.contains(':') || !fields::is_value(value) {
        return Err(
            "each of its lines takes `PATTERN: VALUE` or `VALUE`, such as `*.css: max-age=3600`".into()
        );
    }
    Ok((pattern, value.to_owned()))
}

fn header_rule(line: &str) -> Result<HeaderRule, String> {
    let parts = line.split_once(": ").and_then(|(pattern, field)| Some((pattern, field.split_once(':')?)));
    let Some((pattern, (name, value))) = parts.filter(|(pattern, _)| !pattern.trim().is_empty()) else {
        return Err(
            "each of its lines takes `PATTERN: NAME: VALUE`, such as `*.html: X-Robots-Tag: none`".into()
        );
    };
    let field = fields::checked(name, value).map_err(|error| match error {
        FieldError::Malformed => format!("`{}` is no header field", line.escape_debug()),
        FieldError::Reserved => format!("the server itself says what `{}` is", name.trim().escape_debug()),
    })?;
    Ok(HeaderRule { pattern: Pattern::new(pattern.trim()), set: vec![field], unset: Vec::new() })
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
    use super::{Cors, ErrorPages, Settings, VARIABLES};
    use crate::path::Hidden;
    use proptest::prelude::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::from_environment(&variables).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_set_is_the_default() {
        assert_eq!(read(&[("PATH", "/bin"), ("files_index", "x")]), Ok(Settings::default()));
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
            ("FILES_PRECOMPRESSED", "off"),
            ("FILES_CACHE_CONTROL", "*.css: max-age=60\n/static/*: public, max-age=3600\nno-store"),
            ("FILES_HEADERS", "*: X-A: b: c\n/x/*: X-B:y"),
            ("FILES_SECURITY_HEADERS", "on"),
            ("FILES_CORS", "https://A.example http://localhost:3000"),
            ("FILES_RULES", "on"),
        ])
        .unwrap();
        assert_eq!(settings.index, ["index.htm", ".start", "default.html"]);
        assert!(settings.listing && settings.security_headers && settings.rules);
        assert!(!settings.clean_urls && !settings.precompressed);
        assert_eq!(settings.spa.unwrap().as_str(), "app/index.html");
        assert!(matches!(settings.error_pages, ErrorPages::Directory(path) if path.as_str() == "errors"));
        assert_eq!(settings.hidden, Hidden::Served);
        let values: Vec<_> = settings.cache_control.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["max-age=60", "public, max-age=3600", "no-store"]);
        assert!(settings.cache_control[2].0.is_none());
        assert_eq!(settings.headers[0].set, [("x-a".into(), "b: c".into())]);
        assert_eq!(settings.headers[1].set, [("x-b".into(), "y".into())]);
        let origins = vec!["https://a.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(settings.cors, Cors::Origins(origins));
        assert_eq!(read(&[("FILES_CORS", "*")]).unwrap().cors, Cors::Any);
        assert_eq!(read(&[("FILES_ERROR_PAGE", "off")]).unwrap().error_pages, ErrorPages::None);
    }

    #[test]
    fn an_error_names_the_variable_what_it_got_and_what_it_takes() {
        assert_eq!(
            read(&[("FILES_LISTING", "yes\n")]),
            Err("FILES_LISTING is `yes\\n`, but it takes `on` or `off`".into())
        );
        assert_eq!(
            read(&[("FILES_HEADERS", "*: Content-Length: 5")]).unwrap_err(),
            "FILES_HEADERS is `*: Content-Length: 5`, but the server itself says what `Content-Length` is"
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
            ("FILES_LISTING", &["", "ON", "1"]),
            ("FILES_CLEAN_URLS", &["true"]),
            ("FILES_SPA", &["", "/", "../index.html", "https://x/y"]),
            ("FILES_ERROR_PAGE", &["", "../x", "on/../x"]),
            ("FILES_HIDDEN", &["maybe"]),
            ("FILES_PRECOMPRESSED", &["br"]),
            ("FILES_CACHE_CONTROL", &["*.css: ", "*.css: a: b", "max-age=\u{1}"]),
            ("FILES_HEADERS", &["X-A: b", "*: : b", "*: X A: b", "*: X-A: \u{1b}", "*: Date: x", "*: Vary"]),
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
            let message = read(&[(variable.name, "\u{1}:")]).unwrap_err();
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
