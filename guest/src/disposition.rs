//! `?download`: the field that makes a browser save a file instead of showing it (RFC 6266).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest name, in bytes, that a request may give a file: no file system takes a longer one.
const MAX_NAME_BYTES: usize = 255;

/// What is encoded in `filename*`: all but the `attr-char` of RFC 8187 §3.2.1 that need no thought.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value of `Content-Disposition`, if the query asks for a download: under the file's own name, or the given one. The
/// given name keeps the file's extension, so that a link cannot turn data into a program.
pub fn of(query: Option<&str>, file_name: &str) -> Option<String> {
    let asked = query?.split('&').find_map(|pair| match pair.split_once('=') {
        None => (pair == "download").then_some(""),
        Some((key, value)) => (key == "download").then_some(value),
    })?;
    let asked = percent_decode_str(asked).decode_utf8_lossy();
    // A name is not a path on the client's machine either: only what follows the last separator counts. Windows drops dots and
    // spaces at the end.
    let asked = asked.rsplit(['/', '\\']).next().unwrap_or_default().trim().trim_end_matches(['.', ' ']);
    if asked.is_empty() || asked.len() > MAX_NAME_BYTES {
        return Some(attachment(file_name));
    }
    let extension = |name: &str| name.rfind('.').map_or("", |dot| &name[dot..]).to_owned();
    let own = extension(file_name.trim_end_matches(['.', ' ']));
    let asked_extension = extension(asked);
    Some(if asked_extension.eq_ignore_ascii_case(&own) {
        attachment(asked)
    } else if own.is_empty() {
        attachment(file_name)
    } else {
        attachment(&[asked, &own].concat())
    })
}

/// The value that has a client save the content under this name.
pub fn attachment(name: &str) -> String {
    // Old clients read only this, and may take an escape literally: every doubtful character becomes `_`.
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
        let visible: String =
            name.chars().map(|character| if character.is_control() { '_' } else { character }).collect();
        value.extend(utf8_percent_encode(&visible, EXTENDED));
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
            ("download=X.TXT", Some("attachment; filename=\"X.TXT\"")),
            ("download=setup.bat", Some("attachment; filename=\"setup.bat.txt\"")),
            ("download=.bashrc", Some("attachment; filename=\".bashrc.txt\"")),
            ("download=..", Some("attachment; filename=\"a b.txt\"")),
            ("download=.", Some("attachment; filename=\"a b.txt\"")),
            ("downloads", None),
            ("x=download", None),
            ("", None),
        ] {
            assert_eq!(of(Some(query), "a b.txt").as_deref(), expected, "{query}");
        }
        assert_eq!(of(None, "a.txt"), None);
        assert_eq!(of(Some("download=setup.exe"), "tool").as_deref(), Some("attachment; filename=\"tool\""));
        assert_eq!(of(Some("download=setup"), "tool").as_deref(), Some("attachment; filename=\"setup\""));
        assert_eq!(of(Some("download=setup.exe"), "x.").as_deref(), Some("attachment; filename=\"x.\""));
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
