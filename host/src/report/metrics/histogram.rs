//! Histograms: how many values there were up to each of some bounds.

use super::counter::Counter;

/// How often values of each size came, in buckets that are fixed. Adding a value takes no lock.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    /// Values up to each bound that are above the one before.
    within: [Counter; N],
    /// Values above the last bound.
    above: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// No values yet. A bucket holds what is not above its bound; bounds grow.
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, within: [const { Counter::new() }; N], above: Counter::new(), sum: Counter::new() }
    }

    /// Adds a value.
    pub fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|&bound| bound < value);
        self.within.get(at).unwrap_or(&self.above).increment();
        self.sum.add(value);
    }

    /// All values so far.
    pub fn counts(&self) -> Counts<N> {
        Counts {
            bounds: self.bounds,
            within: self.within.each_ref().map(Counter::get),
            above: self.above.get(),
            sum: self.sum.get(),
        }
    }
}

/// What a histogram has counted until some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<const N: usize> {
    /// The bounds of the buckets.
    pub bounds: &'static [u64; N],
    /// Values up to each bound that are above the one before.
    pub within: [u64; N],
    /// Values above the last bound.
    pub above: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl<const N: usize> Counts<N> {
    /// No values.
    pub fn none(bounds: &'static [u64; N]) -> Self {
        Self { bounds, within: [0; N], above: 0, sum: 0 }
    }

    /// How many values there were.
    pub fn total(&self) -> u64 {
        self.within.iter().sum::<u64>() + self.above
    }

    /// The same and those of another histogram with these bounds.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (count, more) in self.within.iter_mut().zip(other.within) {
            *count += more;
        }
        self.above += other.above;
        self.sum += other.sum;
        self
    }

    /// What has come since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (count, before) in self.within.iter_mut().zip(earlier.within) {
            *count = count.saturating_sub(before);
        }
        self.above = self.above.saturating_sub(earlier.above);
        self.sum = self.sum.saturating_sub(earlier.sum);
        self
    }

    /// The value that a part of all values do not exceed, such as 0.99 of them, as if the values in a bucket were spread
    /// evenly; the last bound where it is above that. `None` without values.
    #[allow(clippy::cast_precision_loss)]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let rank = part * total as f64;
        let (mut seen, mut from) = (0, 0);
        for (&count, &bound) in self.within.iter().zip(self.bounds) {
            if count > 0 && (seen + count) as f64 >= rank {
                let share = ((rank - seen as f64) / count as f64).clamp(0.0, 1.0);
                return Some(from as f64 + share * (bound - from) as f64);
            }
            seen += count;
            from = bound;
        }
        Some(from as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Histogram};
    use proptest::prelude::{any, prop, proptest};

    const BOUNDS: [u64; 3] = [10, 100, 1_000];

    fn counts(values: &[u64]) -> Counts<3> {
        let histogram = Histogram::new(&BOUNDS);
        for &value in values {
            histogram.observe(value);
        }
        histogram.counts()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let counts = counts(&[0, 10, 11, 100, 101, 1_000, 1_001]);
        assert_eq!((counts.within, counts.above, counts.sum), ([2, 2, 2], 1, 2_223));
        assert_eq!(counts.total(), 7);
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_value() {
        assert_eq!(counts(&[]).quantile(0.5), None);
        assert_eq!(counts(&[50, 50]).quantile(0.5), Some(55.0));
        assert_eq!(counts(&[50, 50]).quantile(1.0), Some(100.0));
        let many: Vec<u64> = (0..100).map(|number| if number < 95 { 5 } else { 500 }).collect();
        assert_eq!(counts(&many).quantile(0.99), Some(820.0));
        assert_eq!(counts(&[5_000]).quantile(0.5), Some(1_000.0), "it is not known how much more");
    }

    proptest! {
        #[test]
        fn what_came_since_and_what_came_before_are_all(
            before in prop::collection::vec(0_u64..2_000, 0..20),
            after in prop::collection::vec(0_u64..2_000, 0..20),
        ) {
            let all = counts(&[&before[..], &after].concat());
            assert_eq!(all.since(&counts(&before)), counts(&after));
            assert_eq!(counts(&before).plus(&counts(&after)), all);
        }

        #[test]
        fn quantiles_grow(values in prop::collection::vec(any::<u16>(), 1..50), one in 0.0..1.0, other in 0.0..1.0) {
            let counts = counts(&values.iter().map(|&value| value.into()).collect::<Vec<_>>());
            let [less, more] = if one < other { [one, other] } else { [other, one] };
            assert!(counts.quantile(less) <= counts.quantile(more));
        }
    }
}
