//! Failed logins of each address: how many it may have in a minute, and that they are told of once.

use crate::net::Network;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failed logins that an address may have in a [`WINDOW`]. People need a few, and programs that guess need millions.
const MAX_FAILED: u32 = 20;

/// How long failed logins count.
const WINDOW: Duration = Duration::from_mins(1);

/// Addresses whose failed logins are counted, in less than 1 MiB. Further ones are counted together, and have no limit: an attack
/// from so many addresses would keep everybody out.
const MAX_ADDRESSES: usize = 8_192;

/// Failed logins.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<Network, Window>,
    others: Option<Window>,
}

/// The failed logins of an address.
#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Instant,
    failed: u32,
    is_told: bool,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { begin: now, failed: 0, is_told: false }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begin) >= WINDOW
    }
}

impl Attempts {
    /// How long an address has to wait until it may try again; `None` if it need not.
    pub(super) fn wait(&self, address: Network, now: Instant) -> Option<Duration> {
        let table = self.lock();
        let window = table.addresses.get(&address).filter(|window| window.failed >= MAX_FAILED)?;
        let wait = WINDOW.saturating_sub(now.saturating_duration_since(window.begin));
        // Clients are told whole seconds.
        (!wait.is_zero()).then(|| Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)))
    }

    /// Counts a failed login. Tells whether to report it: the first one of an address in a [`WINDOW`].
    pub(super) fn fail(&self, address: Network, now: Instant) -> bool {
        let mut table = self.lock();
        let window = table.window(address, now);
        window.failed = window.failed.saturating_add(1);
        !std::mem::replace(&mut window.is_told, true)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The window of an address at this moment.
    fn window(&mut self, address: Network, now: Instant) -> &mut Window {
        if self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, window| !window.is_over(now));
        }
        let has_room = self.addresses.len() < MAX_ADDRESSES || self.addresses.contains_key(&address);
        let window = if has_room {
            self.addresses.entry(address).or_insert_with(|| Window::new(now))
        } else {
            self.others.get_or_insert_with(|| Window::new(now))
        };
        if window.is_over(now) {
            *window = Window::new(now);
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, MAX_ADDRESSES, MAX_FAILED, WINDOW};
    use crate::net::Network;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    fn network(number: u32) -> Network {
        IpAddr::from(number.to_be_bytes()).into()
    }

    #[test]
    fn an_address_waits_after_too_many_and_is_told_of_once() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let told = |seconds: u64| {
            (0..1000).filter(|_| attempts.fail(network(1), start + Duration::from_secs(seconds))).count()
        };
        for _ in 0..MAX_FAILED {
            assert_eq!(attempts.wait(network(1), start), None);
            attempts.fail(network(1), start);
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(attempts.wait(network(1), later), Some(Duration::from_secs(40)));
        assert_eq!(attempts.wait(network(2), later), None);
        assert_eq!(told(20), 0, "the first one was told");
        assert_eq!(attempts.wait(network(1), start + WINDOW), None);
        assert_eq!((told(60), told(119), told(120)), (1, 0, 1));
    }

    #[test]
    fn addresses_are_bounded() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let many = u32::try_from(MAX_ADDRESSES).unwrap();
        let told = (0..3 * many).filter(|&number| attempts.fail(network(number), start)).count();
        assert_eq!(told, MAX_ADDRESSES + 1, "each that is known, and the others together");
        assert_eq!(attempts.lock().addresses.len(), MAX_ADDRESSES);
        for _ in 0..2 * MAX_FAILED {
            attempts.fail(network(2 * many), start);
        }
        assert_eq!(attempts.wait(network(2 * many), start), None);
        // What is over makes room.
        assert!(attempts.fail(network(2 * many), start + WINDOW));
        assert_eq!(attempts.lock().addresses.len(), 1);
    }
}
