//! Templates: text with placeholders in braces, compiled once into a list of parts.

use super::{FormatError, micros, name, nearest, request};
use crate::report::date;
use crate::report::outcome::{Needs, Outcome, RequestLine};
use crate::report::subject::Subject;
use crate::report::text::{decimal, escape};
use std::time::Duration;

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Client,
    User,
    Time,
    TimeIso,
    Request,
    Method,
    Target,
    Path,
    Protocol,
    Status,
    Bytes,
    Referer,
    UserAgent,
    Host,
    Head,
    Total,
    Cpu,
    Scheme,
    Tls,
    Site,
    Id,
}

/// The placeholders, as `docs/operating.md` lists them.
const FIELDS: [(&str, Field); 21] = [
    ("client", Field::Client),
    ("user", Field::User),
    ("time", Field::Time),
    ("time_iso", Field::TimeIso),
    ("request", Field::Request),
    ("method", Field::Method),
    ("target", Field::Target),
    ("path", Field::Path),
    ("protocol", Field::Protocol),
    ("status", Field::Status),
    ("bytes", Field::Bytes),
    ("referer", Field::Referer),
    ("user_agent", Field::UserAgent),
    ("host", Field::Host),
    ("head", Field::Head),
    ("total", Field::Total),
    ("cpu", Field::Cpu),
    ("scheme", Field::Scheme),
    ("tls", Field::Tls),
    ("site", Field::Site),
    ("id", Field::Id),
];

/// The names of all placeholders, for a message.
pub(super) fn names() -> String {
    FIELDS.map(|(name, _)| name).join(", ")
}

impl Template {
    /// Compiles a template. `{{` and `}}` stand for braces.
    pub(super) fn parse(text: &str) -> Result<Self, FormatError> {
        if text.chars().any(char::is_control) {
            return Err(FormatError::Control(text.to_owned()));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let (brace, after) = from.split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let stray = || FormatError::Brace {
                brace: if brace == "{" { '{' } else { '}' },
                before: text[..text.len() - from.len()].to_owned(),
            };
            let (word, after) = after.split_once('}').filter(|_| brace == "{").ok_or_else(stray)?;
            let field =
                FIELDS.iter().find(|(name, _)| *name == word).ok_or_else(|| FormatError::Placeholder {
                    name: word.to_owned(),
                    nearest: nearest(word, FIELDS.map(|(name, _)| name)),
                })?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field.1));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// What its placeholders stand for.
    pub(super) fn needs(&self) -> Needs {
        let has = |fields: &[Field]| {
            self.0.iter().any(|part| matches!(part, Part::Field(field) if fields.contains(field)))
        };
        Needs {
            user: has(&[Field::User]),
            times: has(&[Field::Head, Field::Total]),
            cpu: has(&[Field::Cpu]),
            host: has(&[Field::Host]),
            fields: has(&[Field::Referer, Field::UserAgent]),
        }
    }

    /// Appends the line of a request, without an end.
    pub(super) fn write(&self, line: &mut Vec<u8>, outcome: &Outcome) {
        for part in &self.0 {
            match part {
                Part::Text(text) => line.extend_from_slice(text.as_bytes()),
                Part::Field(field) => field.write(line, outcome),
            }
        }
    }
}

impl Field {
    fn write(self, line: &mut Vec<u8>, outcome: &Outcome) {
        let read = match &outcome.line {
            RequestLine::Read(subject, version) => Some((subject, *version)),
            RequestLine::Raw(_) => None,
        };
        match self {
            Self::Client => line.extend_from_slice(outcome.via.peer.as_bytes()),
            Self::User => text(line, outcome.user.as_deref()),
            Self::Time => line.extend_from_slice(&date::common(outcome.arrived)),
            Self::TimeIso => line.extend_from_slice(&date::iso(outcome.arrived)),
            Self::Request => request(line, &outcome.line),
            Self::Method => text(line, read.map(|(subject, _)| subject.method().as_bytes())),
            Self::Target => target(line, read.map(|(subject, _)| subject), Subject::target),
            Self::Path => target(line, read.map(|(subject, _)| subject), path),
            Self::Protocol => text(line, read.map(|(_, version)| name(version))),
            Self::Status => decimal(line, outcome.status.into()),
            Self::Bytes => decimal(line, outcome.bytes),
            Self::Referer => text(line, outcome.referer.as_deref()),
            Self::UserAgent => text(line, outcome.user_agent.as_deref()),
            Self::Host => text(line, outcome.host.as_deref()),
            Self::Head => time(line, outcome.head),
            Self::Total => time(line, outcome.total),
            Self::Cpu => time(line, outcome.cpu),
            Self::Scheme => line.extend_from_slice(outcome.via.scheme.as_bytes()),
            Self::Tls => text(line, outcome.via.tls.map(str::as_bytes)),
            Self::Site => escape(line, outcome.site.as_str().as_bytes()),
            Self::Id => outcome.id.append(line),
        }
    }
}

/// Appends a text that may be from a client.
fn text(line: &mut Vec<u8>, text: Option<&[u8]>) {
    escape(line, text.unwrap_or(b"-"));
}

/// Appends a part of a target.
fn target(line: &mut Vec<u8>, subject: Option<&Subject>, part: impl Fn(&Subject) -> &str) {
    let Some(subject) = subject else { return line.push(b'-') };
    let part = part(subject);
    escape(line, part.as_bytes());
    // Only the end was cut.
    if subject.is_cut() && subject.target().len() == part.len() {
        line.extend_from_slice(b"...");
    }
}

