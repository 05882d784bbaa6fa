//! The formats of the access log: Common, Combined, [JSON](json), and [templates](template) of the operator's own.
//!
//! This is done for each request. So lines are appended byte by byte: `write!` takes ten times as long.

mod json;
mod template;

use super::date;
use super::outcome::{Needs, Outcome, RequestLine};
use super::text::{decimal, escape};
use http::Version;
use std::time::Duration;
use template::Template;
use thiserror::Error;

/// The names of the formats that have one.
const NAMES: [&str; 3] = ["common", "combined", "json"];

/// How similar two words are, from 0 to 1, for one to be a slip of the other.
const SIMILAR: f64 = 0.8;

/// How the line of a request looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `client - user [time] "request" status bytes`, with `bytes` those of the body, and `-` for what there is not.
    Common,
    /// The same, and `"referer" "user agent"` after it.
    #[default]
    Combined,
    /// An object.
    Json,
    /// The operator's own.
    Own(Template),
}

/// What is wrong with a format.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// It is a word that is no format.
    #[error(
        "it takes common, combined, json, or a template with placeholders such as '{{client}} {{status}}', not `{text}`{}",
        meant(*.nearest)
    )]
    Name {
        /// The word.
        text: String,
        /// The format that was probably meant.
        nearest: Option<&'static str>,
    },
    /// There is no such placeholder.
    #[error("there is no placeholder {{{name}}}{}", .nearest.map_or_else(
        || format!("; there are {}", template::names()),
        |nearest| format!("; did you mean {{{nearest}}}?")
    ))]
    Placeholder {
        /// Its name.
        name: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A brace that is none of a placeholder.
    #[error(
        "the `{brace}` after `{before}` belongs to no placeholder; write `{brace}{brace}` for the character"
    )]
    Brace {
        /// The brace.
        brace: char,
        /// What stands before it.
        before: String,
    },
    /// A character that ends a line or controls a terminal.
    #[error("a template is one line without control characters, not `{}`", .0.escape_debug())]
    Control(String),
}

fn meant(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

/// The name of which a word is a slip.
fn nearest(word: &str, names: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let score = |name: &&str| strsim::jaro_winkler(word, name);
    let best = names.into_iter().max_by(|one, other| score(one).total_cmp(&score(other)))?;
    (score(&best) >= SIMILAR).then_some(best)
}

impl Format {
    /// Reads the name of a format, or a template.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        match text {
            "common" => Ok(Self::Common),
            "combined" => Ok(Self::Combined),
            "json" => Ok(Self::Json),
            _ if text.contains(['{', '}']) => Template::parse(text).map(Self::Own),
            _ => Err(FormatError::Name { text: text.to_owned(), nearest: nearest(text, NAMES) }),
        }
    }

    /// What its lines show of outcomes.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Common => Needs { user: true, ..Needs::default() },
            Self::Combined => Needs { user: true, fields: true, ..Needs::default() },
            Self::Json => Needs { user: true, times: true, cpu: true, host: true, fields: true },
            Self::Own(template) => template.needs(),
        }
    }

    /// Appends the line of a request, with its `\n`.
    pub fn write(&self, line: &mut Vec<u8>, outcome: &Outcome) {
        match self {
            Self::Common => common(line, outcome),
            Self::Combined => combined(line, outcome),
            Self::Json => json::write(line, outcome),
            Self::Own(template) => template.write(line, outcome),
        }
        line.push(b'\n');
    }
}

fn common(line: &mut Vec<u8>, outcome: &Outcome) {
    line.extend_from_slice(outcome.via.peer.as_bytes());
    line.extend_from_slice(b" - ");
    // It has no spaces.
    escape(line, outcome.user.as_deref().unwrap_or(b"-"));
    line.extend_from_slice(b" [");
    line.extend_from_slice(&date::common(outcome.arrived));
    line.extend_from_slice(b"] \"");
    request(line, &outcome.line);
    line.extend_from_slice(b"\" ");
    decimal(line, outcome.status.into());
    line.push(b' ');
    match outcome.bytes {
        0 => line.push(b'-'),
        bytes => decimal(line, bytes),
    }
}

fn combined(line: &mut Vec<u8>, outcome: &Outcome) {
    common(line, outcome);
    for field in [&outcome.referer, &outcome.user_agent] {
        line.extend_from_slice(b" \"");
        escape(line, field.as_deref().unwrap_or(b"-"));
        line.push(b'"');
    }
}

/// Appends the first line of a request; `-` where it did not arrive.
fn request(line: &mut Vec<u8>, request: &RequestLine) {
    match request {
        RequestLine::Read(subject, version) => {
            escape(line, subject.as_bytes());
            if subject.is_cut() {
                line.extend_from_slice(b"...");
            }
            line.push(b' ');
            line.extend_from_slice(name(*version));
        }
        RequestLine::Raw(raw) => escape(line, if raw.is_empty() { b"-" } else { raw }),
    }
}

