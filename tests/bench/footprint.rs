//! What a server costs beside its requests: how soon it is there, how soon the first byte is, and memory.

use crate::load::ask;
use crate::report::{median, print};
use crate::servers::{Running, SERVER_CORE, Server};
use crate::site::Site;
use rustix::fs::{Advice, fadvise};
use serde::Serialize;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How often a server is started.
const STARTS: usize = 5;

/// How often the first byte is waited for.
const FIRST_BYTES: usize = 51;

/// Connections that memory is divided by.
const CONNECTIONS: u32 = 500;

/// How long after the last connection memory is looked at, for a server to have done what it was asked.
const SETTLED: Duration = Duration::from_millis(500);

const LARGE: &str = "GET /100m.bin HTTP/1.1\r\nHost: bench\r\n\r\n";

/// What was measured of one server.
#[derive(Debug, Serialize)]
pub struct Measurement {
    server: &'static str,
    /// From its start to its first answer, in milliseconds.
    start: f64,
    /// To the first byte of a file that the system has to read first, on a new connection, in microseconds.
    cold: f64,
    /// The same of one that is in the system's cache.
    cached: f64,
    /// Resident memory after the first answers, in MiB.
    idle: f64,
    /// Further memory for each connection that has had an answer and waits, in KiB.
    waiting: f64,
    /// Further memory for each connection with a download that its client does not read, in KiB.
    downloading: f64,
}

/// Measures each server.
pub fn measure(servers: &[Server], site: &Site) -> Vec<Measurement> {
    let measurements: Vec<_> = servers.iter().map(|server| one(server, site)).collect();
    let rows = measurements.iter().map(|one| {
        (one.server, vec![one.start, one.cold, one.cached, one.idle, one.waiting, one.downloading])
    });
    print("footprint", &["start ms", "cold µs", "cached µs", "idle MiB", "KiB/conn.", "KiB/downl."], rows);
    measurements
}

fn one(server: &Server, site: &Site) -> Measurement {
    let start = || server.start(site, &[SERVER_CORE], &[]);
    let starts = (0..STARTS).map(|_| start().started_in.as_secs_f64() * 1e3).collect();
    let running = start();
    #[allow(clippy::cast_precision_loss)]
    let memory = || running.memory() as f64;
    let idle = memory() / 1024.0;
    let cached = median((0..FIRST_BYTES).map(|_| first_byte(&running)).collect());
    let cold = (0..FIRST_BYTES).map(|_| {
        let file = File::open(site.large()).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        first_byte(&running)
    });
    let cold = median(cold.collect());

    let before = memory();
    let small = "GET /1k.bin HTTP/1.1\r\nHost: bench\r\n\r\n";
    let waiting: Vec<_> = (0..CONNECTIONS).map(|_| receive_head(&running, small)).collect();
    std::thread::sleep(SETTLED);
    let waiting_memory = (memory() - before) / f64::from(CONNECTIONS);
    drop(waiting);
    std::thread::sleep(SETTLED);
    let before = memory();
    let downloading: Vec<_> = (0..CONNECTIONS).map(|_| receive_head(&running, LARGE)).collect();
    std::thread::sleep(SETTLED);
    let downloading_memory = (memory() - before) / f64::from(CONNECTIONS);
    drop(downloading);
    assert!(ask(running.address, small).is_ok());
    Measurement {
        server: server.name,
        start: median(starts),
        cold,
        cached,
        idle,
        waiting: waiting_memory,
        downloading: downloading_memory,
    }
}

/// A connection on which the beginning of an answer has come, and of which no more is read.
fn receive_head(server: &Running, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let _ = stream.read(&mut [0; 2048]).unwrap();
    stream
}

/// How long it takes to the first byte of the large file, in microseconds.
fn first_byte(server: &Running) -> f64 {
    let start = Instant::now();
    receive_head(server, LARGE);
    start.elapsed().as_secs_f64() * 1e6
}
