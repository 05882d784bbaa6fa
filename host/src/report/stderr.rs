//! Standard error: diagnostics of the host, warnings of its libraries, and what guests print while they serve.
//!
//! Once [`start`] was called, all of it goes through one [`Writer`], so that no thread that serves ever waits for the
//! reader. Before that, and where the thread cannot be started, lines are written directly: the process starts no thread
//! before it has [restricted itself](crate::lockdown).

use super::metrics::Log;
use super::rate::Rate;
use super::recent;
use super::text::one_line;
use super::writer::{Stream, Trouble, Writer};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer as EventWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Bytes that may wait for a slow reader.
const CAPACITY: usize = 1024 * 1024;

/// How long the last lines may take to be written when the process ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// What all guests together may print while they serve, in bytes: a guest that prints with every request must not fill a
/// disk in an hour.
const GUEST_BURST: u64 = 1024 * 1024;
const GUEST_BYTES_PER_SECOND: u64 = 64 * 1024;

/// How much of one value a diagnostic shows, in bytes.
const MAX_MESSAGE: usize = 2 * 1024;

/// Standard error belongs to the process, and so does its writer.
static WRITER: OnceLock<Writer> = OnceLock::new();

static GUEST_RATE: LazyLock<Mutex<Rate>> =
    LazyLock::new(|| Mutex::new(Rate::new(GUEST_BURST, GUEST_BYTES_PER_SECOND, Instant::now())));

/// Starts the thread that writes from now on.
pub fn start() {
    if WRITER.get().is_none()
        && let Ok(writer) = Writer::start(Stream::Error, CAPACITY, Duration::ZERO, explain)
    {
        let _ = WRITER.set(writer);
    }
}

/// Shows warnings and errors from now on, those of the libraries included.
pub fn show_warnings() {
    // Fails where the process has a subscriber already, which then stays.
    let _ = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_writer(Lines)
        .event_format(OneLine)
        .finish()
        .with(filter_fn(|metadata| !is_about_clients(metadata)).with_max_level_hint(Level::WARN))
        .try_init();
}

/// Whether a client or a guest can have as many of these lines written as it likes: the library for HTTP/2 warns of frames
/// that it did not expect, and that for `wasi:http` of requests whose failure the guest was told.
fn is_about_clients(metadata: &Metadata<'_>) -> bool {
    ["h2::", "wasmtime_wasi_http::"].iter().any(|library| metadata.target().starts_with(library))
}

/// What the writer says about itself, in a line of the same stream.
#[allow(clippy::needless_pass_by_value)]
fn explain(trouble: Trouble) -> Option<String> {
    match trouble {
        Trouble::Dropped(lines) => {
            Log::Error.drop_lines(lines);
            Some(format!(
                "wasi-httpd: warning: {lines} lines were dropped here: standard error is not read fast enough\n"
            ))
        }
        Trouble::Withheld(lines) => {
            Log::Guest.drop_lines(lines);
            Some(format!(
                "wasi-httpd: warning: {lines} lines that guests printed are not shown: together they may print {} KiB \
                 a second\n",
                GUEST_BYTES_PER_SECOND / 1024
            ))
        }
        Trouble::Failed(lines, error) => {
            Log::Error.drop_lines(lines);
            Some(format!("wasi-httpd: warning: {lines} lines were dropped here: {error}\n"))
        }
        Trouble::Broken(_) | Trouble::NotReopened(_) => None,
    }
}

/// Writes a line, which may not hold a `\n`.
pub fn line(text: &str) {
    append(format!("{text}\n").as_bytes());
}

/// Writes a failure as one line, whatever the names in it.
pub fn complain(message: &str) {
    line(&format!("wasi-httpd: {}", one_line(message)));
}

/// Writes a line that a guest has printed while serving, unless all guests together print too much.
pub(super) fn guest_line(text: &str) {
    let length = text.len() as u64 + 1;
    if GUEST_RATE.lock().unwrap_or_else(PoisonError::into_inner).take(length, Instant::now()) {
        line(text);
    } else if let Some(writer) = WRITER.get() {
        writer.withhold();
    }
}

/// Waits until everything is written, or until [`FINISH_TIMEOUT`] where standard error is not read.
pub fn finish() {
    if let Some(writer) = WRITER.get() {
        writer.finish(FINISH_TIMEOUT);
    }
}

fn append(line: &[u8]) {
    match WRITER.get() {
        Some(writer) => writer.append(line),
        // A standard error that is closed leaves nowhere to report that it is.
        None => _ = std::io::stderr().lock().write_all(line),
    }
}

/// Where the subscriber writes: each event is one call.
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// `wasi-httpd: warning: message`, whatever the message holds.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: EventWriter<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = if *event.metadata().level() == Level::ERROR { "error" } else { "warning" };
        let mut message = Message(String::new());
        event.record(&mut message);
        recent::keep(level == "error", &message.0);
        writeln!(writer, "wasi-httpd: {level}: {}", message.0)
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = format!("{value:?}");
        if text.len() > MAX_MESSAGE {
            text.truncate(text.floor_char_boundary(MAX_MESSAGE));
            text.push_str("...");
        }
        if field.name() != "message" {
            let _ = write!(self.0, " {}=", field.name());
        }
        for character in text.chars() {
            match character {
                '\n' => self.0.push_str(" | "),
                character if character.is_control() => self.0.extend(character.escape_default()),
                character => self.0.push(character),
            }
        }
    }
}
