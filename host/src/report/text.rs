//! Text from strangers, made safe to print.

/// How much of one field of a request a log line shows, in bytes, so that a line stays one that tools can read.
pub(super) const MAX_FIELD: usize = 8 * 1024;

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
pub fn escape(line: &mut Vec<u8>, bytes: &[u8]) {
    let shown = &bytes[..bytes.len().min(MAX_FIELD)];
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\');
    // The usual case is one copy. Every byte is looked at, because the compiler then looks at many at a time.
    if shown.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        line.extend_from_slice(shown);
    } else {
        for &byte in shown {
            match byte {
                b'"' | b'\\' => line.extend([b'\\', byte]),
                b' '..=b'~' => line.push(byte),
                _ => line.extend([b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 15)]),
            }
        }
    }
    if bytes.len() > MAX_FIELD {
        line.extend_from_slice(b"...");
    }
}

/// The digit of a number below 16.
pub(super) fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + (value - 10),
    }
}

/// Appends a number. It takes a fraction of what `write!` takes.
pub fn decimal(line: &mut Vec<u8>, mut number: u64) {
    // 18446744073709551615
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        // A remainder of ten is a digit.
        digits[start] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::{MAX_FIELD, decimal, escape, one_line, printable};
    use proptest::prelude::{any, proptest};
    use std::fmt::Write as _;

    fn escaped(bytes: &[u8]) -> String {
        let mut line = Vec::new();
        escape(&mut line, bytes);
        String::from_utf8(line).unwrap()
    }

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
        assert_eq!(escaped(b"a\r\n\"b\\\x1b[0m\xff\t"), r#"a\x0d\x0a\"b\\\x1b[0m\xff\x09"#);
    }

    #[test]
    fn a_long_field_is_cut() {
        assert_eq!(escaped(&[b'x'; MAX_FIELD]), "x".repeat(MAX_FIELD));
        assert_eq!(escaped(&[b'x'; MAX_FIELD + 1]), "x".repeat(MAX_FIELD) + "...");
        assert_eq!(escaped(&[b'"'; MAX_FIELD + 1]), "\\\"".repeat(MAX_FIELD) + "...");
    }

    /// What [`escape`] has to write, said in another way.
    fn escaped_by_fmt(bytes: &[u8]) -> String {
        let mut line = String::new();
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
                b' '..=b'~' => line.push(char::from(byte)),
                _ => write!(line, "\\x{byte:02x}").unwrap(),
            }
        }
        line
    }

    #[test]
    fn each_byte_is_escaped_alone_and_among_others() {
        for byte in 0..=u8::MAX {
            for bytes in [vec![byte], [b"plain ".as_slice(), &[byte], &[b'x'; 40]].concat()] {
                assert_eq!(escaped(&bytes), escaped_by_fmt(&bytes), "{byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_escaped(bytes in any::<Vec<u8>>(), text in "[ -~]{0,100}") {
            assert_eq!(escaped(&bytes), escaped_by_fmt(&bytes));
            assert_eq!(escaped(text.as_bytes()), escaped_by_fmt(text.as_bytes()));
        }

        #[test]
        fn numbers_are_written_as_fmt_writes_them(number in any::<u64>(), shift in 0..64_u32) {
            for number in [number, number >> shift, 0, u64::MAX, 10_u64.pow(shift % 20)] {
                let mut line = b"x".to_vec();
                decimal(&mut line, number);
                assert_eq!(line, format!("x{number}").into_bytes());
            }
        }
    }
}
