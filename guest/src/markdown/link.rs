//! Where links and images of Markdown may lead.

/// What a reference leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Something of this site.
    Own,
    /// Another site, or an address of mail.
    Elsewhere,
}

/// The schemes that links may have.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// What a reference leads to, as a browser reads it; `None` if it may not lead there.
///
/// Browsers ignore spaces around a reference, and tabs and line ends within, so that none of these may hide a scheme. A backslash is
/// a slash for them.
pub fn destination(reference: &str) -> Option<Destination> {
    if reference.chars().any(char::is_control) {
        return None;
    }
    let is_slash = |character| matches!(character, '/' | '\\');
    let reference = reference.trim_matches(' ');
    let first = reference.split(|character| is_slash(character) || matches!(character, '?' | '#')).next();
    match first.unwrap_or_default().split_once(':') {
        Some((scheme, _)) => {
            let is_known = SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
            is_known.then_some(Destination::Elsewhere)
        }
        None if reference.strip_prefix(is_slash).is_some_and(|rest| rest.starts_with(is_slash)) => {
            Some(Destination::Elsewhere)
        }
        None => Some(Destination::Own),
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, destination};

    #[test]
    fn only_harmless_schemes_are_followed() {
        for reference in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:x",
            "a b:c",
            ":",
            "http\u{0}://x",
        ] {
            assert_eq!(destination(reference), None, "{reference:?}");
        }
        for reference in ["", "a.md", "./a:b", "../a?b:c", "#a:b", "?plain", "/a", " a b ", "a\\b:c", "é"] {
            assert_eq!(destination(reference), Some(Destination::Own), "{reference:?}");
        }
        for reference in [
            "http://a.example",
            "HTTPS://a.example",
            "mailto:a@b.example",
            "//a.example",
            "\\\\a.example",
            "/\\a.example",
            " //a.example",
        ] {
            assert_eq!(destination(reference), Some(Destination::Elsewhere), "{reference:?}");
        }
    }
}
