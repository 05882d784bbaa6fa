//! The access log: one line for each request on standard output, in the Combined format.
//!
//! `peer - - [time] "request line" status bytes "referer" "user agent"`, with `bytes` those of the body.

use super::outcome::{Outcome, RequestLine};
use super::text::escape;
use super::writer::{Stream, Trouble, Writer};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::warn;

/// Bytes of lines that may wait for a slow reader of standard output.
const CAPACITY: usize = 4 * 1024 * 1024;

/// The log. Clones write to the same.
#[derive(Clone, Debug)]
pub struct AccessLog(Writer);

impl AccessLog {
    /// A log to standard output.
    pub fn start() -> std::io::Result<Self> {
        Writer::start(Stream::Output, CAPACITY, |trouble| {
            match trouble {
                Trouble::Dropped(lines) | Trouble::Withheld(lines) => warn!(
                    "{lines} lines of the access log were dropped: standard output is not read fast enough"
                ),
                Trouble::Broken(error) => {
                    warn!("the access log ends here: cannot write to standard output: {error}");
                }
            }
            None
        })
        .map(Self)
    }

    /// Writes the line of a request.
    pub fn record(&self, outcome: &Outcome) {
        thread_local! {
            /// The line under construction, which keeps its memory for the next one.
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            write_line(line, outcome);
            self.0.append(line.as_bytes());
        });
    }

    /// Writes what is queued, for at most so long.
    pub fn finish(&self, patience: Duration) {
        self.0.finish(patience);
    }
}

fn write_line(line: &mut String, outcome: &Outcome) {
    let _ = write!(line, "{} - - [", outcome.peer);
    write_time(line, outcome.arrived);
    line.push_str("] \"");
    match &outcome.line {
        RequestLine::Read(subject, version) => {
            escape(line, subject.as_bytes());
            let cut = if subject.is_cut() { "..." } else { "" };
            let _ = write!(line, "{cut} {version:?}");
        }
        RequestLine::Raw(raw) => escape(line, if raw.is_empty() { b"-" } else { raw }),
    }
    let _ = write!(line, "\" {} ", outcome.status);
    match outcome.bytes {
        0 => line.push('-'),
        bytes => _ = write!(line, "{bytes}"),
    }
    for field in [&outcome.referer, &outcome.user_agent] {
        line.push_str(" \"");
        escape(line, field.as_deref().unwrap_or(b"-"));
        line.push('"');
    }
    line.push('\n');
}

/// Appends a time as `10/Oct/2000:13:55:36 +0000`, which is an HTTP-date in another order. The text of the last second
/// is kept, because a busy server writes many lines in each.
fn write_time(line: &mut String, time: SystemTime) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(known, text)| {
        if *known != second {
            // Sun, 06 Nov 1994 08:49:37 GMT
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            let part = |range| date.get::<std::ops::Range<usize>>(range).unwrap_or_default();
            *text = format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25));
            *known = second;
        }
        line.push_str(text);
    });
}

#[cfg(test)]
mod tests {
    use super::{write_line, write_time};
    use crate::report::outcome::{Outcome, Peer, RequestLine};
    use crate::report::subject::Subject;
    use http::{Method, Version};
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_time_is_written_as_the_format_has_it() {
        for _ in 0..2 {
            let mut line = String::new();
            write_time(&mut line, UNIX_EPOCH + Duration::from_secs(784_111_777));
            assert_eq!(line, "06/Nov/1994:08:49:37 +0000");
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            peer: Peer::from(SocketAddr::from(([127, 0, 0, 1], 1))),
            arrived: UNIX_EPOCH,
            line: RequestLine::Read(
                Subject::new(&Method::GET, &"/a?b=%0A".parse().unwrap()),
                Version::HTTP_11,
            ),
            referer: Some(b"http://localhost/\"".as_slice().into()),
            user_agent: None,
            status: 200,
            bytes: 1234,
        }
    }

    fn line(outcome: &Outcome) -> String {
        let mut line = String::new();
        write_line(&mut line, outcome);
        line
    }

    #[test]
    fn a_line_has_the_fields_of_the_combined_format() {
        let start = r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /a?b=%0A HTTP/1.1""#;
        let fields = r#""http://localhost/\"" "-""#;
        assert_eq!(line(&outcome()), format!("{start} 200 1234 {fields}\n"));
        let bodiless = Outcome { status: 304, bytes: 0, ..outcome() };
        assert_eq!(line(&bodiless), format!("{start} 304 - {fields}\n"));
    }

    #[test]
    fn a_head_that_could_not_be_read_is_a_line_too() {
        let unreadable = |line: &[u8]| {
            let line = RequestLine::Raw(line.into());
            Outcome { line, referer: None, status: 400, bytes: 0, ..outcome() }
        };
        let start = "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000]";
        assert_eq!(line(&unreadable(b"")), format!("{start} \"-\" 400 - \"-\" \"-\"\n"));
        assert_eq!(line(&unreadable(b"\"\x16")), format!("{start} \"\\\"\\x16\" 400 - \"-\" \"-\"\n"));
    }
}
