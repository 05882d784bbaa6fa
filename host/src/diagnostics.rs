//! What the host has to say while it runs: a line each on standard error.

use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Shows warnings and errors from now on, those of the libraries too.
pub fn start() {
    // A second server in one process has the first one's.
    let _ = tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_writer(std::io::stderr)
        .event_format(OneLine)
        .try_init();
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
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = if *event.metadata().level() == Level::ERROR { "error" } else { "warning" };
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "wasi-httpd: {level}: {}", message.0)
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
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
