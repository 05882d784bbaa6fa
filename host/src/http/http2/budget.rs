//! How many frames a client may send that get it nothing.
//!
//! Frames are cheap to send, and each costs the server something: a PING is answered, a reset ends work that was begun,
//! an empty CONTINUATION is kept in mind. Ordinary clients send few of them for each answer that they take. So such
//! frames are paid from a budget that answers, sent bytes and time fill up again, and a connection that has spent it is
//! closed. This holds for floods of every kind: of PING, SETTINGS, PRIORITY, `WINDOW_UPDATE`, `RST_STREAM`, empty DATA and
//! CONTINUATION, and those that are still to be found.

use super::frames::{Frame, Kind};
use crate::report::Rate;
use std::time::Instant;

/// What a connection can spend at once. A browser that leaves a page with a hundred open streams resets them all.
const MOST: u64 = 2_000;

/// What time adds in each second: a page that cancels 50 images a second while its user scrolls stays below.
const PER_SECOND: u64 = 500;

/// What an answer adds that was sent to its end. Some clients send two `WINDOW_UPDATE` for each.
const PER_ANSWER: u64 = 4;

/// Bytes sent that add one. A frame of DATA has 16 KiB, and some clients send two `WINDOW_UPDATE` for each.
const BYTES_PER_ONE: usize = 4 * 1024;

/// What a reset costs, which throws away the work for a request. With less, a flood of requests that are reset (CVE-2023-44487)
/// would cost the server more than one of requests.
const RESET: u64 = 10;

/// What settings cost, because each open stream has to follow them.
const SETTINGS: u64 = 10;

/// Bytes of a frame of DATA below which it costs more than its bytes.
const SMALL_DATA: u32 = 64;

/// What a connection may still spend.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Rate,
    /// Bytes sent that have not added one yet.
    bytes: usize,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(MOST, PER_SECOND, now), bytes: 0 }
    }

    /// Pays for a frame. `false` when the budget does not suffice.
    pub(super) fn pay(&mut self, frame: Frame, now: Instant) -> bool {
        self.rate.take(cost(frame), now)
    }

    /// An answer was sent to its end.
    pub(super) fn answer(&mut self) {
        self.rate.add(PER_ANSWER);
    }

    /// So many bytes were sent.
    pub(super) fn send(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.rate.add((self.bytes / BYTES_PER_ONE) as u64);
        self.bytes %= BYTES_PER_ONE;
    }
}

fn cost(frame: Frame) -> u64 {
    match frame.kind {
        Kind::Data => u64::from(frame.length < SMALL_DATA && !frame.is_last()),
        Kind::Reset => RESET,
        Kind::Settings if !frame.is_last() => SETTINGS,
        // A request costs little as long as it is answered.
        Kind::Headers | Kind::Settings | Kind::Continuation | Kind::Other => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{Frame, Scanner};
    use super::{Budget, MOST, RESET};
    use std::time::{Duration, Instant};

    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, length: u8) -> Frame {
        let mut found = None;
        let mut scanner = Scanner::new();
        scanner.scan(&[0; 24], |_| {});
        scanner.scan(&[0, 0, length, kind, flags, 0, 0, 0, 1], |frame| found = Some(frame));
        found.unwrap()
    }

    #[test]
    fn a_flood_ends_soon_and_time_allows_little_of_it() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut flood = |now| (0..10_000).take_while(|_| budget.pay(frame(PING, 0, 8), now)).count() as u64;
        assert_eq!(flood(start), MOST);
        assert_eq!(flood(start), 0);
        assert_eq!(flood(start + Duration::from_millis(100)), 50);
        assert_eq!(flood(start + Duration::from_hours(1)), MOST);
    }

    #[test]
    fn a_connection_that_was_idle_has_no_more_than_a_new_one() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let later = start + Duration::from_hours(1);
        let flood = (0..10_000).take_while(|_| budget.pay(frame(PING, 0, 8), later)).count() as u64;
        assert_eq!(flood, MOST);
    }

    #[test]
    fn requests_that_are_reset_cost_what_requests_that_are_answered_do_not() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..100_000 {
            assert!(budget.pay(frame(HEADERS, 5, 20), now) && budget.pay(frame(WINDOW_UPDATE, 0, 4), now));
            budget.answer();
        }
        let mut reset = || budget.pay(frame(HEADERS, 5, 20), now) && budget.pay(frame(RST_STREAM, 0, 4), now);
        let resets = (0..1_000).take_while(|_| reset()).count() as u64;
        assert_eq!(resets, MOST / (RESET + 1));
    }

    #[test]
    fn a_download_may_be_followed_by_its_window() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..100_000 {
            budget.send(16_384);
            assert!(
                budget.pay(frame(WINDOW_UPDATE, 0, 4), now) && budget.pay(frame(WINDOW_UPDATE, 0, 4), now)
            );
        }
    }

    #[test]
    fn content_costs_nothing_unless_there_is_hardly_any() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert!((0..10_000).all(|_| budget.pay(frame(0, 0, 100), now)));
        assert!((0..10_000).all(|_| budget.pay(frame(0, 1, 0), now)), "the last frame is often empty");
        assert!(!(0..10_000).all(|_| budget.pay(frame(0, 0, 0), now)));
    }
}
