//! The access log: one line for each request on standard output, in the Combined format.

use super::format::Format;
use super::outcome::{Needs, Outcome};
use super::writer::{Stream, Trouble, Writer};
use std::cell::RefCell;
use std::time::Duration;
use tracing::warn;

/// Bytes of lines that may wait for a slow reader of standard output.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How its lines look.
const FORMAT: Format = Format::Combined;

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
        FORMAT.needs()
    }

    /// Writes the line of a request.
    pub fn record(&self, outcome: &Outcome) {
        thread_local! {
            /// The line under construction, which keeps its memory for the next one.
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            FORMAT.write(line, outcome);
            self.0.append(line);
        });
    }

    /// Writes what is queued, for at most so long.
    pub fn finish(&self, patience: Duration) {
        self.0.finish(patience);
    }
}
