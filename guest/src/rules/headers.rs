//! `_headers`: a path to a line, and below it, indented, the fields for it.

use super::{MOST_RULES, RuleError, lines, path_pattern, words};
use crate::fields::{self, FieldError, OwnField};
use crate::path::RULE_FILES;
use crate::pattern::Pattern;

const FILE: &str = RULE_FILES[0];

/// Fields for the paths of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Which paths.
    pub pattern: Pattern,
    /// The fields to add.
    pub set: Vec<OwnField>,
    /// The names of fields, in lower case, that are to be left out, whoever added them before this rule.
    pub unset: Vec<String>,
}

/// Reads `_headers`: a path to a line, and below it, indented, the fields for it.
pub fn parse_headers(content: &[u8]) -> Result<Vec<HeaderRule>, RuleError> {
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

#[cfg(test)]
mod tests {
    use super::parse_headers;

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
}
