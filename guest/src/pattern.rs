//! Patterns of paths, as operators write them in settings and in `_headers` and `_redirects`.
//!
//! `*` stands for any characters, slashes among them; `:name`, for a whole segment, stands for any one segment. A pattern
//! without a slash is compared with the file name alone. Paths are compared as they are opened: decoded, once.

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    /// `*`
    Any,
    /// `:name`
    Segment(String),
}

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
    whole_path: bool,
}

/// What the wildcards of a pattern stand for in one path: `splat` for `*`, and the names of the segments.
pub type Captures<'a> = Vec<(&'a str, &'a str)>;

/// What `*` is called in the target of a redirect.
pub const SPLAT: &str = "splat";

impl Pattern {
    /// Reads a pattern. Every text is one.
    pub fn new(text: &str) -> Self {
        let whole_path = text.contains('/');
        let mut tokens: Vec<Token> = Vec::new();
        let mut at_segment_start = true;
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let name_length =
                if next == ':' && at_segment_start { segment_name_length(&rest[1..]) } else { 0 };
            let length = if name_length > 0 { 1 + name_length } else { next.len_utf8() };
            let (piece, after) = rest.split_at(length);
            match (next, tokens.last_mut()) {
                _ if name_length > 0 => tokens.push(Token::Segment(piece[1..].to_owned())),
                // Two in a row say no more than one.
                ('*', Some(Token::Any)) => {}
                ('*', _) => tokens.push(Token::Any),
                (_, Some(Token::Literal(literal))) => literal.push_str(piece),
                _ => tokens.push(Token::Literal(piece.to_owned())),
            }
            at_segment_start = next == '/';
            rest = after;
        }
        Self { tokens, whole_path }
    }

    /// Whether the pattern has a `*` that is not its end, or more than one.
    pub fn has_inner_star(&self) -> bool {
        let before_the_end = self.tokens.len().saturating_sub(1);
        self.tokens[..before_the_end].contains(&Token::Any)
    }

    /// Whether the pattern knows a wildcard of this name.
    pub fn names(&self, name: &str) -> bool {
        self.tokens.iter().any(|token| match token {
            Token::Literal(_) => false,
            Token::Any => name == SPLAT,
            Token::Segment(segment) => segment == name,
        })
    }

    /// Whether a decoded path is of this pattern.
    pub fn matches(&self, path: &str) -> bool {
        self.captures(path).is_some()
    }

    /// What the wildcards stand for in a decoded path; `None` when it is not of this pattern.
    ///
    /// The time is at most that of looking through the path once for every token: when tokens after a `*` do not fit,
    /// only the last `*` is given more, up to where the token after it is found again.
    pub fn captures<'a>(&'a self, path: &'a str) -> Option<Captures<'a>> {
        let path = if self.whole_path { path } else { path.rsplit('/').next().unwrap_or(path) };
        let mut captures = Captures::new();
        // The last `*`: its token, the captures before it, where what it stands for starts and ends so far.
        let mut star: Option<(usize, usize, usize, usize)> = None;
        let (mut token, mut at) = (0, 0);
        loop {
            let fits = match self.tokens.get(token) {
                None => at == path.len(),
                Some(Token::Any) => {
                    star = Some((token, captures.len(), at, at));
                    captures.push((SPLAT, &path[at..at]));
                    token += 1;
                    continue;
                }
                Some(Token::Literal(literal)) => {
                    path[at..].starts_with(literal.as_str()) && {
                        at += literal.len();
                        true
                    }
                }
                Some(Token::Segment(name)) => {
                    let length = path[at..].find('/').unwrap_or(path.len() - at);
                    length > 0 && {
                        captures.push((name, &path[at..at + length]));
                        at += length;
                        true
                    }
                }
            };
            if fits {
                if token == self.tokens.len() {
                    return Some(captures);
                }
                token += 1;
                continue;
            }
            let (star_token, before, start, end) = star?;
            let rest = &self.tokens[star_token + 1..];
            let longer = match rest {
                // A `*` at the end takes everything at once.
                [] => path.len(),
                // Before the last piece it takes all but that.
                [Token::Literal(last)] if path[end..].len() > last.len() && path.ends_with(last.as_str()) => {
                    path.len() - last.len()
                }
                [Token::Literal(_)] => return None,
                // Otherwise it goes on to where the next piece is found again.
                [Token::Literal(next), ..] => {
                    let from = end + path[end..].chars().next()?.len_utf8();
                    from + path[from..].find(next.as_str())?
                }
                _ => end + path[end..].chars().next()?.len_utf8(),
            };
            captures.truncate(before);
            captures.push((SPLAT, &path[start..longer]));
            star = Some((star_token, before, start, longer));
            (token, at) = (star_token + 1, longer);
        }
    }
}

/// The length of the name at the start of `text`, if it goes on to the end of the segment; 0 otherwise.
fn segment_name_length(text: &str) -> usize {
    let segment = text.split('/').next().unwrap_or_default();
    let is_name = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { segment.len() } else { 0 }
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
