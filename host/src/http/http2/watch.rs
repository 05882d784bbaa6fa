//! How long the parts of a connection may take. It is looked at once in each [`TICK`].

use crate::config::ClientTimes;
use h2::Reason;
use std::time::Duration;

/// How often a connection is looked at. Its time limits are that exact.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What is seen of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Whether a request is being answered.
    pub(super) is_busy: bool,
    /// Whether the client has sent its settings.
    pub(super) has_settings: bool,
    /// The number of the head that is not complete, if there is one.
    pub(super) open_head: Option<u32>,
}

/// For how long a connection has been as it is.
#[derive(Debug)]
pub(super) struct Watch {
    head: Duration,
    idle: Duration,
    without_settings: Duration,
    in_head: Duration,
    open_head: Option<u32>,
    not_busy: Duration,
}

impl Watch {
    pub(super) fn new(times: &ClientTimes) -> Self {
        let zero = Duration::ZERO;
        Self {
            head: times.head,
            idle: times.idle,
            without_settings: zero,
            in_head: zero,
            open_head: None,
            not_busy: zero,
        }
    }

    /// Accounts for a tick. Returns why the connection has to be closed, if it has.
    pub(super) fn look(&mut self, seen: Seen) -> Option<Reason> {
        self.without_settings += TICK;
        if !seen.has_settings && self.without_settings >= self.head {
            return Some(Reason::SETTINGS_TIMEOUT);
        }
        if seen.open_head.is_some() && seen.open_head == self.open_head {
            self.in_head += TICK;
            if self.in_head >= self.head {
                return Some(Reason::ENHANCE_YOUR_CALM);
            }
        } else {
            self.open_head = seen.open_head;
            self.in_head = Duration::ZERO;
        }
        self.not_busy = if seen.is_busy { Duration::ZERO } else { self.not_busy + TICK };
        (self.not_busy >= self.idle).then_some(Reason::NO_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, Watch};
    use crate::config::ClientTimes;
    use h2::Reason;
    use std::time::Duration;

    const FINE: Seen = Seen { is_busy: true, has_settings: true, open_head: None };

    fn watch() -> Watch {
        let seconds = Duration::from_secs;
        Watch::new(&ClientTimes { head: seconds(3), idle: seconds(5), stall: seconds(60) })
    }

    /// After how many ticks a connection is closed that looks like this, and why.
    fn ticks(watch: &mut Watch, seen: Seen) -> (usize, Reason) {
        (1..100).find_map(|tick| Some((tick, watch.look(seen)?))).unwrap()
    }

    #[test]
    fn a_connection_that_is_used_is_left_alone() {
        let mut watch = watch();
        for tick in 0..100 {
            assert_eq!(watch.look(Seen { open_head: Some(tick), ..FINE }), None, "each head is another one");
            assert_eq!(watch.look(Seen { is_busy: tick % 2 == 0, ..FINE }), None);
        }
    }

    #[test]
    fn an_idle_connection_is_closed() {
        let mut watch = watch();
        let idle = Seen { is_busy: false, ..FINE };
        watch.look(idle);
        watch.look(FINE);
        assert_eq!(ticks(&mut watch, idle), (5, Reason::NO_ERROR));
    }

    #[test]
    fn a_head_has_to_be_completed_in_time() {
        let mut watch = watch();
        assert_eq!(ticks(&mut watch, Seen { open_head: Some(1), ..FINE }), (4, Reason::ENHANCE_YOUR_CALM));
    }

    #[test]
    fn settings_have_to_come_in_time() {
        let mut watch = watch();
        let silent = Seen { has_settings: false, ..FINE };
        assert_eq!(ticks(&mut watch, silent), (3, Reason::SETTINGS_TIMEOUT));
    }
}
