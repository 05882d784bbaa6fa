//! What the calls of guests mean, once for all bindings: [`p2`](super::p2) links them to components, and
//! [`direct`](super::direct) to core modules. Calls that are not here mean what the runtime says.
//!
//! - [`directories`]: the directories of an instance, and their entries
//! - [`files`]: examining, opening and reading files, and writing, which is always refused
//! - [`messages`]: fields, responses and the bodies of messages
//! - [`streams`]: files that are spliced into bodies

pub mod directories;
pub mod files;
pub mod messages;
pub mod scratch;
pub mod streams;

use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// `wasi:clocks/wall-clock.now`: the time, by a clock that knows none before 1970.
pub fn now() -> Datetime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() }
}
