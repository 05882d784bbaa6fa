//! Pages that the server writes itself: text that stays text, and one plain frame around it.

use std::fmt::{self, Write as _};

/// Text in which nothing is markup, whatever it holds, in an element or in a quoted attribute.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 4];
        for character in self.0.chars() {
            match character {
                // The Control Pictures stand in the order of what they picture.
                '\0'..='\u{1f}' => {
                    f.write_char(char::from_u32(0x2400 + u32::from(character)).unwrap_or('?'))?;
                }
                '\u{7f}' => f.write_char('\u{2421}')?,
                _ if is_unseen(character) => write!(f, "\u{27e8}U+{:04X}\u{27e9}", u32::from(character))?,
                _ => Text(character.encode_utf8(&mut buffer)).fmt(f)?,
            }
        }
        Ok(())
    }
}

/// Whether a character shows nothing of its own: further controls, marks of direction, joiners, fillers, separators.
fn is_unseen(character: char) -> bool {
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

/// How every page looks: the colours and the font that the reader has chosen, and little more.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--quiet:#666}\
@media(prefers-color-scheme:dark){:root{--quiet:#aaa}}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}\
h1{font-size:1.25rem;overflow-wrap:anywhere}\
a{text-decoration:none;border-radius:2px}\
a:hover{text-decoration:underline}\
a:focus-visible{outline:2px solid;outline-offset:2px}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.4rem .5rem;text-align:start;border-bottom:1px solid var(--line)}\
tbody tr:hover{background:#8881}\
td:first-child{overflow-wrap:anywhere}\
td:nth-child(n+2),th:nth-child(n+2){text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums}\
td:nth-child(n+2),footer,small{color:var(--quiet)}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:6px;padding:1rem}\
nav ul{display:flex;gap:1rem;list-style:none;padding:0}\
footer{padding:.5rem}\
@media(max-width:36rem){th small,time span{display:none}}";

/// A whole page: `title` as text, `body` as markup. The style is the only thing in it that is allowed to do anything,
/// by `nonce`.
pub fn page(title: &str, nonce: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <title>{}</title>\n<link rel=\"icon\" href=\"data:,\">\n\
        <style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        Name(title)
    )
}

/// The `Content-Security-Policy` of a page with this nonce: should a name ever escape its quotes, it can do nothing.
pub fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'none'; \
        frame-ancestors 'self'"
    )
}

/// The page of an error, with a sentence that begins with a small letter elsewhere.
pub fn error(heading: &str, sentence: &str, nonce: &str) -> String {
    let (first, rest) = sentence.split_at_checked(1).unwrap_or_default();
    let sentence = format!("{}{rest}", first.to_ascii_uppercase());
    let body = format!("<main>\n<h1>{}</h1>\n<p>{}</p>\n</main>\n", Text(heading), Text(&sentence));
    page(heading, nonce, &body)
}

#[cfg(test)]
mod tests {
    use super::{Name, Text, page};
    use proptest::prelude::*;

    #[test]
    fn no_character_is_markup() {
        assert_eq!(
            Text("<a href=\"x\">&'</a>").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;"
        );
        assert_eq!(Text("a\nb").to_string(), "a\nb");
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
            let page = page(&name, "n", "");
            prop_assert_eq!(page.matches('<').count(), super::page("", "n", "").matches('<').count());
        }
    }
}
