//! Many slow clients and few instances: the latency of other clients meanwhile.

use crate::cases::{LARGE_REQUEST, SMALL, Service};
use crate::load::{Idle, Load, Pace};
use crate::report::{Report, Table};
use crate::servers::{Present, RESTORED, SERVER_CORE};
use crate::site::Site;
use crate::statistics::quantile;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The value of `--max-instances`: far fewer instances than slow clients.
const MAX_INSTANCES: &str = "64";

/// A slow client reads this many bytes at these intervals.
const READ_BYTES: usize = 1_000;
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The other clients send requests for this long, at this rate per second.
const LOAD_TIME: Duration = Duration::from_secs(30);
const REQUESTS_PER_SECOND: f64 = 200.0;

/// The results for our own server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    /// Slow clients that were answered until the end.
    clients: usize,
    /// Slow clients that were refused, or cut off before the end.
    refused: usize,
    /// Latencies of the other clients in microseconds: the 50th and the 99th percentile, and the maximum.
    latency: [f64; 3],
    /// Requests of the other clients.
    requests: usize,
    /// Resident memory of the server, in KiB.
    memory: u64,
}

/// Lets this many clients read the large file slowly, or fewer if the limit of open files is lower.
pub fn measure(servers: &[Present], site: &Site, clients: usize, report: &mut Report) -> Option<Measurement> {
    let server = servers.iter().find(|server| server.name() == RESTORED)?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    // A slow client takes two file descriptors of the server. Some are left for the server itself and the other
    // clients.
    let clients =
        clients.min(usize::try_from(maximum.unwrap_or(u64::MAX) / 2).unwrap_or(clients).saturating_sub(200));
    let running =
        server.start_with(site, Service::Files, &[SERVER_CORE], &["--max-instances", MAX_INSTANCES]);
    let request = SMALL.request(&running.validator);
    let others = Load {
        address: running.address,
        request: &request,
        status: SMALL.status,
        connections: 16,
        pace: Pace::PerSecond(REQUESTS_PER_SECOND),
        idle: Idle::Sleep,
    };
    let mut slow: Vec<TcpStream> = (0..clients)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(running.address).ok()?;
            set_socket_recv_buffer_size(&stream, 4096).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream.write_all(LARGE_REQUEST.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    let over = AtomicBool::new(false);
    let (mut latencies, memory, answered) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut buffer = [0; READ_BYTES];
            let mut received = vec![false; slow.len()];
            while !over.load(Ordering::Relaxed) {
                let next = Instant::now() + READ_INTERVAL;
                for (stream, received) in slow.iter_mut().zip(&mut received) {
                    match stream.read(&mut buffer) {
                        Ok(count @ 1..) => *received |= buffer[..count].starts_with(b"HTTP/1.1 200"),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        _ => *received = false,
                    }
                }
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            received.into_iter().filter(|received| *received).count()
        });
        let latencies = others.run(LOAD_TIME);
        let memory = running.memory();
        over.store(true, Ordering::Relaxed);
        (latencies, memory, reading.join().unwrap())
    });
    latencies.sort_by(f64::total_cmp);
    let measurement = Measurement {
        clients: answered,
        refused: clients - answered,
        latency: [0.5, 0.99, 1.0].map(|share| quantile(&latencies, share)),
        requests: latencies.len(),
        memory,
    };
    let [median, p99, max] = measurement.latency;
    #[allow(clippy::cast_precision_loss)]
    let values = [
        answered as f64,
        measurement.refused as f64,
        latencies.len() as f64,
        median,
        p99,
        max,
        memory as f64 / 1024.0,
    ];
    let mut table = Table::new(
        "Slow clients, and the latency of others",
        &["slow", "refused", "others", "p50 µs", "p99 µs", "slowest µs", "MiB"],
    );
    table.numbers(server.name(), &values);
    report.add(&table);
    Some(measurement)
}