/// The target of a request without its query.
fn path(subject: &Subject) -> &str {
    let target = subject.target();
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn time(line: &mut Vec<u8>, time: Option<Duration>) {
    match time {
        Some(time) => micros(line, time),
        None => line.push(b'-'),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, outcome, unreadable};
    use super::super::{Format, FormatError};
    use super::FIELDS;
    use crate::report::outcome::{Outcome, RequestLine};
    use crate::report::subject::Subject;
    use http::{Method, Version};
    use proptest::prelude::{any, prop, proptest};

    fn written(template: &str, outcome: &Outcome) -> String {
        line(&Format::parse(template).unwrap(), outcome)
    }

    #[test]
    fn each_placeholder_stands_for_a_part_of_the_outcome() {
        for (name, expected, unread) in [
            ("client", "127.0.0.1", "127.0.0.1"),
            ("user", "-", "-"),
            ("time", "01/Jan/1970:00:00:00 +0000", "01/Jan/1970:00:00:00 +0000"),
            ("time_iso", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
            ("request", "GET /a?b=%0A HTTP/1.1", "GET"),
            ("method", "GET", "-"),
            ("target", "/a?b=%0A", "-"),
            ("path", "/a", "-"),
            ("protocol", "HTTP/1.1", "-"),
            ("status", "200", "400"),
            ("bytes", "1234", "0"),
            ("referer", r#"http://localhost/\""#, "-"),
            ("user_agent", "-", "-"),
            ("host", "localhost", "-"),
            ("head", "120", "-"),
            ("total", "3450", "-"),
            ("cpu", "78", "-"),
            ("scheme", "https", "https"),
            ("tls", "TLSv1.3", "TLSv1.3"),
            ("site", "default", "default"),
            ("id", "abc", "abc"),
        ] {
            assert!(FIELDS.iter().any(|(known, _)| *known == name), "{name}");
            assert_eq!(written(&format!("{{{name}}}"), &outcome()), format!("{expected}\n"), "{name}");
            assert_eq!(written(&format!("<{{{name}}}>"), &unreadable(b"GET")), format!("<{unread}>\n"));
        }
    }

    #[test]
    fn braces_are_written_twice_to_be_meant() {
        assert_eq!(written("{{{status}}} {{}} {{id}}x", &outcome()), "{200} {} {id}x\n");
        let brace = |text, brace, before: &str| {
            assert_eq!(Format::parse(text), Err(FormatError::Brace { brace, before: before.to_owned() }));
        };
        brace("{status} }", '}', "{status} ");
        brace("a {status", '{', "a ");
        brace("{status}}", '}', "{status}");
        brace("{", '{', "");
    }

    #[test]
    fn a_wrong_placeholder_is_said_with_the_right_one() {
        let message = |text| Format::parse(text).unwrap_err().to_string();
        assert_eq!(message("{statsu}"), "there is no placeholder {statsu}; did you mean {status}?");
        assert_eq!(message("{useragent}"), "there is no placeholder {useragent}; did you mean {user_agent}?");
        let all = message("{}");
        assert!(all.starts_with("there is no placeholder {}; there are client, user, time, "), "{all}");
        assert_eq!(
            message("{status}\n{id}"),
            "a template is one line without control characters, not `{status}\\n{id}`"
        );
        assert_eq!(
            message("a }"),
            "the `}` after `a ` belongs to no placeholder; write `}}` for the character"
        );
    }

    #[test]
    fn a_target_that_was_cut_shows_it() {
        let long = |target: String| {
            let subject = Subject::new(&Method::GET, &target.parse().unwrap());
            Outcome { line: RequestLine::Read(subject, Version::HTTP_11), ..outcome() }
        };
        let path = long(format!("/{}", "x".repeat(9_000)));
        assert!(
            written("{path}", &path).ends_with("xx...\n") && written("{target}", &path).ends_with("xx...\n")
        );
        let query = long(format!("/a?{}", "x".repeat(9_000)));
        assert_eq!(written("{path}", &query), "/a\n");
    }

    proptest! {
        #[test]
        fn no_client_ends_a_line_or_quotes(
            host in any::<Vec<u8>>(), agent in any::<Vec<u8>>(), raw in any::<Vec<u8>>(),
        ) {
            let outcome = Outcome {
                line: RequestLine::Raw(raw.into()),
                host: Some(host.into()),
                user_agent: Some(agent.into()),
                ..outcome()
            };
            let line = written("\"{host}\" \"{user_agent}\" \"{request}\"", &outcome);
            let line = line.strip_suffix('\n').unwrap();
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
            let mut bytes = line.bytes();
            let mut quotes = 0;
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\\' => _ = bytes.next(),
                    b'"' => quotes += 1,
                    _ => {}
                }
            }
            assert_eq!(quotes, 6, "{line}");
        }

        #[test]
        fn any_text_is_a_template_or_a_message(text in any::<String>()) {
            let has_control = text.chars().any(char::is_control);
            assert!(Format::parse(&text).is_err() || !has_control);
        }

        #[test]
        fn text_with_braces_doubled_is_itself(text in "[ -~]{0,40}", at in any::<prop::sample::Index>()) {
            let at = at.index(text.len() + 1);
            let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
            let template = format!("{} {{status}} {}", doubled(&text[..at]), doubled(&text[at..]));
            assert_eq!(written(&template, &outcome()), format!("{} 200 {}\n", &text[..at], &text[at..]));
        }
    }
}
