//! The costs of a server apart from its requests: the time to start, the time to the first byte, and memory.

use crate::cases::{LARGE_REQUEST, SMALL_REQUEST};
use crate::load::ask;
use crate::report::{Report, Table};
use crate::running::Running;
use crate::servers::Present;
use crate::site::Site;
use crate::statistics::median;
use rustix::fs::{Advice, fadvise};
use serde::Serialize;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The number of starts of each server.
const START_ROUNDS: usize = 5;

/// The number of requests whose first byte is timed.
const FIRST_BYTE_ROUNDS: usize = 51;

/// The number of connections over which memory is averaged.
const CONNECTIONS: u32 = 500;

/// How long a server may take to process the last connections before its memory is read. wasi-httpd takes up to two seconds to give
/// the buffers of idle connections back.
const SETTLE_TIME: Duration = Duration::from_secs(3);

/// The results for one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    /// The time from the start of the process to its first answer, in milliseconds.
    start: f64,
    /// The time to the first byte of a file that the kernel reads from disk, on a new connection, in microseconds.
    cold: f64,
    /// The same for a file in the kernel's page cache.
    cached: f64,
    /// Resident memory after the first answers, in MiB.
    idle: f64,
    /// Additional memory per idle connection that has received an answer, in KiB.
    waiting: f64,
    /// Additional memory per connection with a download that its client does not read, in KiB.
    downloading: f64,
}

/// Measures each server.
pub fn measure(servers: &[Present], site: &Site, report: &mut Report) -> Vec<Measurement> {
    let measurements: Vec<_> = servers.iter().map(|server| one(server, site)).collect();
    let mut table = Table::new(
        "Footprint",
        &["start ms", "cold µs", "cached µs", "idle MiB", "KiB/connection", "KiB/download"],
    );
    for one in &measurements {
        let values = [one.start, one.cold, one.cached, one.idle, one.waiting, one.downloading];
        table.numbers(one.server, &values);
    }
    report.add(&table);
    measurements
}

fn one(server: &Present, site: &Site) -> Measurement {
    let start = || server.start(site);
    let starts = (0..START_ROUNDS).map(|_| start().started_in.as_secs_f64() * 1e3);
    let start_time = median(starts);
    let running = start();
    #[allow(clippy::cast_precision_loss)]
    let memory = || running.memory() as f64;
    let idle = memory() / 1024.0;
    let cached = median((0..FIRST_BYTE_ROUNDS).map(|_| first_byte(&running)));
    let cold = (0..FIRST_BYTE_ROUNDS).map(|_| {
        let file = File::open(site.large()).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        first_byte(&running)
    });
    let cold = median(cold);

    let before = memory();
    let waiting: Vec<_> = (0..CONNECTIONS).map(|_| receive_head(&running, SMALL_REQUEST)).collect();
    std::thread::sleep(SETTLE_TIME);
    let waiting_memory = (memory() - before) / f64::from(CONNECTIONS);
    drop(waiting);
    std::thread::sleep(SETTLE_TIME);
    let before = memory();
    let downloading: Vec<_> = (0..CONNECTIONS).map(|_| receive_head(&running, LARGE_REQUEST)).collect();
    std::thread::sleep(SETTLE_TIME);
    let downloading_memory = (memory() - before) / f64::from(CONNECTIONS);
    drop(downloading);
    assert!(ask(running.address, SMALL_REQUEST).is_ok());
    Measurement {
        server: server.name(),
        start: start_time,
        cold,
        cached,
        idle,
        waiting: waiting_memory,
        downloading: downloading_memory,
    }
}

/// A new connection on which the beginning of an answer has been read, and nothing more.
fn receive_head(server: &Running, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 2048];
    let count = stream.read(&mut buffer).unwrap();
    let is_right = buffer[..count].starts_with(b"HTTP/1.1 200");
    assert!(is_right, "{}: {}", server.name, String::from_utf8_lossy(&buffer[..count]));
    stream
}

/// The time to the first byte of the large file, in microseconds.
fn first_byte(server: &Running) -> f64 {
    let start = Instant::now();
    receive_head(server, LARGE_REQUEST);
    start.elapsed().as_secs_f64() * 1e6
}
