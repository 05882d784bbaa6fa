//! A chart of the last minutes, as SVG: lines over time, the last value at the right.

use super::history::LENGTH;
use std::fmt::Write as _;

/// The height of a chart in its own units. Its width is one unit for each sample.
const HEIGHT: f64 = 100.0;

/// A line of a chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The class of its colour.
    pub(super) class: &'static str,
    /// Whether what is below it is filled.
    pub(super) is_filled: bool,
    /// Its values, the oldest one first. There is a gap where there is none.
    pub(super) values: &'a [Option<f64>],
}

/// The number at the upper end of a scale: the smallest of 1, 2, 2.5 and 5 times a power of ten that is not below a value.
pub(super) fn scale(most: f64) -> f64 {
    if !(most.is_finite() && most > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    // The last one is for what rounding has lost.
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|&top| top >= most).unwrap_or(most)
}

/// The same for bytes, of which a multiple of 1,024 is a round number.
pub(super) fn scale_of_bytes(most: f64) -> f64 {
    let unit = [1_u32 << 30, 1 << 20, 1 << 10].map(f64::from).into_iter().find(|&unit| most >= unit);
    let unit = unit.unwrap_or(1.0);
    scale(most / unit) * unit
}

/// The largest value of some lines.
pub(super) fn largest(lines: &[Line<'_>]) -> f64 {
    lines.iter().flat_map(|line| line.values).flatten().copied().fold(0.0, f64::max)
}

/// Appends a chart with these lines, the first one at the back, and `top` at its upper end. `title` is for who cannot see it.
pub(super) fn draw(html: &mut String, title: &str, lines: &[Line<'_>], top: f64) {
    // Writing to a string does not fail.
    let _ = write!(
        html,
        "<svg viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}\">",
        LENGTH - 1
    );
    for part in [0.25, 0.5, 0.75] {
        let y = HEIGHT * part;
        let _ = write!(html, "<path class=\"rule\" d=\"M0 {y}H{}\"/>", LENGTH - 1);
    }
    for line in lines {
        let path = path(line.values, top);
        if line.is_filled {
            let area = area(line.values, top);
            let _ = write!(html, "<path class=\"area {}\" d=\"{area}\"/>", line.class);
        }
        let _ = write!(html, "<path class=\"line {}\" d=\"{path}\"/>", line.class);
    }
    html.push_str("</svg>");
}

/// Where each value stands: its column and its height.
fn points(values: &[Option<f64>], top: f64) -> impl Iterator<Item = (usize, Option<f64>)> {
    let first = LENGTH.saturating_sub(values.len());
    let height = move |value: f64| HEIGHT - (value / top).clamp(0.0, 1.0) * HEIGHT;
    values.iter().enumerate().map(move |(at, value)| (first + at, value.map(height)))
}

/// A line through values. One that stands alone is a point.
fn path(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (x, y) in points(values, top) {
        match y {
            Some(y) if is_drawing => _ = write!(path, "L{x} {y:.1}"),
            Some(y) => _ = write!(path, "M{x} {y:.1}h0"),
            None => {}
        }
        is_drawing = y.is_some();
    }
    path
}

/// What is below such a line.
fn area(values: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let mut last = None;
    for (x, y) in points(values, top) {
        match (y, last) {
            (Some(y), Some(_)) => _ = write!(path, "L{x} {y:.1}"),
            (Some(y), None) => _ = write!(path, "M{x} {HEIGHT}V{y:.1}"),
            (None, Some(last)) => _ = write!(path, "L{last} {HEIGHT}Z"),
            (None, None) => {}
        }
        last = y.map(|_| x);
    }
    if let Some(last) = last {
        let _ = write!(path, "L{last} {HEIGHT}Z");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{LENGTH, Line, area, draw, largest, path, scale, scale_of_bytes};

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (most, top) in [(0.0, 1.0), (1.0, 1.0), (1.1, 2.0), (2.2, 2.5), (30.0, 50.0), (0.0007, 0.001)] {
            assert!((scale(most) - top).abs() < 1e-12, "{most}: {}", scale(most));
        }
        assert!((scale_of_bytes(3000.0) - 5.0 * 1024.0).abs() < 1e-9);
        assert!((scale_of_bytes(10.0) - 10.0).abs() < 1e-9);
        assert_eq!((scale(f64::NAN), scale(f64::INFINITY), scale(-1.0)), (1.0, 1.0, 1.0));
    }

    #[test]
    fn the_last_value_is_at_the_right_and_a_gap_is_a_gap() {
        let values = [Some(0.0), Some(10.0), None, Some(5.0)];
        assert_eq!(path(&values, 10.0), "M296 100.0h0L297 0.0M299 50.0h0");
        assert_eq!(area(&values, 10.0), "M296 100V100.0L297 0.0L297 100ZM299 100V50.0L299 100Z");
        assert_eq!(LENGTH, 300);
    }

    #[test]
    fn a_chart_has_its_lines() {
        let values = [Some(1.0), Some(3.0)];
        let line = Line { class: "a", is_filled: true, values: &values };
        assert!((largest(&[line]) - 3.0).abs() < f64::EPSILON);
        let mut html = String::new();
        draw(&mut html, "Requests", &[line], 5.0);
        assert!(html.starts_with("<svg viewBox=\"0 0 299 100\"") && html.ends_with("</svg>"), "{html}");
        assert_eq!(html.matches("<path class=\"line a\"").count(), 1);
        assert_eq!(html.matches("<path class=\"area a\"").count(), 1);
    }
}
