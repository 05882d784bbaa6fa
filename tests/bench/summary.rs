//! The CPU time of each server and each series in one table.

use crate::report::Table;
use crate::requests::{Measurement, Series, ratios};
use crate::round::Round;
use crate::servers::NGINX;

/// Median CPU times in microseconds, and in brackets the median ratio to nginx in the same round. A dash means that the
/// server gives another answer, or cannot serve this.
pub fn table(measurements: &[Measurement]) -> Table {
    let (mut servers, mut series) = (Vec::<&str>::new(), Vec::<Series>::new());
    for measurement in measurements {
        if !servers.contains(&measurement.server) {
            servers.push(measurement.server);
        }
        if !series.contains(&measurement.series) {
            series.push(measurement.series);
        }
    }
    let mut table = Table::new("CPU time per request in µs, and its ratio to nginx", &servers);
    for one in series {
        let find =
            |server: &str| measurements.iter().find(|other| other.series == one && other.server == server);
        let cell = |&server: &&str| {
            let Some(measurement) = find(server) else { return "–".to_owned() };
            let time = format!("{:.1}", measurement.median(Round::cpu));
            match find(NGINX).filter(|_| server != NGINX) {
                Some(nginx) => {
                    format!("{time} ({:.2})", ratios(&measurement.rounds, &nginx.rounds, Round::cpu).median)
                }
                None => time,
            }
        };
        table.row(&one.title(), servers.iter().map(cell).collect());
    }
    table
}
