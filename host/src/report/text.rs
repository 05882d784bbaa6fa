//! Text from strangers, made safe to print.

use std::fmt::Write as _;

/// How much of one field of a request a log line shows, in bytes, so that a line stays one that tools can read.
const MAX_FIELD: usize = 8 * 1024;

/// Renders bytes so that they cannot move a terminal's cursor, forge a line, or read in another order than they are
/// stored: control characters and bidirectional overrides appear as `\u{1b}` and the like. A `\r` at the end is dropped,
/// because some programs end lines with `\r\n`.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let line = String::from_utf8_lossy(bytes);
    for character in line.strip_suffix('\r').unwrap_or(&line).chars() {
        match character {
            '\t' => text.push('\t'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.extend(character.escape_unicode());
            }
            character if character.is_control() => text.extend(character.escape_default()),
            character => text.push(character),
        }
    }
    text
}

/// Joins the lines of a message into one and makes it [`printable`].
pub fn one_line(message: &str) -> String {
    let parts = message.split('\n').map(str::trim).filter(|part| !part.is_empty());
    printable(parts.collect::<Vec<_>>().join(" ").as_bytes())
}

/// Appends a field of a log line, which can then end neither the line nor its quotes, nor control a terminal. Fields of
/// more than 8 KiB are cut and marked with `...`.
pub fn escape(line: &mut String, bytes: &[u8]) {
    let shown = &bytes[..bytes.len().min(MAX_FIELD)];
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    match std::str::from_utf8(shown) {
        // The usual case: one copy.
        Ok(text) if shown.iter().all(is_plain) => line.push_str(text),
        _ => {
            for &byte in shown {
                match byte {
                    b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => line.push(char::from(byte)),
                    _ => _ = write!(line, "\\x{byte:02x}"),
                }
            }
        }
    }
    if bytes.len() > MAX_FIELD {
        line.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_FIELD, escape, one_line, printable};

    #[test]
    fn a_guest_cannot_speak_to_the_terminal() {
        assert_eq!(printable(b"plain\ttext\r"), "plain\ttext");
        assert_eq!(printable(b"\x1b[2Jgone"), "\\u{1b}[2Jgone");
        assert_eq!(printable(b"one\rother"), "one\\rother");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        assert_eq!(one_line("first\n\n  second \x07\n"), "first second \\u{7}");
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut line = String::new();
        escape(&mut line, b"a\r\n\"b\\\x1b[0m\xff\t");
        assert_eq!(line, r#"a\x0d\x0a\"b\\\x1b[0m\xff\x09"#);
    }

    #[test]
    fn a_long_field_is_cut() {
        let mut line = String::new();
        escape(&mut line, &[b'x'; MAX_FIELD + 1]);
        assert_eq!(line, "x".repeat(MAX_FIELD) + "...");
    }
}
