//! Raw HTML in Markdown: the text between its tags.

/// Elements whose content is not text.
const WITHOUT_TEXT: [&str; 2] = ["script", "style"];

/// The text between the tags of a block of raw HTML, with its character references as they are. It has no `<`.
pub fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let inside = &rest[1..];
        rest = if let Some(comment) = rest.strip_prefix("<!--") {
            after(comment, "-->")
        } else if inside
            .starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '!' | '?'))
        {
            match WITHOUT_TEXT.into_iter().find(|name| starts_with(inside, name)) {
                Some(name) => after(after_element(inside, name), ">"),
                None => after(inside, ">"),
            }
        } else {
            text.push_str("&lt;");
            inside
        };
    }
    text.push_str(rest);
    text
}

/// What follows the first `end`; nothing if there is none.
fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

/// What follows the beginning of the closing tag of an element; nothing if there is none.
fn after_element<'a>(mut text: &'a str, name: &str) -> &'a str {
    while let Some(at) = text.find("</") {
        text = &text[at + 2..];
        if starts_with(text, name) {
            return text;
        }
    }
    ""
}

/// Whether text begins with the name of an element, in letters of either case.
fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::text;
    use proptest::prelude::*;

    #[test]
    fn tags_comments_and_scripts_are_left_out() {
        for (html, expected) in [
            ("<p align=center>a &amp; <b>b</b></p>", "a &amp; b"),
            ("a<!-- <b> -->c<!-- ", "ac"),
            ("<!doctype html><?php x ?>a</p", "a"),
            ("<SCRIPT>alert(\"</b>\")</Script >a<style>p{}", "a"),
            ("1 < 2 <", "1 &lt; 2 &lt;"),
            ("<img src=x onerror=alert(1)>", ""),
            ("<<b>script>", "&lt;script>"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    proptest! {
        #[test]
        fn no_tag_remains(html in "[<>!/a-z \"&;-]{0,40}") {
            prop_assert!(!text(&html).contains('<'));
        }
    }
}
