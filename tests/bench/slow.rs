//! Many clients that read slowly, while few instances may live: what others notice of them.

use crate::load::{Idle, Load, Pace};
use crate::report::{print, quantile};
use crate::servers::{SERVER_CORE, Server};
use crate::site::{Case, Site};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Instances that may live at a time.
const INSTANCES: &str = "64";

/// Bytes that each slow client reads at a time, and how often.
const BYTES: usize = 1_000;
const EVERY: Duration = Duration::from_secs(1);

/// How long the others ask, and how often in a second.
const TIME: Duration = Duration::from_secs(30);
const RATE: f64 = 200.0;

/// What was measured of our own server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    /// Slow clients that were answered.
    clients: usize,
    /// Slow clients that were not, or not for as long.
    refused: usize,
    /// Latencies of the others in microseconds: half, 99 %, and all of the requests took no longer.
    latency: [f64; 3],
    /// Requests of the others.
    requests: usize,
    /// Resident memory of the server, in KiB.
    memory: u64,
}

/// Has so many clients read the large file, or as many as files may be open for.
pub fn measure(servers: &[Server], site: &Site, clients: usize) -> Option<Measurement> {
    let server = servers.iter().find(|server| server.name == "wasi-httpd, fresh")?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    // Each takes the server two files, and it keeps some for itself and for the others.
    let clients =
        clients.min(usize::try_from(maximum.unwrap_or(u64::MAX) / 2).unwrap_or(clients).saturating_sub(200));
    let running = server.start(site, &[SERVER_CORE], &["--max-instances", INSTANCES]);
    let case = Case::small();
    let request = case.request(&running);
    let others = Load {
        address: running.address,
        request: &request,
        status: case.status,
        connections: 16,
        pace: Pace::PerSecond(RATE),
        idle: Idle::Sleep,
    };
    let mut slow: Vec<TcpStream> = (0..clients)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(running.address).ok()?;
            set_socket_recv_buffer_size(&stream, 4096).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream.write_all(b"GET /100m.bin HTTP/1.1\r\nHost: bench\r\n\r\n").ok()?;
            Some(stream)
        })
        .collect();
    let over = AtomicBool::new(false);
    let (mut latencies, memory, answered) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut buffer = [0; BYTES];
            let mut received = vec![false; slow.len()];
            while !over.load(Ordering::Relaxed) {
                let next = Instant::now() + EVERY;
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
        let latencies = others.run(TIME);
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
    let [half, most, all] = measurement.latency;
    #[allow(clippy::cast_precision_loss)]
    let values = [
        answered as f64,
        measurement.refused as f64,
        latencies.len() as f64,
        half,
        most,
        all,
        memory as f64 / 1024.0,
    ];
    print(
        "slow clients, and what others notice",
        &["slow", "refused", "others", "p50 µs", "p99", "slowest", "MiB"],
        [(server.name, values.to_vec())].into_iter(),
    );
    Some(measurement)
}