/// A version of HTTP as a request line has it.
fn name(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        // No other one is read.
        _ => b"HTTP/1.1",
    }
}

/// Appends a time in microseconds.
fn micros(line: &mut Vec<u8>, time: Duration) {
    decimal(line, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Format, FormatError, name};
    use crate::report::outcome::{Needs, Outcome, Peer, RequestLine, Via};
    use crate::report::request_id::RequestId;
    use crate::report::subject::Subject;
    use crate::report::tag::Label;
    use http::{Method, Version};
    use std::net::IpAddr;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn versions_are_named_as_they_are_sent() {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(name(version), format!("{version:?}").as_bytes());
        }
    }

    /// An outcome with everything in it.
    pub(super) fn outcome() -> Outcome {
        Outcome {
            site: Label::default(),
            id: RequestId::given(b"abc").unwrap(),
            via: Via {
                peer: Peer::from(IpAddr::from([127, 0, 0, 1])),
                scheme: "https",
                tls: Some("TLSv1.3"),
            },
            user: None,
            arrived: UNIX_EPOCH,
            line: RequestLine::Read(
                Subject::new(&Method::GET, &"/a?b=%0A".parse().unwrap()),
                Version::HTTP_11,
            ),
            host: Some(b"localhost".as_slice().into()),
            referer: Some(b"http://localhost/\"".as_slice().into()),
            user_agent: None,
            status: 200,
            bytes: 1234,
            head: Some(Duration::from_micros(120)),
            total: Some(Duration::from_nanos(3_450_999)),
            cpu: Some(Duration::from_micros(78)),
        }
    }

    /// The outcome of a request whose head could not be read.
    pub(super) fn unreadable(line: &[u8]) -> Outcome {
        let line = RequestLine::Raw(line.into());
        let times = Outcome { head: None, total: None, cpu: None, host: None, ..outcome() };
        Outcome { line, referer: None, status: 400, bytes: 0, ..times }
    }

    pub(super) fn line(format: &Format, outcome: &Outcome) -> String {
        let mut line = Vec::new();
        format.write(&mut line, outcome);
        String::from_utf8(line).unwrap()
    }

    fn combined(outcome: &Outcome) -> String {
        line(&Format::Combined, outcome)
    }

    #[test]
    fn a_line_has_the_fields_of_the_combined_format() {
        let start = r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /a?b=%0A HTTP/1.1""#;
        let fields = r#""http://localhost/\"" "-""#;
        assert_eq!(combined(&outcome()), format!("{start} 200 1234 {fields}\n"));
        assert_eq!(line(&Format::Common, &outcome()), format!("{start} 200 1234\n"));
        let of_user = Outcome { user: Some("b\u{f6}b\"[".as_bytes().into()), ..outcome() };
        let expected = start.replace("- - [", r#"- b\xc3\xb6b\"[ ["#);
        assert_eq!(combined(&of_user), format!("{expected} 200 1234 {fields}\n"));
        let bodiless = Outcome { status: 304, bytes: 0, ..outcome() };
        assert_eq!(combined(&bodiless), format!("{start} 304 - {fields}\n"));
    }

    #[test]
    fn a_head_that_could_not_be_read_is_a_line_too() {
        let start = "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000]";
        assert_eq!(combined(&unreadable(b"")), format!("{start} \"-\" 400 - \"-\" \"-\"\n"));
        assert_eq!(combined(&unreadable(b"\"\x16")), format!("{start} \"\\\"\\x16\" 400 - \"-\" \"-\"\n"));
    }

    #[test]
    fn a_format_is_a_name_or_a_template() {
        assert_eq!(Format::parse("common"), Ok(Format::Common));
        assert_eq!(Format::parse("combined"), Ok(Format::default()));
        assert_eq!(Format::parse("json"), Ok(Format::Json));
        assert!(matches!(Format::parse("{status}"), Ok(Format::Own(_))));
        let name = |text: &str, nearest| Err(FormatError::Name { text: text.to_owned(), nearest });
        assert_eq!(Format::parse("combind"), name("combind", Some("combined")));
        assert_eq!(Format::parse("apache"), name("apache", None));
        assert_eq!(Format::parse(""), name("", None));
    }

    #[test]
    fn what_no_line_shows_is_not_needed() {
        assert_eq!(Format::Common.needs(), Needs { user: true, ..Needs::default() });
        assert_eq!(Format::parse("{client} {status}").unwrap().needs(), Needs::default());
        let needs = |text| Format::parse(text).unwrap().needs();
        assert_eq!(needs("{total}"), Needs { times: true, ..Needs::default() });
        assert_eq!(needs("{head} {cpu}"), Needs { times: true, cpu: true, ..Needs::default() });
        assert_eq!(needs("{host}"), Needs { host: true, ..Needs::default() });
        assert_eq!(needs("{user}"), Format::Common.needs());
        assert_eq!(needs("{user} {referer}"), Format::Combined.needs());
    }
}
