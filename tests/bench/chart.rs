//! The chart: CPU time per request of some servers, with a panel for each of some kinds of requests.

use crate::arguments::CONNECTIONS;
use crate::load::Idle;
use crate::requests::Measurement;
use crate::round::Round;
use crate::servers::{CADDY, NEW, NGINX, RESTORED, STATIC_WEB_SERVER, WASMTIME_SERVE};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// The kinds of requests that the chart shows.
const CASES: [&str; 3] = ["1 KiB", "64 KiB", "1 MiB"];

/// The servers that the chart shows.
const SERVERS: [&str; 6] = [NGINX, STATIC_WEB_SERVER, RESTORED, NEW, CADDY, WASMTIME_SERVE];

/// The longest bar of the chart, as a multiple of the reference's bar. A longer one is cut, and its number has an
/// arrow.
const MAX_BAR_RATIO: f64 = 12.0;

const OURS: RGBColor = RGBColor(0, 110, 90);
const OTHERS: RGBColor = RGBColor(150, 160, 170);

/// The width of the servers' names, of a panel, and of the space that a panel keeps for numbers.
const NAMES: i32 = 190;
const PANEL: i32 = 250;
const NUMBER: i32 = 60;

/// The height of the titles, and of a row.
const TOP: i32 = 60;
const ROW: i32 = 24;

/// Writes the chart, unless nothing that it shows was measured.
pub fn write(path: &Path, measurements: &[Measurement]) {
    let value = |server: &str, case: &str| {
        let found = measurements.iter().find(|one| {
            one.server == server
                && one.series.case == case
                && one.series.connections == CONNECTIONS
                && one.series.client == Idle::Spin
        });
        found.map(|measurement| measurement.median(Round::cpu))
    };
    let is_measured = |server: &&str| CASES.iter().any(|case| value(server, case).is_some());
    let servers: Vec<&str> = SERVERS.into_iter().filter(is_measured).collect();
    if servers.is_empty() {
        return;
    }
    let length = |count: usize| i32::try_from(count).unwrap();
    let size = (NAMES + PANEL * length(CASES.len()) + 20, TOP + ROW * length(servers.len()) + 20);
    let size = (u32::try_from(size.0).unwrap(), u32::try_from(size.1).unwrap());
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let font = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    let beside = |horizontal| font(13).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new("CPU time per request, in microseconds (less is better)", (10, 8), font(16)))
        .unwrap();
    let at = |number: usize| TOP + ROW * length(number) + ROW / 2;
    for (number, server) in servers.iter().enumerate() {
        area.draw(&Text::new((*server).to_owned(), (NAMES - 8, at(number)), beside(HPos::Right))).unwrap();
    }
    for (column, case) in CASES.iter().enumerate() {
        let left = NAMES + PANEL * length(column);
        area.draw(&Text::new((*case).to_owned(), (left, TOP - 22), font(14))).unwrap();
        let max = servers.iter().filter_map(|server| value(server, case)).fold(0.0, f64::max);
        let end = value(NGINX, case).map_or(max, |reference| max.min(reference * MAX_BAR_RATIO));
        for (number, server) in servers.iter().enumerate() {
            let Some(time) = value(server, case) else { continue };
            #[allow(clippy::cast_possible_truncation)]
            let right = left + (f64::from(PANEL - NUMBER) * (time / end).min(1.0)) as i32;
            let color = if [RESTORED, NEW].contains(server) { OURS } else { OTHERS };
            let bar = [(left, at(number) - 8), (right, at(number) + 8)];
            area.draw(&Rectangle::new(bar, color.filled())).unwrap();
            let beyond = if time > end { "→ " } else { "" };
            area.draw(&Text::new(format!("{beyond}{time:.0}"), (right + 4, at(number)), beside(HPos::Left)))
                .unwrap();
        }
    }
    area.present().unwrap();
}
