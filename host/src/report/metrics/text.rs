//! The text format of Prometheus, version 0.0.4: families of samples, each with its help and type.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! This is the version that every scraper reads, and which `promtool check metrics` checks. `OpenMetrics` differs in the names
//! of counters and in its end.

use super::histogram::Counts;
use std::fmt::{Display, Write as _};

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows. Its name ends with `_total`.
    Counter,
    /// A number that also falls.
    Gauge,
    /// The distribution of values.
    Histogram,
}

/// The unit in which a histogram is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Bytes,
    /// Nanoseconds are written as seconds.
    Seconds,
}

impl Unit {
    #[allow(clippy::cast_precision_loss)]
    fn value(self, number: u64) -> f64 {
        match self {
            Self::Bytes => number as f64,
            Self::Seconds => number as f64 / 1e9,
        }
    }
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Text(String);

/// A family of samples under construction.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Text {
    /// Begins a family. `help` is a sentence without a line break.
    pub fn family(&mut self, name: &'static str, help: &str, kind: Kind) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, None, &value)
    }

    /// Adds a histogram.
    pub fn histogram<const N: usize>(
        &mut self,
        labels: &[(&str, &str)],
        counts: &Counts<N>,
        unit: Unit,
    ) -> &mut Self {
        let mut seen = 0;
        for (count, &bound) in counts.within.iter().zip(counts.bounds) {
            seen += count;
            self.line("_bucket", labels, Some(&unit.value(bound)), &seen);
        }
        let total = seen + counts.above;
        self.line("_bucket", labels, Some(&"+Inf"), &total);
        self.line("_sum", labels, None, &unit.value(counts.sum));
        self.line("_count", labels, None, &total)
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        le: Option<&dyn Display>,
        value: &dyn Display,
    ) -> &mut Self {
        let Self { text, name } = self;
        let _ = write!(text, "{name}{suffix}");
        let mut separator = '{';
        for (label, value) in labels {
            let _ = write!(text, "{separator}{label}=\"");
            escape(text, value);
            text.push('"');
            separator = ',';
        }
        if let Some(bound) = le {
            let _ = write!(text, "{separator}le=\"{bound}\"");
            separator = ',';
        }
        if separator == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
        self
    }
}

/// Appends the value of a label.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Text, Unit};
    use crate::report::metrics::Histogram;

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples() {
        let mut text = Text::default();
        text.family("a_total", "How many.", Kind::Counter).sample(&[], 1).sample(&[("b", "x\"\\\n")], 2);
        text.family("c", "How much.", Kind::Gauge).sample(&[("d", "e"), ("f", "g")], 0.5);
        let expected = "# HELP a_total How many.\n# TYPE a_total counter\na_total 1\na_total{b=\"x\\\"\\\\\\n\"} 2\n\
                        # HELP c How much.\n# TYPE c gauge\nc{d=\"e\",f=\"g\"} 0.5\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let histogram = Histogram::new(&[100_000, 1_500_000_000]);
        for value in [1, 100_000, 1_000_000_000, 2_000_000_000] {
            histogram.observe(value);
        }
        let mut text = Text::default();
        text.family("a_seconds", "How long.", Kind::Histogram).histogram(
            &[("b", "c")],
            &histogram.counts(),
            Unit::Seconds,
        );
        let expected = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\n\
                        a_seconds_bucket{b=\"c\",le=\"0.0001\"} 2\n\
                        a_seconds_bucket{b=\"c\",le=\"1.5\"} 3\n\
                        a_seconds_bucket{b=\"c\",le=\"+Inf\"} 4\n\
                        a_seconds_sum{b=\"c\"} 3.000100001\n\
                        a_seconds_count{b=\"c\"} 4\n";
        assert_eq!(text.finish(), expected);
    }
}
