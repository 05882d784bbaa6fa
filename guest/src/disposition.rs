//! `?download`: the field that has a browser save a file and not show it (RFC 6266).

use crate::path::encode_segment;
use percent_encoding::percent_decode_str;

/// The longest name, in bytes, that a request may give a file: no file system takes a longer one.
const LONGEST_NAME: usize = 255;

/// The value of `Content-Disposition`, if the query asks for a download: under the file's own name, or the one given.
pub fn of(query: Option<&str>, file_name: &str) -> Option<String> {
    let asked = query?.split('&').find_map(|pair| match pair.split_once('=') {
        None => (pair == "download").then_some(""),
        Some((key, value)) => (key == "download").then_some(value),
    })?;
    let asked = percent_decode_str(asked).decode_utf8_lossy();
    // What follows the last separator: a name is no path on the client's machine either.
    let asked = asked.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let is_usable = !asked.is_empty() && asked.len() <= LONGEST_NAME;
    Some(attachment(if is_usable { asked } else { file_name }))
}

fn attachment(name: &str) -> String {
    // For old clients, in which an escape is as likely to be taken literally: everything doubtful becomes `_`.
    let plain: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' | '/' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let plain_is_exact = plain == name;
    let mut value = format!("attachment; filename=\"{plain}\"");
    if !plain_is_exact {
        value.push_str("; filename*=UTF-8''");
        // What no name has on any system is not given to one.
        let visible: String =
            name.chars().map(|character| if character.is_control() { '_' } else { character }).collect();
        value.extend(encode_segment(&visible));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::of;
    use proptest::prelude::*;

    #[test]
    fn a_download_has_the_name_of_the_file_or_the_one_given() {
        for (query, expected) in [
            ("download", Some("attachment; filename=\"a b.txt\"")),
            ("download=", Some("attachment; filename=\"a b.txt\"")),
            ("x=1&download&y", Some("attachment; filename=\"a b.txt\"")),
            ("download=other.txt", Some("attachment; filename=\"other.txt\"")),
            ("download=..%2f..%5cx.txt", Some("attachment; filename=\"x.txt\"")),
            ("downloads", None),
            ("x=download", None),
            ("", None),
        ] {
            assert_eq!(of(Some(query), "a b.txt").as_deref(), expected, "{query}");
        }
        assert_eq!(of(None, "a.txt"), None);
        let long = format!("download={}", "x".repeat(256));
        assert_eq!(of(Some(&long), "a.txt").as_deref(), Some("attachment; filename=\"a.txt\""));
    }

    #[test]
    fn what_ascii_cannot_say_is_said_twice() {
        let download = |name| of(Some("download"), name).unwrap();
        assert_eq!(download("é.txt"), "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt");
        assert_eq!(download("a\"b.txt"), "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt");
        assert_eq!(download("a\r\nX: y"), "attachment; filename=\"a__X: y\"; filename*=UTF-8''a__X%3A%20y");
        assert_eq!(download("100%.txt"), "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt");
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_quotes(name: String, query: String) {
            for value in [of(Some("download"), &name), of(Some(&format!("download={query}")), "x")] {
                let value = value.unwrap();
                prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
                prop_assert_eq!(value.matches('"').count(), 2);
            }
        }
    }
}
