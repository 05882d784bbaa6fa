//! The load: connections that send one request after another and read each answer to its end.
//!
//! One thread serves all of them. A client that never sleeps costs no server a wake-up. A client that sleeps is woken by
//! every answer of a server that is slower than it is; on a virtual machine, this can cost the server more than the
//! request.

use crate::answer::Parser;
use clap::ValueEnum;
use rustix::event::epoll;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The most bytes that one read returns.
const READ_BYTES: usize = 256 * 1024;

/// How long a server may take to answer before the benchmark fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Pins this thread, and the threads and processes that it starts, to these cores.
pub fn pin_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set).unwrap();
}

/// When a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as its connection has received the answer before.
    Answered,
    /// This many times a second, independent of earlier answers. Latency counts from when the request was due.
    PerSecond(f64),
}

/// What the client does while it has nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Poll again, without ever sleeping
    Spin,
    /// Sleep until an answer arrives, as `wrk -t1` does
    Sleep,
}

/// A series of requests.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The server's address.
    pub address: SocketAddr,
    /// The request.
    pub request: &'a str,
    /// The expected status.
    pub status: u16,
    /// The number of connections, each with at most one request at a time.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// What the client does meanwhile.
    pub idle: Idle,
}

/// Sends one request on a new connection, and returns the status of the answer.
pub fn ask(address: SocketAddr, request: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let (mut parser, mut buffer) = (Parser::default(), vec![0; READ_BYTES]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(status) = parser.read(&buffer[..count])? {
            return Ok(status);
        }
    }
}

/// A connection, and the time when its current request was due.
struct Connection {
    stream: TcpStream,
    parser: Parser,
    due: Instant,
    is_waiting: bool,
}

impl Load<'_> {
    /// Sends requests for this long and waits for every answer. Returns their latencies in microseconds.
    pub fn run(&self, time: Duration) -> Vec<f64> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let mut connections: Vec<Connection> =
            (0..self.connections).map(|number| self.connect(&epoll, number)).collect();
        let mut free: VecDeque<usize> = (0..self.connections).collect();
        let (mut latencies, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        let mut events = Vec::with_capacity(self.connections);
        let start = Instant::now();
        let mut sent = 0_u32;
        loop {
            let now = Instant::now();
            let due = match self.pace {
                Pace::Answered => now,
                Pace::PerSecond(rate) => start + Duration::from_secs_f64(f64::from(sent) / rate),
            };
            let over = due.max(now) >= start + time;
            if over && free.len() == self.connections {
                return latencies;
            }
            assert!(now < start + time + ANSWER_TIMEOUT, "{} does not answer", self.address);
            if !over
                && due <= now
                && let Some(number) = free.pop_front()
            {
                self.send(&epoll, &mut connections[number], number, due);
                sent += 1;
                continue;
            }
            let wait = if self.idle == Idle::Spin {
                Duration::ZERO
            } else {
                due.saturating_duration_since(now).clamp(Duration::from_millis(1), ANSWER_TIMEOUT)
            };
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait.try_into().unwrap()))
                .unwrap();
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64()).unwrap();
                let connection = &mut connections[number];
                if self.receive(&epoll, connection, number, &mut buffer) {
                    let now = Instant::now();
                    latencies.push((now - connection.due).as_secs_f64() * 1e6);
                    // As wrk does, a client that sleeps sends the next request before it reads the next answer.
                    let is_like_wrk = self.idle == Idle::Sleep && self.pace == Pace::Answered;
                    if is_like_wrk && now < start + time {
                        self.send(&epoll, connection, number, now);
                    } else {
                        free.push_back(number);
                    }
                }
            }
        }
    }

    fn connect(&self, epoll: &OwnedFd, number: usize) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(epoll, &stream, data, epoll::EventFlags::IN).unwrap();
        Connection { stream, parser: Parser::default(), due: Instant::now(), is_waiting: false }
    }

    fn send(&self, epoll: &OwnedFd, connection: &mut Connection, number: usize, due: Instant) {
        if connection.stream.write_all(self.request.as_bytes()).is_err() {
            *connection = self.connect(epoll, number);
            connection.stream.write_all(self.request.as_bytes()).unwrap();
        }
        connection.due = due;
        connection.is_waiting = true;
    }

    /// Reads available bytes. Returns whether they complete an answer.
    fn receive(
        &self,
        epoll: &OwnedFd,
        connection: &mut Connection,
        number: usize,
        buffer: &mut [u8],
    ) -> bool {
        match connection.stream.read(buffer) {
            Ok(count @ 1..) => {
                let Some(status) = connection.parser.read(&buffer[..count]).unwrap() else { return false };
                assert_eq!(status, self.status);
                connection.is_waiting = false;
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // Some servers close the connection after some answers, which HTTP allows.
            outcome => {
                assert!(connection.parser.is_between(), "an answer was cut short: {outcome:?}");
                let Connection { due, is_waiting, .. } = *connection;
                *connection = self.connect(epoll, number);
                if is_waiting {
                    self.send(epoll, connection, number, due);
                }
                false
            }
        }
    }
}
