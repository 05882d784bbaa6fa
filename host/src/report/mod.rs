//! What the host says: the access log on standard output or in a file; diagnostics and guests' lines on standard error.
//!
//! - [`writer`]: lines for one stream or [file](log_file), written by a thread of its own
//! - [`stderr`]: diagnostics, the libraries' warnings and what guests print, through one writer
//! - [`guest_output`]: what guests print while they serve; [`terminal`]: what a guest that runs as a command prints
//! - [`recorder`]: follows each request to its [`outcome`]; [`access_log`]: a line for it, in a
//!   [`format`](mod@format) with a [`date`]
//! - [`otlp`]: what is sent to a collector of traces
//! - [`metrics`]: what is counted; [`recent`]: the last warnings
//! - [`request_id`], [`tag`]: what marks the lines of a request; [`subject`], [`text`]: how requests and other strangers' text
//!   are shown; [`rate`]: how much in a second; [`occasionally`]: warnings that clients can cause

pub mod access_log;
mod date;
pub mod format;
pub mod guest_output;
pub mod log_file;
pub mod metrics;
mod occasionally;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(not(feature = "otlp"))]
#[path = "otlp/absent.rs"]
pub mod otlp;
pub mod outcome;
mod rate;
pub mod recent;
pub mod recorder;
pub mod request_id;
pub mod stderr;
pub mod subject;
pub mod tag;
pub mod terminal;
pub mod text;
pub mod writer;

pub use occasionally::Occasionally;
pub use outcome::{Peer, Via};
pub use rate::Rate;
pub use recorder::{Meter, Recorded, Recorder, Report, for_site};
pub use subject::Subject;
