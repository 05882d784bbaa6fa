//! Pages that the server writes itself: escaped text, and the frame around it.

use std::fmt::{self, Write as _};

/// Text that is escaped for an element or a quoted attribute.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')) {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// A name as [`Text`] in which every character can be seen and none moves another: control characters become their
/// pictures, and those that are invisible or turn the direction of writing become their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a str);

impl Name<'_> {
    /// Appends the name to a page, without the formatting machinery where it is plain.
    pub fn append_to(self, page: &mut String) {
        match self.as_plain() {
            Some(plain) => page.push_str(plain),
            // Writing to a string does not fail.
            None => page.extend([self.to_string()]),
        }
    }
}

impl<'a> Name<'a> {
    /// The name itself, if it is visible ASCII without markup, as most names are.
    pub fn as_plain(&self) -> Option<&'a str> {
        let is_plain =
            |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
        self.0.bytes().all(is_plain).then_some(self.0)
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plain) = self.as_plain() {
            return f.write_str(plain);
        }
        let mut buffer = [0; 4];
        for character in self.0.chars() {
            match character {
                // The Control Pictures stand in the order of what they picture.
                '\0'..='\u{1f}' => {
                    f.write_char(char::from_u32(0x2400 + u32::from(character)).unwrap_or('?'))?;
                }
                '\u{7f}' => f.write_char('\u{2421}')?,
                _ if is_invisible(character) => write!(f, "\u{27e8}U+{:04X}\u{27e9}", u32::from(character))?,
                _ => Text(character.encode_utf8(&mut buffer)).fmt(f)?,
            }
        }
        Ok(())
    }
}

/// Whether a character has no shape: C1 controls, marks of direction, joiners, fillers, separators.
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{a0}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{180e}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}'
        | '\u{3000}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The style of every page: the reader's own colours and font, and little more.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--quiet:#666}\
@media(prefers-color-scheme:dark){:root{--quiet:#aaa}}\
html{background:Canvas;color:CanvasText}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}\
h1{font-size:1.25rem;overflow-wrap:anywhere}\
h1 a{text-decoration:underline}\
h2{font-size:1.1rem;overflow-wrap:anywhere}\
a{text-decoration:none;border-radius:2px}\
a:hover{text-decoration:underline}\
a:focus-visible{outline:2px solid;outline-offset:2px}\
form{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem;margin-block:1rem}\
input,button{font:inherit;padding:.2rem .5rem}\
input{flex:0 1 16rem;min-width:0}\
::placeholder{color:inherit;opacity:.75}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.4rem .5rem;text-align:start;border-bottom:1px solid var(--line)}\
th:first-child{padding-inline-start:0;width:99%}\
tbody tr:hover{background:#8881}\
tbody th{font-weight:inherit;overflow-wrap:anywhere}\
td,thead th+th{text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums}\
td,footer,small{color:var(--quiet)}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:6px;padding:1rem}\
nav ul{display:flex;gap:1rem;list-style:none;padding:0}\
footer{padding-block:.5rem}\
@media(max-width:36rem){thead small,time span{display:none}}";

/// The `Content-Security-Policy` of every page: the style is the only thing that may do anything, by its hash, and a form
/// may ask this site. If a name ever escaped its quotes, it could do nothing.
pub const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-rfH8V8AY+R2rUzwRd4LY8P97ZijqC30Bf1RhaM+dRTA='; img-src data:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self'";

/// A whole page: `title` as text, and a body that `write_body` appends as markup. `body_bytes` is how long the body is about
/// to be.
pub fn page(title: &str, body_bytes: usize, write_body: impl FnOnce(&mut String)) -> String {
    page_with(title, None, body_bytes, write_body)
}

/// As [`page`], with a second style, which the page's own [policy](POLICY) does not allow.
pub fn page_with(
    title: &str,
    style: Option<&str>,
    body_bytes: usize,
    write_body: impl FnOnce(&mut String),
) -> String {
    let style_bytes = STYLE.len() + style.map_or(0, str::len);
    let mut page = String::with_capacity(style_bytes + body_bytes + 512);
    page.push_str(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
    );
    Name(title).append_to(&mut page);
    for part in ["</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>", STYLE, "</style>\n"] {
        page.push_str(part);
    }
    if let Some(style) = style {
        for part in ["<style>", style, "</style>\n"] {
            page.push_str(part);
        }
    }
    page.push_str("</head>\n<body>\n");
    write_body(&mut page);
    page.push_str("</body>\n</html>\n");
    page
}

/// The page of an error. The heading and the sentence are ASCII without markup. The sentence begins with a small letter, as other
/// clients get it after a colon.
pub fn error(heading: &str, sentence: &str) -> String {
    let (first, rest) = sentence.split_at_checked(1).unwrap_or_default();
    page(heading, 256, |body| {
        for part in
            ["<main>\n<h1>", heading, "</h1>\n<p>", &first.to_ascii_uppercase(), rest, "</p>\n</main>\n"]
        {
            body.push_str(part);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Name, POLICY, STYLE, Text, page};
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn no_character_is_markup() {
        assert_eq!(
            Text("<a href=\"x\">&'</a>").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;"
        );
        assert_eq!(Text("a\nb").to_string(), "a\nb");
    }

    #[test]
    fn the_policy_allows_the_style_and_no_other() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        assert!(
            POLICY.contains(&format!("style-src 'sha256-{digest}';")),
            "the hash of the style is {digest}"
        );
        assert!(page("", 0, |_| {}).contains(&format!("<style>{STYLE}</style>")));
    }

    #[test]
    fn every_character_of_a_name_can_be_seen() {
        assert_eq!(Name("a\nb\u{7f}<").to_string(), "a\u{240a}b\u{2421}&lt;");
        assert_eq!(Name("exe\u{202e}txt").to_string(), "exe\u{27e8}U+202E\u{27e9}txt");
        assert_eq!(Name("日本語 é 🦀").to_string(), "日本語 é 🦀");
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_place(name: String) {
            let shown = Name(&name).to_string();
            let forbidden = ['<', '>', '"', '\'', '\n', '\u{202e}'];
            prop_assert!(!shown.contains(forbidden));
            let page = page(&name, 0, |_| {});
            prop_assert_eq!(page.matches('<').count(), super::page("", 0, |_| {}).matches('<').count());
        }
    }
}
