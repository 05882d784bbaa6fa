//! Patterns of paths, as operators write them in settings and in `_headers` and `_redirects`.
//!
//! `*` stands for any characters, also slashes; `:name` at the start of a segment stands for one segment, or for its start
//! when the rest of the segment is literal, as in `/:page.html`. A pattern without a slash is compared with the file name
//! alone. Paths are compared decoded, as they are opened.
//!
//! Patterns are matched in the text in which they were written: a fresh instance reads every rule for each request, and
//! most of them differ from the path within a few bytes.

use std::borrow::Cow;

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern<'a> {
    text: Cow<'a, str>,
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'p> {
    Literal(&'p str),
    /// `*`
    Any,
    /// `:name`, and what follows it in the segment
    Segment {
        name: &'p str,
        suffix: &'p str,
    },
}

/// What the wildcards of a pattern stand for in one path: `splat` for `*`, and the names of the segments.
pub type Captures<'a> = Vec<(&'a str, &'a str)>;

/// What `*` is called in the target of a redirect.
pub const SPLAT: &str = "splat";

impl<'a> Pattern<'a> {
    /// Reads a pattern. Every text is one.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into() }
    }

    /// The same pattern with a text of its own.
    #[must_use]
    pub fn into_owned(self) -> Pattern<'static> {
        Pattern { text: Cow::Owned(self.text.into_owned()) }
    }

    /// The text in which it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern has a `*` that is not its end, or more than one.
    pub fn has_inner_star(&self) -> bool {
        self.text.trim_end_matches('*').contains('*')
    }

    /// Whether the pattern has a wildcard of this name.
    pub fn names(&self, name: &str) -> bool {
        self.tokens().any(|token| match token {
            Token::Literal(_) => false,
            Token::Any => name == SPLAT,
            Token::Segment { name: known, .. } => known == name,
        })
    }

    /// How many wildcards the pattern has.
    pub fn wildcards(&self) -> usize {
        self.tokens().filter(|token| !matches!(token, Token::Literal(_))).count()
    }

    /// Whether a decoded path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.captures(path).is_some()
    }

    fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (token, next) = token(&self.text, at)?;
            at = next;
            Some(token)
        })
    }

    /// What the wildcards stand for in a decoded path; `None` when it does not match.
    pub fn captures<'p>(&'p self, path: &'p str) -> Option<Captures<'p>> {
        captures(&self.text, path)
    }

    /// The same for a directory without its slash, which `/docs/*` matches too: `/docs`.
    pub fn captures_of_directory<'p>(&'p self, path: &'p str) -> Option<Captures<'p>> {
        let mut captures = captures(self.text.strip_suffix("/*")?, path)?;
        captures.push((SPLAT, ""));
        Some(captures)
    }
}

/// The token at a byte of a pattern, and where the next one begins; `None` at the end.
fn token(pattern: &str, at: usize) -> Option<(Token<'_>, usize)> {
    let text = &pattern[at..];
    let first = *text.as_bytes().first()?;
    if first == b'*' {
        // Two in a row say no more than one.
        return Some((Token::Any, at + text.bytes().take_while(|&byte| byte == b'*').count()));
    }
    if let Some((name, suffix)) = segment(pattern, at) {
        return Some((Token::Segment { name, suffix }, at + 1 + name.len() + suffix.len()));
    }
    let is_end = |&(offset, byte): &(usize, u8)| {
        byte == b'*' || (byte == b':' && offset > 0 && segment(pattern, at + offset).is_some())
    };
    let length = text.bytes().enumerate().find(is_end).map_or(text.len(), |(offset, _)| offset);
    Some((Token::Literal(&text[..length]), at + length))
}

/// The name and the suffix of a `:name` at a byte of a pattern, if there is one.
fn segment(pattern: &str, at: usize) -> Option<(&str, &str)> {
    let is_start = at == 0 || pattern.as_bytes()[at - 1] == b'/';
    let rest = pattern[at..].strip_prefix(':').filter(|_| is_start)?;
    split_name(rest.split('/').next().unwrap_or_default())
}

