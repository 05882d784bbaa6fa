//! The access log: a line for each request, on standard output or in a file.

use super::format::Format;
use super::metrics::Log as Lines;
use super::outcome::{Needs, Outcome};
use super::writer::{Stream, Trouble, Writer};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Bytes of lines that may wait for a slow reader or disk.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How often at most it is said that lines were dropped.
const NOTICE: Duration = Duration::from_mins(1);

/// The log. Clones write to the same.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    writer: Writer,
    format: Format,
}

impl AccessLog {
    /// A log that is written to `stream` in this format.
    pub fn start(stream: Stream, format: Format) -> io::Result<Self> {
        let place = stream.to_string();
        let explain = move |trouble| {
            match trouble {
                Trouble::Dropped(lines) | Trouble::Withheld(lines) => {
                    Lines::Access.drop_lines(lines);
                    warn!(
                        "{lines} lines of the access log were dropped: {place} does not take them fast enough"
                    );
                }
                Trouble::Failed(lines, error) => {
                    Lines::Access.drop_lines(lines);
                    warn!("{lines} lines of the access log were dropped: cannot write to {place}: {error}");
                }
                Trouble::Broken(error) => {
                    warn!("the access log ends here: cannot write to {place}: {error}");
                }
                Trouble::NotReopened(error) => {
                    warn!("the access log stays in the file that is open: cannot open {place}: {error}");
                }
            }
            None
        };
        let writer = Writer::start(stream, CAPACITY, NOTICE, explain)?;
        Ok(Self(Arc::new(Log { writer, format })))
    }

    /// What its lines show of outcomes.
    pub fn needs(&self) -> Needs {
        self.0.format.needs()
    }

    /// Writes the line of a request.
    pub fn record(&self, outcome: &Outcome) {
        thread_local! {
            /// The line under construction, which keeps its memory for the next one.
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.0.format.write(line, outcome);
            self.0.writer.append(line);
        });
    }

    /// Opens the file again once everything before is written, because it may have been moved away. This does nothing
    /// where the log is no regular file.
    pub fn reopen(&self) {
        self.0.writer.reopen();
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.writer.lost()
    }

    /// Writes what is queued, for at most so long.
    pub fn finish(&self, patience: Duration) {
        self.0.writer.finish(patience);
    }
}
