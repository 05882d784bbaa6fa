//! JSON: an object for each request, with stable names. What there is not is left out.

use super::{micros, name};
use crate::report::date;
use crate::report::outcome::{Outcome, RequestLine};
use crate::report::text::{MAX_FIELD, decimal, hex_digit};
use std::time::Duration;

/// Appends the object of a request.
pub(super) fn write(line: &mut Vec<u8>, outcome: &Outcome) {
    line.extend_from_slice(b"{\"time\":\"");
    line.extend_from_slice(&date::iso(outcome.arrived));
    line.extend_from_slice(b"\",\"client\":\"");
    line.extend_from_slice(outcome.via.peer.as_bytes());
    line.push(b'"');
    if let Some(user) = &outcome.user {
        string(line, b",\"user\":\"", user, false);
    }
    match &outcome.line {
        RequestLine::Read(subject, version) => {
            string(line, b",\"method\":\"", subject.method().as_bytes(), false);
            string(line, b",\"target\":\"", subject.target().as_bytes(), subject.is_cut());
            string(line, b",\"protocol\":\"", name(*version), false);
        }
        RequestLine::Raw(raw) => string(line, b",\"request\":\"", raw, false),
    }
    number(line, b",\"status\":", outcome.status.into());
    number(line, b",\"bytes\":", outcome.bytes);
    for (key, value) in [
        (b",\"referer\":\"".as_slice(), &outcome.referer),
        (b",\"user_agent\":\"", &outcome.user_agent),
        (b",\"host\":\"", &outcome.host),
    ] {
        if let Some(value) = value {
            string(line, key, value, false);
        }
    }
    string(line, b",\"scheme\":\"", outcome.via.scheme.as_bytes(), false);
    if let Some(tls) = outcome.via.tls {
        string(line, b",\"tls\":\"", tls.as_bytes(), false);
    }
    string(line, b",\"site\":\"", outcome.site.as_str().as_bytes(), false);
    line.extend_from_slice(b",\"id\":\"");
    outcome.id.append(line);
    line.push(b'"');
    time(line, b",\"head\":", outcome.head);
    time(line, b",\"total\":", outcome.total);
    time(line, b",\"cpu\":", outcome.cpu);
    line.push(b'}');
}

fn number(line: &mut Vec<u8>, key: &[u8], number: u64) {
    line.extend_from_slice(key);
    decimal(line, number);
}

fn time(line: &mut Vec<u8>, key: &[u8], time: Option<Duration>) {
    if let Some(time) = time {
        line.extend_from_slice(key);
        micros(line, time);
    }
}

/// Appends a string after `key`, which has its first quote. Text of more than 8 KiB is cut, and ends with `...` as one that
/// was cut before.
fn string(line: &mut Vec<u8>, key: &[u8], text: &[u8], is_cut: bool) {
    line.extend_from_slice(key);
    let shown = &text[..text.len().min(MAX_FIELD)];
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\');
    // The usual case is one copy, as in `escape`.
    if shown.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        line.extend_from_slice(shown);
    } else {
        for chunk in shown.utf8_chunks() {
            for character in chunk.valid().chars() {
                escape(line, character);
            }
            if !chunk.invalid().is_empty() {
                line.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if is_cut || text.len() > MAX_FIELD {
        line.extend_from_slice(b"...");
    }
    line.push(b'"');
}

/// Appends a character of a string: escaped if JSON wants that (RFC 8259 §7), or a terminal might obey it or show what
/// follows in another order.
fn escape(line: &mut Vec<u8>, character: char) {
    match character {
        '"' | '\\' => line.extend([b'\\', character as u8]),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => code(line, character),
        character if character.is_control() => code(line, character),
        character => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Appends `\u202e` and the like. All of these are below 65536.
fn code(line: &mut Vec<u8>, character: char) {
    let [_, _, high, low] = u32::from(character).to_be_bytes();
    line.extend_from_slice(b"\\u");
    line.extend([high >> 4, high & 15, low >> 4, low & 15].map(hex_digit));
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{line, outcome, unreadable};
    use crate::report::outcome::{Outcome, RequestLine};
    use crate::report::subject::Subject;
    use crate::report::tag::Label;
    use http::{Method, Version};
    use proptest::prelude::{any, proptest};
    use serde_json::{Value, json};

    fn parsed(outcome: &Outcome) -> Value {
        let text = line(&Format::Json, outcome);
        let object = text.strip_suffix('\n').unwrap();
        let is_shown = |character: char| !character.is_control();
        assert!(object.chars().all(is_shown), "{object:?}");
        serde_json::from_str(object).unwrap()
    }

    #[test]
    fn a_line_is_an_object_of_what_there_is() {
        assert_eq!(
            line(&Format::Json, &outcome()),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"127.0.0.1\",\"method\":\"GET\",\
             \"target\":\"/a?b=%0A\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":1234,\
             \"referer\":\"http://localhost/\\\"\",\"host\":\"localhost\",\"scheme\":\"https\",\"tls\":\"TLSv1.3\",\
             \"site\":\"default\",\"id\":\"abc\",\"head\":120,\"total\":3450,\"cpu\":78}\n"
        );
        let user = Some("b\u{f6}b\"".as_bytes().into());
        assert_eq!(parsed(&Outcome { user, ..outcome() })["user"], "b\u{f6}b\"");
        let site = Label::new("blog");
        assert_eq!(
            parsed(&Outcome { site, ..unreadable(b"GET /\x16\xff \"x\"") }),
            json!({
                "time": "1970-01-01T00:00:00.000Z", "client": "127.0.0.1", "request": "GET /\u{16}\u{fffd} \"x\"",
                "status": 400, "bytes": 0, "scheme": "https", "tls": "TLSv1.3", "site": "blog", "id": "abc",
            })
        );
    }

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        let text = "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e9}\\";
        let text = line(&Format::Json, &unreadable(text.as_bytes()));
        assert!(text.contains("\"\\u001b[2J\\u009b\\u007f\\u202e\u{e9}\\\\\""), "{text}");
    }

    #[test]
    fn long_text_is_cut() {
        let subject = Subject::new(&Method::GET, &format!("/{}", "x".repeat(9_000)).parse().unwrap());
        let long = Outcome {
            line: RequestLine::Read(subject, Version::HTTP_2),
            user_agent: Some(vec![b'\xc3'; 9_000].into()),
            ..outcome()
        };
        let object = parsed(&long);
        assert!(object["target"].as_str().unwrap().ends_with("xx..."));
        let agent = object["user_agent"].as_str().unwrap();
        assert_eq!(agent, "\u{fffd}".repeat(8 * 1024) + "...");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_a_valid_object(
            raw in any::<Vec<u8>>(), host in any::<Vec<u8>>(), agent in any::<Vec<u8>>(), referer in any::<String>(),
        ) {
            let object = parsed(&Outcome {
                line: RequestLine::Raw(raw.clone().into()),
                host: Some(host.clone().into()),
                user_agent: Some(agent.clone().into()),
                referer: Some(referer.clone().into_bytes().into()),
                ..outcome()
            });
            for (key, text) in [("request", &raw), ("host", &host), ("user_agent", &agent)] {
                assert_eq!(object[key], *String::from_utf8_lossy(text));
            }
            assert_eq!(object["referer"], *referer);
        }
    }
}
