//! Sockets, from binding to closing.
//!
//! - [`bind`] and [`unix`] open the addresses on the command line, [`inherit`] takes listeners over that are open already;
//!   [`listener`] is what they give
//! - [`limit`]: how many connections may be open at a time; [`per_address`]: and of one client
//! - [`accept`]: connections, one task each
//! - [`proxy`]: whose connection it is that a proxy passes on
//! - [`conn`]: a connection on its way to HTTP, and what answers on it need to know
//! - [`transport`]: a socket of either family; [`socket`]: one that sends files by itself; [`unsent`]: how much of that the
//!   kernel holds
//! - [`hangup`]: clients that leave; [`stall`]: clients that stop reading
//! - [`linger`]: closing so that the last answer arrives
//! - [`names`]: how the C library looks names up
//! - [`tls`]: certificates, handshakes, and the bytes of encrypted connections

pub mod accept;
pub mod bind;
pub mod conn;
pub mod hangup;
pub mod inherit;
pub mod limit;
pub mod linger;
pub mod listener;
pub mod names;
pub mod per_address;
pub mod proxy;
pub mod socket;
pub mod stall;
pub mod tls;
pub mod transport;
mod unix;
mod unsent;

pub use conn::{Conn, ConnInfo, Reach};
pub use hangup::Hangup;
pub use listener::Listener;
pub use per_address::Network;
pub use unix::SocketFile;
