//! The prefix of a site: the paths that it answers for.

use super::ConfigError;
use std::fmt;

/// The beginning of a path, which ends with a whole segment: `/docs` is about `/docs` and `/docs/a`, and not about `/docsy`.
/// `/` is about every path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Default for Prefix {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl Prefix {
    /// Reads a prefix. It has the characters that a path has without percent-encoding (RFC 3986 §3.3), so that it can be
    /// compared with paths as they are sent.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |why| Err(ConfigError::Prefix { text: text.to_owned(), why });
        if text == "/" {
            return Ok(Self::default());
        }
        let Some(segments) = text.strip_prefix('/') else {
            return wrong("it begins with `/`");
        };
        if text.contains(['?', '#']) {
            return wrong("it has no query and no fragment");
        }
        if text.contains('%') {
            return wrong("it has no percent-encoding");
        }
        if segments.ends_with('/') {
            return wrong("leave the last slash out");
        }
        if segments.split('/').any(|segment| ["", ".", ".."].contains(&segment)) {
            return wrong("it has no empty segments, and none that is `.` or `..`");
        }
        let is_literal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        if !text.bytes().all(is_literal) {
            return wrong("it has only characters that a path has without percent-encoding");
        }
        Ok(Self(text.to_owned()))
    }

    /// The prefix: `/`, or segments that each begin with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is about every path.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Prefix};

    #[test]
    fn a_prefix_is_a_literal_path_of_whole_segments() {
        for text in ["/", "/docs", "/a/b.c/d", "/~me/(x)", "/...", "/a..b"] {
            assert_eq!(Prefix::parse(text).unwrap().as_str(), text);
        }
        assert!(Prefix::parse("/").unwrap().is_root());
        for (text, expected) in [
            ("", "begins with `/`"),
            ("docs", "begins with `/`"),
            ("/docs?x", "no query"),
            ("/docs#x", "no query and no fragment"),
            ("/a%20b", "no percent-encoding"),
            ("/docs/", "the last slash"),
            ("//", "the last slash"),
            ("//docs", "no empty segments"),
            ("/a/../b", "`.` or `..`"),
            ("/.", "`.` or `..`"),
            ("/a b", "only characters"),
            ("/ä", "only characters"),
            ("/a\\b", "only characters"),
        ] {
            let error = Prefix::parse(text).unwrap_err();
            assert!(matches!(&error, ConfigError::Prefix { text: named, .. } if named == text));
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }
}
