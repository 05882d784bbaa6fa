//! The requests of one site, by method and status, and how long and large their answers were.

use super::counter::Counter;
use super::histogram::{Counts, Histogram};
use super::instances::InstanceCounts;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of times in nanoseconds: from what a small file takes to the longest that people wait for.
pub const TIMES: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Bounds of sizes in bytes: from an icon to a disk image.
pub const SIZES: [u64; 8] = [256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20];

/// The methods that are told apart. All others are one, because a client can make up as many as it likes.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "other"];

/// The classes of statuses (RFC 9110 §15).
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What became of a request, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its method; empty where it could not be read.
    pub method: &'a str,
    /// The status of its answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// How long after its arrival there was the head of an answer.
    pub head: Option<Duration>,
    /// How long after its arrival the answer was complete, or the client had left.
    pub total: Option<Duration>,
}

/// What is counted of the requests of a site.
#[derive(Debug)]
pub struct SiteMetrics {
    label: String,
    began: Counter,
    ended: [[Counter; CLASSES.len()]; METHODS.len()],
    head: Histogram<{ TIMES.len() }>,
    total: Histogram<{ TIMES.len() }>,
    size: Histogram<{ SIZES.len() }>,
    /// The instances of its component.
    pub instances: Arc<InstanceCounts>,
}

impl SiteMetrics {
    /// A site without requests.
    pub(super) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            began: Counter::new(),
            ended: Default::default(),
            head: Histogram::new(&TIMES),
            total: Histogram::new(&TIMES),
            size: Histogram::new(&SIZES),
            instances: Arc::default(),
        }
    }

    /// How the site is called.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A request has begun, and will end.
    pub fn begin(&self) {
        self.began.increment();
    }

    /// A request that has begun has ended.
    pub fn end(&self, seen: Seen<'_>) {
        let Seen { method, status, bytes, head, total } = seen;
        let class = usize::from((status / 100).clamp(1, 5) - 1);
        self.ended[method_at(method)][class].increment();
        // A client that has left before that has not waited for an answer.
        if let Some(head) = head {
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.head.observe(nanos(head));
            self.total.observe(nanos(total.unwrap_or(head)));
            self.size.observe(bytes);
        }
    }

    /// How many requests have ended, by method and class of status.
    pub fn ended(&self) -> [[u64; CLASSES.len()]; METHODS.len()] {
        self.ended.each_ref().map(|classes| classes.each_ref().map(Counter::get))
    }

    /// How many requests have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        // Those that have ended are counted first, so that none is missing among those that have begun.
        let ended = self.ended().as_flattened().iter().sum::<u64>();
        self.began.get().saturating_sub(ended)
    }

    /// How long it took to the head of an answer, in nanoseconds.
    pub fn head(&self) -> Counts<{ TIMES.len() }> {
        self.head.counts()
    }

    /// How long it took to the last byte, in nanoseconds.
    pub fn total(&self) -> Counts<{ TIMES.len() }> {
        self.total.counts()
    }

    /// How many bytes the bodies of answers had.
    pub fn size(&self) -> Counts<{ SIZES.len() }> {
        self.size.counts()
    }
}

/// The place of a method in [`METHODS`]. Methods are case-sensitive (RFC 9110 §9.1).
fn method_at(method: &str) -> usize {
    let last = METHODS.len() - 1;
    METHODS[..last].iter().position(|&known| known == method).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::{METHODS, Seen, SiteMetrics};
    use proptest::prelude::{any, proptest};
    use std::time::Duration;

    const SEEN: Seen<'_> = Seen { method: "GET", status: 200, bytes: 5, head: None, total: None };

    #[test]
    fn a_request_is_in_flight_and_then_counted_once() {
        let site = SiteMetrics::new("a");
        site.begin();
        site.begin();
        assert_eq!(site.in_flight(), 2);
        let (head, total) = (Some(Duration::from_millis(1)), Some(Duration::from_secs(20)));
        site.end(Seen { head, total, ..SEEN });
        assert_eq!((site.in_flight(), site.ended()[0]), (1, [0, 1, 0, 0, 0]));
        assert_eq!((site.head().within[3], site.head().sum), (1, 1_000_000));
        assert_eq!((site.total().above, site.total().total()), (1, 1));
        assert_eq!((site.size().within[0], site.size().sum), (1, 5));
        site.end(Seen { method: "BREW", status: 499, ..SEEN });
        assert_eq!((site.in_flight(), site.ended()[7]), (0, [0, 0, 0, 1, 0]));
        assert_eq!(site.size().total(), 1, "there was no answer that could have a size");
    }

    proptest! {
        #[test]
        fn every_method_and_status_has_a_place(method in ".*", status in any::<u16>()) {
            let site = SiteMetrics::new("a");
            site.begin();
            site.end(Seen { method: &method, status, ..SEEN });
            assert_eq!(site.in_flight(), 0);
        }
    }

    #[test]
    fn only_known_methods_are_told_apart() {
        for (at, method) in METHODS.into_iter().enumerate() {
            assert_eq!(super::method_at(method), at);
        }
        for method in ["get", "GETS", "", "GE", "CONNECT"] {
            assert_eq!(METHODS[super::method_at(method)], "other");
        }
    }
}
