//! HTTP/1.1 on a connection.
//!
//! 1. [`connection`]: a connection from its first byte to its last, with its time limits
//! 2. [`exchange`]: the bytes of a connection, and at which point of an exchange it is
//! 3. [`check`]: requests that no guest sees, by their [`authority`] among others
//! 4. [`refusal`]: what the host answers itself
//! 5. [`shutdown`]: how the server stops

pub mod authority;
pub mod check;
pub mod connection;
mod exchange;
pub mod refusal;
pub mod shutdown;
