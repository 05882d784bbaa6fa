//! The results: tables, a JSON file, and a chart.

use crate::Results;
use crate::requests::{Measurement, Round};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fs;
use std::path::Path;

/// The server with which the others are compared.
const REFERENCE: &str = "nginx";

/// The cases that the chart shows.
const CHARTED: [&str; 3] = ["1 KiB", "64 KiB", "1 MiB"];

/// The longest bar of the chart, as a multiple of the reference's bar. A longer one is cut, and its number has an
/// arrow.
const MAX_BAR_RATIO: f64 = 12.0;

/// The median of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// A quantile of sorted values: this share of them is not greater.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Prints a table with a row for each server.
pub fn print<'a>(title: &str, columns: &[&str], rows: impl Iterator<Item = (&'a str, Vec<f64>)>) {
    let cell = |text: String| format!(" {text:>11}");
    println!(
        "\n{title}\n{:26}{}",
        "",
        columns.iter().map(|column| cell((*column).to_owned())).collect::<String>()
    );
    for (server, values) in rows {
        println!(
            "{server:26}{}",
            values.into_iter().map(|value| cell(format!("{value:.1}"))).collect::<String>()
        );
    }
}

/// CPU time per request as a ratio to the reference in the same round: the median, the minimum and the maximum.
fn ratios(measurement: &Measurement, all: &[Measurement]) -> Option<(f64, f64, f64)> {
    let reference = all.iter().find(|other| other.server == REFERENCE && other.case == measurement.case)?;
    let rounds = measurement.rounds.iter().zip(&reference.rounds);
    let ratios: Vec<f64> = rounds.map(|(round, reference)| round.cpu() / reference.cpu()).collect();
    let min = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let max = ratios.iter().copied().fold(0.0, f64::max);
    Some((median(ratios), min, max))
}

/// Prints the table of one case.
pub fn print_requests(case: &str, measurements: &[Measurement]) {
    println!(
        "\n{case}\n{:26} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}  of nginx (spread)",
        "", "req/s", "CPU µs", "user", "kernel", "p50 µs", "p99", "p99.9", "MiB"
    );
    for measurement in measurements.iter().filter(|measurement| measurement.case == case) {
        let ratio = ratios(measurement, measurements)
            .map_or_else(String::new, |(median, min, max)| format!("{median:.2} ({min:.2}-{max:.2})"));
        #[allow(clippy::cast_precision_loss)]
        let memory = measurement.median(|round| round.memory as f64 / 1024.0);
        println!(
            "{:26} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>9.0} {:>9.0} {:>9.0} {:>9.1}  {ratio}",
            measurement.server,
            measurement.median(Round::rate),
            measurement.median(Round::cpu),
            measurement.median(|round| round.user),
            measurement.median(|round| round.kernel),
            measurement.median(|round| round.latency[0]),
            measurement.median(|round| round.latency[1]),
            measurement.median(|round| round.latency[2]),
            memory
        );
    }
}

/// Writes the results and the chart.
pub fn write(folder: &Path, results: &Results) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(results).unwrap()).unwrap();
    let charted = |measurement: &&Measurement| CHARTED.contains(&measurement.case);
    let charted: Vec<_> = results.requests.iter().filter(charted).collect();
    if !charted.is_empty() {
        chart(&folder.join("cpu.svg"), &charted);
    }
    println!("\nwritten to {}", folder.display());
}

/// CPU time per request: a panel for each case, with a bar for each server.
fn chart(path: &Path, measurements: &[&Measurement]) {
    let mut servers: Vec<&str> = Vec::new();
    for measurement in measurements {
        if !servers.contains(&measurement.server) {
            servers.push(measurement.server);
        }
    }
    let rows = i32::try_from(servers.len()).unwrap();
    let (names, panel, row, top) = (190, 250, 24, 60);
    let (width, height) = (names + panel * 3 + 20, top + row * rows + 20);
    let size = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let font = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    let beside = |horizontal| font(13).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new("CPU time per request, in microseconds (less is better)", (10, 8), font(16)))
        .unwrap();
    let at = |number: usize| top + row * i32::try_from(number).unwrap() + row / 2;
    for (number, server) in servers.iter().enumerate() {
        area.draw(&Text::new((*server).to_owned(), (names - 8, at(number)), beside(HPos::Right))).unwrap();
    }
    for (column, case) in CHARTED.iter().enumerate() {
        let left = names + panel * i32::try_from(column).unwrap();
        area.draw(&Text::new((*case).to_owned(), (left, top - 22), font(14))).unwrap();
        let value = |server: &str| {
            let found = measurements.iter().find(|one| one.server == server && one.case == *case);
            found.map(|measurement| measurement.median(Round::cpu))
        };
        let max = servers.iter().filter_map(|server| value(server)).fold(0.0, f64::max);
        let end = value(REFERENCE).map_or(max, |reference| max.min(reference * MAX_BAR_RATIO));
        for (number, server) in servers.iter().enumerate() {
            let Some(time) = value(server) else { continue };
            #[allow(clippy::cast_possible_truncation)]
            let right = left + (f64::from(panel - 60) * (time / end).min(1.0)) as i32;
            let color =
                if server.starts_with("wasi-httpd") { RGBColor(0, 110, 90) } else { RGBColor(150, 160, 170) };
            let bar = [(left, at(number) - 8), (right, at(number) + 8)];
            area.draw(&Rectangle::new(bar, color.filled())).unwrap();
            let beyond = if time > end { "→ " } else { "" };
            area.draw(&Text::new(format!("{beyond}{time:.0}"), (right + 4, at(number)), beside(HPos::Left)))
                .unwrap();
        }
    }
    area.present().unwrap();
}
