//! The access log: one line for each request on standard output, in the Combined format, written once the last byte of
//! the answer is handed over (or the client is gone).
//!
//! `peer - - [time] "request line" status bytes "referer" "user agent"`, with `bytes` those of the body.

use bytes::Buf as _;
use http::header::{HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Request, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tracing::warn;

/// Lines that wait for a slow reader of standard output, in bytes. Beyond it, lines are dropped and counted: requests
/// must not wait for whoever reads the log.
const BACKLOG: usize = 4 * 1024 * 1024;

/// How long lines gather before they are written, so that a busy server writes many at a time.
const GATHERING: Duration = Duration::from_millis(5);

/// The longest piece of a request that is written, in bytes: a line has to stay one that tools can read.
const LONGEST_FIELD: usize = 8 * 1024;

/// The log. Clones write to the same.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: String,
    dropped: u64,
    closed: bool,
}

/// The thread that writes. Whoever holds it can wait for the last line.
#[derive(Debug)]
pub struct Writer {
    log: AccessLog,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// A log to standard output, and its writer.
    pub fn start() -> std::io::Result<(Self, Writer)> {
        let log = Self(Arc::default());
        let shared = Arc::clone(&log.0);
        let thread =
            std::thread::Builder::new().name("access log".to_owned()).spawn(move || shared.write_all())?;
        Ok((log.clone(), Writer { log, thread }))
    }

    /// The entry of a request that has just arrived.
    pub fn entry<B>(&self, peer: IpAddr, request: &Request<B>) -> Entry {
        Entry {
            log: self.clone(),
            peer,
            arrived: SystemTime::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            referer: field(request.headers(), &REFERER),
            user_agent: field(request.headers(), &USER_AGENT),
            status: CLIENT_GONE,
            bytes: 0,
        }
    }

    fn append(&self, write: impl FnOnce(&mut String)) {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.lines.len() >= BACKLOG {
            pending.dropped += 1;
            return;
        }
        let first = pending.lines.is_empty();
        write(&mut pending.lines);
        drop(pending);
        if first {
            self.0.changed.notify_one();
        }
    }
}

impl Shared {
    fn write_all(&self) {
        let mut lines = String::new();
        let mut broken = false;
        loop {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            while pending.lines.is_empty() && !pending.closed {
                pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            let closed = pending.closed;
            let dropped = std::mem::take(&mut pending.dropped);
            std::mem::swap(&mut lines, &mut pending.lines);
            drop(pending);

            if dropped > 0 {
                warn!(
                    "{dropped} lines of the access log were dropped: nobody reads standard output fast enough"
                );
            }
            let mut output = std::io::stdout().lock();
            if !broken && let Err(error) = output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
                warn!("the access log ends here: cannot write to standard output: {error}");
                broken = true;
            }
            drop(output);
            lines.clear();
            if closed {
                return;
            }
            std::thread::sleep(GATHERING);
        }
    }
}

impl Writer {
    /// Writes what is pending and ends, unless standard output takes longer than `patience`.
    pub fn finish(self, patience: Duration) {
        self.log.0.pending.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.log.0.changed.notify_one();
        let deadline = std::time::Instant::now() + patience;
        while !self.thread.is_finished() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn field(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    headers.get(name).cloned()
}

/// The status of a request whose client left before there was an answer: no HTTP status, but what other logs use.
const CLIENT_GONE: u16 = 499;

/// A request that is being answered. It is written when it is dropped.
#[derive(Debug)]
pub struct Entry {
    log: AccessLog,
    peer: IpAddr,
    arrived: SystemTime,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    status: u16,
    bytes: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.append(|line| self.write(line));
    }
}

impl Entry {
    fn write(&self, line: &mut String) {
        let _ = write!(line, "{} - - [{}] \"", self.peer, time(self.arrived));
        escape(line, self.method.as_str().as_bytes());
        line.push(' ');
        write_uri(line, &self.uri);
        let _ = write!(line, " {:?}\" {} ", self.version, self.status);
        match self.bytes {
            0 => line.push('-'),
            bytes => _ = write!(line, "{bytes}"),
        }
        for field in [&self.referer, &self.user_agent] {
            line.push_str(" \"");
            escape(line, field.as_ref().map_or(b"-", HeaderValue::as_bytes));
            line.push('"');
        }
        line.push('\n');
    }
}

fn write_uri(line: &mut String, uri: &Uri) {
    let mut text = String::new();
    let _ = write!(text, "{uri}");
    escape(line, text.as_bytes());
}

/// `10/Oct/2000:13:55:36 +0000`: the log's own format of a time, which is an HTTP-date in another order.
fn time(time: SystemTime) -> String {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let date = httpdate::fmt_http_date(time);
    let part = |range| date.get::<std::ops::Range<usize>>(range).unwrap_or_default();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}

/// Appends what a client sent so that it can neither end the line nor the quotes, nor speak to a terminal.
fn escape(line: &mut String, bytes: &[u8]) {
    for &byte in bytes.iter().take(LONGEST_FIELD) {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => _ = write!(line, "\\x{byte:02x}"),
        }
    }
    if bytes.len() > LONGEST_FIELD {
        line.push_str("...");
    }
}

/// A body that counts what it gives away.
pub struct Logged<B> {
    body: B,
    entry: Option<Entry>,
}

impl<B> Logged<B> {
    /// Logs `body` as the answer to the request of `entry`; without one, nothing is logged.
    pub fn new(body: B, mut entry: Option<Entry>, status: u16) -> Self {
        if let Some(entry) = &mut entry {
            entry.status = status;
        }
        Self { body, entry }
    }
}

impl<B: Body + Unpin> Body for Logged<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(entry), Some(data)) = (&mut self.entry, frame.data_ref())
        {
            entry.bytes += data.remaining() as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessLog, escape, time};
    use http::{Request, Version};
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_time_is_written_as_the_format_has_it() {
        assert_eq!(time(UNIX_EPOCH + Duration::from_secs(784_111_777)), "06/Nov/1994:08:49:37 +0000");
    }

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut line = String::new();
        escape(&mut line, b"a\r\n\"b\\\x1b[0m\xff\t");
        assert_eq!(line, r#"a\x0d\x0a\"b\\\x1b[0m\xff\x09"#);
    }

    #[test]
    fn a_line_has_the_fields_of_the_combined_format() {
        let log = AccessLog(Arc::default());
        let request = Request::builder()
            .version(Version::HTTP_11)
            .uri("/a?b=%0A")
            .header("referer", "http://localhost/\"")
            .body(())
            .unwrap();
        let mut entry = log.entry(IpAddr::from([127, 0, 0, 1]), &request);
        entry.arrived = UNIX_EPOCH;
        let mut line = String::new();
        (entry.status, entry.bytes) = (200, 1234);
        entry.write(&mut line);
        (entry.status, entry.bytes) = (304, 0);
        entry.write(&mut line);
        let request = r#"127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "GET /a?b=%0A HTTP/1.1""#;
        let fields = r#""http://localhost/\"" "-""#;
        assert_eq!(line, format!("{request} 200 1234 {fields}\n{request} 304 - {fields}\n"));
    }
}
