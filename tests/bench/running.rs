//! A running server: its start, and how much CPU time and memory it uses.

use crate::cases::SMALL_REQUEST;
use crate::load;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::Client;

/// The length of a tick of the kernel's CPU accounting, in microseconds: Linux has 100 ticks in a second.
const TICK_MICROSECONDS: f64 = 10_000.0;

/// A running server. It is stopped on drop.
pub struct Running {
    /// Its name in the report.
    pub name: &'static str,
    /// The address at which it listens.
    pub address: SocketAddr,
    /// The field with which a client asks whether its copy of the file of 1 KiB is current.
    pub validator: String,
    /// The time from its start to its first answer.
    pub started_in: Duration,
    process: Child,
}

impl Running {
    /// Starts a program on these cores, with arguments for a free port, and waits until it answers.
    pub fn start(
        name: &'static str,
        program: &Path,
        cores: &[usize],
        arguments: impl FnOnce(u16) -> Vec<String>,
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let arguments = arguments(port);
        let start = Instant::now();
        let process = Command::new("taskset")
            .args(["-c", &cores.join(",")])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while let Err(error) = load::ask(address, SMALL_REQUEST) {
            assert!(start.elapsed() < Duration::from_mins(1), "{name}: {error}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let started_in = start.elapsed();
        let answer = Client::connect(address).request("GET", "/1k.bin", &[]);
        let validator = match (answer.header("etag"), answer.header("last-modified")) {
            (Some(tag), _) => format!("If-None-Match: {tag}"),
            (None, Some(date)) => format!("If-Modified-Since: {date}"),
            (None, None) => "If-None-Match: \"none\"".to_owned(),
        };
        Self { name, address, validator, started_in, process }
    }

    /// The process and its descendants.
    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.process.id()];
        let mut at = 0;
        while let Some(&process) = found.get(at) {
            let children =
                fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            at += 1;
        }
        found
    }

    /// The CPU time so far, in microseconds: in user space, and in the kernel.
    pub fn cpu(&self) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for process in self.processes() {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // Skip the name, which may contain any character and ends with the last parenthesis.
            let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            sum = (sum.0 + ticks(11) * TICK_MICROSECONDS, sum.1 + ticks(12) * TICK_MICROSECONDS);
        }
        sum
    }

    /// The resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        let resident = |process: u32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
        };
        self.processes().into_iter().map(resident).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in self.processes().into_iter().rev() {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let _ = self.process.wait();
    }
}
