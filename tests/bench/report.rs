//! The results: a table for each case, one file for programs, and a chart.

use crate::Measurement;
use crate::load::Round;
use plotters::prelude::*;
use std::fs;
use std::path::Path;

/// What everybody is compared with.
const REFERENCE: &str = "nginx";

/// The cases that the chart shows.
const CHARTED: [&str; 3] = ["1 KiB", "64 KiB", "304"];

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn over(rounds: &[Round], value: impl Fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(value).collect())
}

/// CPU time per request as a ratio to the reference in the same round: the median, the least and the most.
fn ratios(measurement: &Measurement, all: &[Measurement]) -> Option<(f64, f64, f64)> {
    let reference = all.iter().find(|other| other.server == REFERENCE && other.case == measurement.case)?;
    let ratios: Vec<f64> = measurement
        .rounds
        .iter()
        .zip(&reference.rounds)
        .map(|(round, reference)| round.cpu() / reference.cpu())
        .collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    Some((median(ratios), least, most))
}

/// Prints the table of one case.
pub fn print(case: &str, measurements: &[Measurement]) {
    println!("\n{case}");
    println!(
        "{:26} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}  of nginx (spread)",
        "", "req/s", "CPU µs", "user", "kernel", "p50 µs", "p99", "p99.9", "MiB"
    );
    for measurement in measurements.iter().filter(|measurement| measurement.case == case) {
        let rounds = &measurement.rounds;
        #[allow(clippy::cast_precision_loss)]
        let (rate, memory) = (
            over(rounds, |round| round.requests as f64 / round.seconds),
            over(rounds, |round| round.memory as f64 / 1024.0),
        );
        let ratio = ratios(measurement, measurements)
            .map_or_else(String::new, |(median, least, most)| format!("{median:.2} ({least:.2}-{most:.2})"));
        println!(
            "{:26} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>9.0} {:>9.0} {:>9.0} {:>9.1}  {ratio}",
            measurement.server,
            rate,
            over(rounds, Round::cpu),
            over(rounds, |round| round.user),
            over(rounds, |round| round.kernel),
            over(rounds, |round| round.latency[0]),
            over(rounds, |round| round.latency[1]),
            over(rounds, |round| round.latency[2]),
            memory
        );
    }
}

/// Writes the results and the chart.
pub fn write(folder: &Path, measurements: &[Measurement]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(measurements).unwrap()).unwrap();
    if measurements.iter().any(|measurement| CHARTED.contains(&measurement.case)) {
        chart(&folder.join("cpu.svg"), measurements);
    }
    println!("\nwritten to {}", folder.display());
}

/// CPU time per request, a group of bars for each server.
fn chart(path: &Path, measurements: &[Measurement]) {
    let mut servers: Vec<&str> = Vec::new();
    for measurement in measurements {
        if !servers.contains(&measurement.server.as_str()) {
            servers.push(&measurement.server);
        }
    }
    let value = |server: &str, case: &str| {
        measurements
            .iter()
            .find(|measurement| measurement.server == server && measurement.case == case)
            .map(|measurement| over(&measurement.rounds, Round::cpu))
    };
    let most = CHARTED.iter().flat_map(|case| servers.iter().filter_map(|server| value(server, case)));
    let most = most.fold(0.0, f64::max) * 1.1;
    let bars = i32::try_from(servers.len() * (CHARTED.len() + 1)).unwrap_or(i32::MAX);

    let height = 60 + 18 * u32::try_from(bars).unwrap_or_default();
    let area = SVGBackend::new(path, (860, height)).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&area)
        .caption("CPU time per request, in microseconds", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..most, 0..bars)
        .unwrap();
    chart.configure_mesh().disable_y_mesh().disable_y_axis().label_style(("sans-serif", 13)).draw().unwrap();
    for (number, case) in CHARTED.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let rectangles = servers.iter().enumerate().filter_map(|(at, server)| {
            let row = bars - i32::try_from(at * (CHARTED.len() + 1) + number + 1).ok()?;
            Some(Rectangle::new([(0.0, row), (value(server, case)?, row + 1)], color.filled()))
        });
        chart
            .draw_series(rectangles)
            .unwrap()
            .label(*case)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    for (at, server) in servers.iter().enumerate() {
        let y = 48 + 17 * i32::try_from(at * (CHARTED.len() + 1) + 1).unwrap_or_default();
        area.draw(&Text::new((*server).to_owned(), (12, y), ("sans-serif", 13))).unwrap();
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font(("sans-serif", 13))
        .draw()
        .unwrap();
    area.present().unwrap();
}
