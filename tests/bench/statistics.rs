//! Medians, quantiles and spreads.

use std::fmt::{Display, Formatter, Result};

/// The median, the minimum and the maximum of values.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The median.
    pub median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// The spread of values, of which there is at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        // The mean of the two in the middle if there is an even number of values.
        let below = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
        Self {
            median: f64::midpoint(below, quantile(&values, 0.5)),
            min: quantile(&values, 0.0),
            max: quantile(&values, 1.0),
        }
    }
}

impl Display for Spread {
    /// The median, and the others in brackets.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let digits = formatter.precision().unwrap_or(2);
        write!(formatter, "{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.min, self.max)
    }
}

/// The median of values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(values).median
}

/// A quantile of sorted values: this share of them is not greater.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
