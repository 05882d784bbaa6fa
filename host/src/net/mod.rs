//! Sockets, from binding to closing.
//!
//! - [`bind`]: listeners for the addresses on the command line
//! - [`limit`]: how many connections may be open at a time
//! - [`accept`]: connections, one task each
//! - [`conn`]: a connection on its way to HTTP, and what answers on it need to know
//! - [`socket`]: a TCP socket that sends files by itself
//! - [`hangup`]: clients that leave; [`stall`]: clients that stop reading
//! - [`linger`]: closing so that the last answer arrives

pub mod accept;
pub mod bind;
pub mod conn;
pub mod hangup;
pub mod limit;
pub mod linger;
pub mod socket;
pub mod stall;

pub use conn::{Conn, ConnInfo, Reach};
pub use hangup::Hangup;
