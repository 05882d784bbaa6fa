//! HTTP on a connection.
//!
//! 1. [`connection`]: what all connections share, and which version of HTTP a connection has
//! 2. [`http1`]: requests and answers from the first byte to the last, within time limits
//! 3. [`http2`]: requests and answers on the streams of a connection; [`date`]: their date
//! 4. [`client`]: whose request it is, by what proxies have [`forwarded`]
//! 5. [`check`]: requests that no guest sees
//! 6. [`refusal`]: what the host answers itself
//! 7. [`redirect`]: redirects by the host
//! 8. [`shutdown`]: how the server stops

pub mod check;
mod client;
pub mod connection;
mod date;
mod forwarded;
mod http1;
mod http2;
pub mod redirect;
pub mod refusal;
pub mod shutdown;
