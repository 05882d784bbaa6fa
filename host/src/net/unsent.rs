//! How much the kernel holds for a client before it is sent.
//!
//! By default, Linux holds up to 4 MiB for each connection whose client does not read, and some hundred of these use up the
//! memory that it has for all connections. With a low limit, large files take twice the CPU time, because they are sent in
//! small pieces. So each connection has a low limit, and a few at a time, of those that send large files, have the kernel's.

use rustix::io::Errno;
use socket2::SockRef;
use std::cell::Cell;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that the kernel holds for a connection with the low limit.
const LOW_LIMIT: u32 = 128 << 10;

/// Has the kernel's own limit apply (`tcp_notsent_lowat` in tcp(7)).
const KERNEL_LIMIT: u32 = 0;

/// How many connections at a time may have the kernel's limit.
const RAISED_MAX: usize = 16;

/// The limit is raised if so many bytes of a body are left.
const RAISED_LENGTH_MIN: u64 = 8 << 20;

/// The last bytes of a body, which are sent with the low limit again, so that the kernel holds little when it was sent.
const LAST_BYTES: u64 = 4 << 20;

/// Connections that have the kernel's limit.
static RAISED: AtomicUsize = AtomicUsize::new(0);

/// Sets the low limit, also for the connections that a listener accepts.
pub(super) fn limit(socket: &impl AsFd) -> rustix::io::Result<()> {
    set(socket, LOW_LIMIT)
}

fn set(socket: &impl AsFd, limit: u32) -> rustix::io::Result<()> {
    let outcome = SockRef::from(socket).set_tcp_notsent_lowat(limit);
    outcome.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// One of the places for connections with the kernel's limit.
#[derive(Debug)]
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |raised: usize| (raised < RAISED_MAX).then_some(raised + 1);
        RAISED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        RAISED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The limit of a connection.
#[derive(Default)]
pub(super) struct Unsent(Cell<Limit>);

#[derive(Debug, Default)]
enum Limit {
    #[default]
    Low,
    /// It is the kernel's.
    Raised(Place),
    /// It is low again, and what the kernel holds may be more.
    Lowered(Place),
}

impl Unsent {
    /// Sets the limit for sending from a body of which so many bytes are left.
    pub(super) fn before(&self, socket: &impl AsFd, left: u64) {
        self.0.set(match self.0.take() {
            Limit::Low if left >= RAISED_LENGTH_MIN => match Place::take() {
                Some(place) if set(socket, KERNEL_LIMIT).is_ok() => Limit::Raised(place),
                _ => Limit::Low,
            },
            Limit::Raised(place) if left <= LAST_BYTES && limit(socket).is_ok() => Limit::Lowered(place),
            limit => limit,
        });
    }

    /// Notes that bytes were sent. The kernel takes them only if it holds less than the limit allows.
    pub(super) fn after(&self) {
        self.0.set(match self.0.take() {
            Limit::Lowered(_) => Limit::Low,
            limit => limit,
        });
    }
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.0.take();
        let outcome = limit.fmt(f);
        self.0.set(limit);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::{LAST_BYTES, Place, RAISED_LENGTH_MIN, RAISED_MAX, Unsent};
    use std::net::TcpListener;

    #[test]
    fn a_few_connections_have_the_limit_of_the_kernel_until_the_last_bytes() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let [first, second] = [Unsent::default(), Unsent::default()];
        let is = |unsent: &Unsent, limit: &str| assert_eq!(format!("{unsent:?}"), limit);
        first.before(&socket, RAISED_LENGTH_MIN - 1);
        is(&first, "Low");
        let places: Vec<_> = (1..RAISED_MAX).map(|_| Place::take().unwrap()).collect();
        first.before(&socket, RAISED_LENGTH_MIN);
        is(&first, "Raised(Place)");
        second.before(&socket, RAISED_LENGTH_MIN);
        is(&second, "Low");
        first.after();
        first.before(&socket, LAST_BYTES + 1);
        is(&first, "Raised(Place)");
        first.after();
        first.before(&socket, LAST_BYTES);
        is(&first, "Lowered(Place)");
        // Its place is free when the kernel has taken more.
        assert!(Place::take().is_none());
        first.after();
        is(&first, "Low");
        second.before(&socket, RAISED_LENGTH_MIN);
        is(&second, "Raised(Place)");
        drop(places);
    }
}
