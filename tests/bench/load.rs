//! The load: connections that send one request after another and read each answer to its end.

use crate::servers::Running;
use crate::site::Case;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What came of one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// Answers, all of them right.
    pub requests: usize,
    /// In seconds.
    pub seconds: f64,
    /// CPU time of the server in its own code, in microseconds per request.
    pub user: f64,
    /// CPU time of the server in the kernel, in microseconds per request.
    pub kernel: f64,
    /// Latencies in microseconds: half, 99 %, and 99.9 % of the requests took no longer.
    pub latency: [f64; 3],
    /// Resident memory of the server after the round, in KiB.
    pub memory: u64,
}

impl Round {
    /// CPU time per request, in microseconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.kernel
    }
}

/// Has this thread, and those that it starts, run on one core.
pub fn pin_to(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).unwrap();
}

/// An answer, of which the body was thrown away.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The entity tag, if there was one.
    pub etag: Option<String>,
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    read_answer(&mut BufReader::new(stream))
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status: u16 = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    let (mut length, mut chunked, mut etag) = (None, false, None);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "transfer-encoding" => chunked = true,
            "etag" => etag = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    if status == 304 {
        return Ok(Answer { status, etag });
    }
    if chunked {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim_end(), 16).map_err(|_| invalid())?;
            skip(stream, size + 2)?;
            if size == 0 {
                break;
            }
        }
    } else {
        skip(stream, length.ok_or_else(invalid)?)?;
    }
    Ok(Answer { status, etag })
}

fn skip(stream: &mut BufReader<TcpStream>, length: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    if skipped == length { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// A round: so many connections for so long.
pub fn run(server: &Running, case: &Case, connections: usize, time: Duration) -> Round {
    let request = case.request(server);
    let before = server.cpu();
    let start = Instant::now();
    let mut latencies: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| connection(server.address, &request, case.status, start + time)))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let (user, kernel) = server.cpu();
    latencies.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss)]
    let requests = latencies.len() as f64;
    let at = |share: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = (share * requests) as usize;
        latencies[index.min(latencies.len() - 1)]
    };
    Round {
        requests: latencies.len(),
        seconds,
        user: (user - before.0) / requests,
        kernel: (kernel - before.1) / requests,
        latency: [at(0.5), at(0.99), at(0.999)],
        memory: server.memory(),
    }
}

/// Asks again and again; gives how long each answer took, in microseconds.
fn connection(address: SocketAddr, request: &str, status: u16, end: Instant) -> Vec<f64> {
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        BufReader::with_capacity(64 * 1024, stream)
    };
    let mut stream = connect();
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        let sent = stream.get_mut().write_all(request.as_bytes());
        let answer = sent.and_then(|()| read_answer(&mut stream)).or_else(|_| {
            // Some servers end the connection with some of their answers, as they may.
            stream = connect();
            stream.get_mut().write_all(request.as_bytes())?;
            read_answer(&mut stream)
        });
        assert_eq!(answer.unwrap().status, status);
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
        if Instant::now() >= end {
            return latencies;
        }
    }
}