/// What the wildcards stand for in a decoded path; `None` when it does not match.
///
/// This takes at most the time of searching the path once for every token: when tokens after a `*` do not match, only
/// the last `*` is given more, up to where the token after it is found again.
fn captures<'p>(pattern: &'p str, path: &'p str) -> Option<Captures<'p>> {
    let whole_path = pattern.contains('/');
    let path = if whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
    // Most patterns with a wildcard before a literal end are told by that end, without trying every place for the wildcard.
    let last = pattern.rsplit('/').next().unwrap_or_default();
    if !last.contains(['*', ':']) && !path.ends_with(last) {
        return None;
    }
    let mut captures = Captures::new();
    // The last `*`: the position after it, the captures before it, and where its value starts and ends so far.
    let mut star: Option<(usize, usize, usize, usize)> = None;
    let (mut position, mut at) = (0, 0);
    loop {
        let found = token(pattern, position);
        let fits = match found {
            None if at == path.len() => return Some(captures),
            None => false,
            Some((Token::Any, next)) => {
                star = Some((next, captures.len(), at, at));
                captures.push((SPLAT, &path[at..at]));
                true
            }
            Some((Token::Literal(literal), _)) => {
                path[at..].starts_with(literal) && {
                    at += literal.len();
                    true
                }
            }
            Some((Token::Segment { name, suffix }, _)) => {
                let segment = path[at..].split('/').next().unwrap_or_default();
                segment.strip_suffix(suffix).is_some_and(|value| {
                    captures.push((name, value));
                    at += segment.len();
                    !value.is_empty()
                })
            }
        };
        if let Some((_, next)) = found.filter(|_| fits) {
            position = next;
            continue;
        }
        let (after_star, before, start, end) = star?;
        let longer = match (token(pattern, after_star), path[end..].chars().next()) {
            // A `*` at the end takes everything at once.
            (None, _) => path.len(),
            (_, None) => return None,
            (Some((Token::Literal(literal), next)), Some(character)) => {
                let from = end + character.len_utf8();
                if next < pattern.len() {
                    // It goes on to where the next piece is found again.
                    from + path[from..].find(literal)?
                } else if path.ends_with(literal) && path.len() - literal.len() >= from {
                    // Before the last piece it takes all but that.
                    path.len() - literal.len()
                } else {
                    return None;
                }
            }
            (Some(_), Some(character)) => end + character.len_utf8(),
        };
        captures.truncate(before);
        captures.push((SPLAT, &path[start..longer]));
        star = Some((after_star, before, start, longer));
        (position, at) = (after_star, longer);
    }
}

/// Splits what follows a `:` in its segment into a name and literal text; `None` when it is not a name.
pub fn split_name(segment: &str) -> Option<(&str, &str)> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let length = segment.bytes().take_while(|&byte| is_name(byte)).count();
    let (name, suffix) = segment.split_at(length);
    (!name.is_empty() && !suffix.contains(['*', ':'])).then_some((name, suffix))
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_anything_and_a_name_for_a_segment() {
        for (pattern, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a", false),
            ("/*.css", "/a/b.css", true),
            ("/*.css", "/a/b.css/c", false),
            ("*.css", "/a/b.css", true),
            ("index.html", "/a/index.html", true),
            ("index.html", "/a/no-index.html", false),
            ("/a*b*c", "/aXbYbZc", true),
            ("/a*b*c", "/aXbYbZ", false),
            ("/:x/b", "/a/b", true),
            ("/:x/b", "//b", false),
            ("/:x/b", "/a/a/b", false),
            ("/*/:x.html", "/a/:x.html", true),
            ("/a:b", "/a:b", true),
            ("/:x.html", "/a.html", true),
            ("/:x.html", "/.html", false),
            ("/:x.html", "/a/b.html", false),
            ("/:x.html/b", "/a.html/b", true),
            ("/é*", "/été", true),
            ("**", "/any", true),
            ("", "/", true),
            ("", "/a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(path), expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn wildcards_are_told_by_their_names() {
        let pattern = Pattern::new("/blog/:year/:slug/*");
        let captures = pattern.captures("/blog/2026/hello/a/b").unwrap();
        assert_eq!(captures, [("year", "2026"), ("slug", "hello"), ("splat", "a/b")]);
        assert!(pattern.names("year") && pattern.names("splat") && !pattern.names("month"));
        assert!(!pattern.has_inner_star());
        assert!(Pattern::new("/*/a").has_inner_star());
        let pattern = Pattern::new("/:page.html");
        assert_eq!(pattern.captures("/about.html").unwrap(), [("page", "about")]);
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let path = format!("/{}b", "a".repeat(16_000));
        for pattern in
            ["*a".repeat(500), format!("*{}c", "a".repeat(1000)), format!("*{}/:x", "a".repeat(1000))]
        {
            assert!(!Pattern::new(&pattern).matches(&path));
        }
    }

    /// What the module's first lines say, tried in every way.
    fn reference(pattern: &[char], path: &[char]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=path.len()).any(|taken| reference(rest, &path[taken..])),
            ([first, rest @ ..], [head, tail @ ..]) => first == head && reference(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_trying_every_way_finds(pattern in "/[ab/*é]{0,8}", path in "/[ab/é]{0,10}") {
            let expected = reference(
                &pattern.chars().collect::<Vec<_>>(),
                &path.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(Pattern::new(&pattern).matches(&path), expected);
        }

        #[test]
        fn any_text_is_a_pattern(pattern: String, path: String) {
            Pattern::new(&pattern).matches(&path);
        }
    }
}
