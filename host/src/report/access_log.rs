//! The access log: one line for each request on standard output, in the Combined format.
//!
//! `peer - - [time] "request line" status bytes "referer" "user agent"`, with `bytes` those of the body.

use super::outcome::{Needs, Outcome, RequestLine};
use super::text::{decimal, escape};
use super::writer::{Stream, Trouble, Writer};
use http::Version;
use std::cell::{Cell, RefCell};
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

    /// What its lines show of outcomes.
    pub fn needs(&self) -> Needs {
        Needs { fields: true, ..Needs::default() }
    }

    /// Writes the line of a request.
    pub fn record(&self, outcome: &Outcome) {
        thread_local! {
            /// The line under construction, which keeps its memory for the next one.
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            write_line(line, outcome);
            self.0.append(line);
        });
    }

    /// Writes what is queued, for at most so long.
    pub fn finish(&self, patience: Duration) {
        self.0.finish(patience);
    }
}

/// Appends the line of a request, byte by byte: this is done for each request, and `write!` takes ten times as long.
fn write_line(line: &mut Vec<u8>, outcome: &Outcome) {
    line.extend_from_slice(outcome.via.peer.as_bytes());
    line.extend_from_slice(b" - - [");
    line.extend_from_slice(&date(outcome.arrived));
    line.extend_from_slice(b"] \"");
    match &outcome.line {
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
    line.extend_from_slice(b"\" ");
    decimal(line, outcome.status.into());
    line.push(b' ');
    match outcome.bytes {
        0 => line.push(b'-'),
        bytes => decimal(line, bytes),
    }
    for field in [&outcome.referer, &outcome.user_agent] {
        line.extend_from_slice(b" \"");
        escape(line, field.as_deref().unwrap_or(b"-"));
        line.push(b'"');
    }
    line.push(b'\n');
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

/// `10/Oct/2000:13:55:36 +0000`
type Date = [u8; 26];

/// A time as the format has it. The text of the last second is kept, because a busy server writes many lines in each.
fn date(time: SystemTime) -> Date {
    thread_local! {
        static LAST: Cell<Option<(u64, Date)>> = const { Cell::new(None) };
    }
    let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match LAST.get() {
        Some((known, date)) if known == second => date,
        _ => {
            let date = format_date(second);
            LAST.set(Some((second, date)));
            date
        }
    }
}

/// A time in seconds since 1970: an HTTP-date in another order.
fn format_date(second: u64) -> Date {
    // Sun, 06 Nov 1994 08:49:37 GMT. A later year than 9999 has no HTTP-date.
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let http = httpdate::fmt_http_date((UNIX_EPOCH + Duration::from_secs(second)).min(latest));
    let http = http.as_bytes();
    let mut date = *b"10/Oct/2000:13:55:36 +0000";
    for (to, from) in [(0..2, 5..7), (3..6, 8..11), (7..11, 12..16), (12..20, 17..25)] {
        date[to].copy_from_slice(&http[from]);
    }
    date
}

#[cfg(test)]
mod tests {
    use super::{date, format_date, name, write_line};
    use crate::report::outcome::{Outcome, Peer, RequestLine, Via};
    use crate::report::request_id::RequestId;
    use crate::report::subject::Subject;
    use crate::report::tag::Label;
    use http::{Method, Version};
    use std::net::IpAddr;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_time_is_written_as_the_format_has_it() {
        for _ in 0..2 {
            let date = date(UNIX_EPOCH + Duration::from_secs(784_111_777));
            assert_eq!(date.as_slice(), b"06/Nov/1994:08:49:37 +0000");
        }
    }

    #[test]
    fn the_date_that_is_kept_is_that_of_the_time() {
        let expected = |second: u64| {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            let parts: Vec<_> = http.split(' ').collect();
            format!("{}/{}/{}:{} +0000", parts[1], parts[2], parts[3], parts[4])
        };
        // Ends of minutes, hours, days, months and years, among them leap years, and of seconds between them.
        let ends =
            [0, 59, 3_599, 86_399, 951_782_399, 951_868_799, 1_709_164_799, 4_107_542_399, 4_102_444_799];
        let others = (0..20_000).map(|at| at * 12_345_677);
        for second in ends.into_iter().chain(others) {
            for (second, nanos) in [(second, 0), (second, 999_999_999), (second + 1, 0), (second, 1)] {
                let time = UNIX_EPOCH + Duration::new(second, nanos);
                assert_eq!(String::from_utf8_lossy(&date(time)), expected(second));
            }
        }
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(5)), format_date(0));
        assert_eq!(format_date(u64::from(u32::MAX) << 20).as_slice(), b"31/Dec/9999:23:59:59 +0000");
    }

    #[test]
    fn versions_are_named_as_they_are_sent() {
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(name(version), format!("{version:?}").as_bytes());
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            site: Label::default(),
            id: RequestId::given(b"abc").unwrap(),
            via: Via {
                peer: Peer::from(IpAddr::from([127, 0, 0, 1])),
                scheme: "https",
                tls: Some("TLSv1.3"),
            },
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
            total: Some(Duration::from_micros(3_450)),
            cpu: Some(Duration::from_micros(78)),
        }
    }

    fn line(outcome: &Outcome) -> String {
        let mut line = Vec::new();
        write_line(&mut line, outcome);
        String::from_utf8(line).unwrap()
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
