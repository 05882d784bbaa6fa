//! The files `_headers` and `_redirects`, in the form that static hosts share.
//!
//! What is wrong in them is an error, with its line, and not passed over: a header that is not sent may be the one that
//! guards the site.

mod headers;
mod redirects;

pub use headers::{HeaderRule, parse_headers};
pub use redirects::{Redirect, Target, parse_redirects};

use crate::path::is_well_escaped;
use crate::pattern::Pattern;
use percent_encoding::percent_decode_str;
use std::fmt;

/// The most bytes of such a file: they are read for every request.
pub const LONGEST_FILE: usize = 64 * 1024;

/// The most rules in one file, and the most fields. Each is compared with the path of every request.
pub const MOST_RULES: usize = 1000;

/// The longest line, in bytes: it holds a path and a target, or a field, and is read for every request.
const LONGEST_LINE: usize = 2048;

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
    if !is_well_escaped(path) {
        return Err("`%` in a path is followed by two hexadecimal digits; the character itself is %25".into());
    }
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| "the path is not UTF-8".to_owned())?;
    let decoded = decoded.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&decoded);
    Ok(Pattern::new(decoded))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_FILE, MOST_RULES, parse_headers, parse_redirects};
    use crate::path::Hidden;
    use proptest::prelude::*;

    #[test]
    fn files_that_are_too_long_are_refused() {
        let rules = "/a\n".repeat(MOST_RULES + 1);
        let error = parse_headers(rules.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("_headers, line 1001: the file is too long"), "{error}");
        let redirects =
            |text: String| parse_redirects(text.as_bytes(), Hidden::Refused).unwrap_err().to_string();
        let error = redirects("/a /b\n".repeat(MOST_RULES + 1));
        assert!(error.starts_with("_redirects, line 1001: the file is too long"), "{error}");
        let error = redirects("#".repeat(LONGEST_FILE + 1));
        assert!(error.starts_with("_redirects, line 1: the file is too long"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(content: Vec<u8>) {
            let _ = parse_headers(&content);
            let _ = parse_redirects(&content, Hidden::Refused);
        }
    }
}
