//! A server as a process of its own, on a free port of 127.0.0.1, ended when it is dropped.

use crate::client::{Client, Response};
use crate::site::Site;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After this long without what a test waits for, it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// The signal by which a server that has done its work is ended.
const KILL: i32 = 9;

/// What hosts the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// wasi-httpd.
    Ours,
    /// `wasmtime serve`.
    Stock,
}

/// The programs under test; [`programs!`](crate::programs) names them.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// wasi-httpd.
    pub ours: &'static str,
    /// `wasmtime serve`.
    pub stock: &'static str,
    /// A directory that outlives the tests, for what they may share.
    pub scratch: &'static str,
}

impl Programs {
    /// The built-in guest on every runtime, serving `site`.
    pub fn each(self, site: &Site) -> [Server; 2] {
        [self.ours(site, &[]), self.stock(site)]
    }

    /// The built-in guest on our host, with these options.
    pub fn ours(self, site: &Site, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options);
        for setting in site.settings() {
            command.args(["--env", &setting]);
        }
        Server::start(Runtime::Ours, command)
    }

    /// Another guest on our host, with these options.
    pub fn ours_with_guest(self, guest: &Path, options: &[&str]) -> Server {
        let mut command = self.command();
        command.args(["--addr", "127.0.0.1:0"]).args(options).arg(guest);
        Server::start(Runtime::Ours, command)
    }

    /// Our host's command, with no arguments yet.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.ours);
        // Not the cache of whoever runs the tests.
        command.env("XDG_CACHE_HOME", self.scratch);
        command
    }

    /// The built-in guest on `wasmtime serve`.
    pub fn stock(self, site: &Site) -> Server {
        let guest = site.outside().join("guest.wasm");
        std::fs::write(&guest, host::component::BUILT_IN).unwrap();
        let mut command = Command::new(self.stock);
        command.args(["-Scli", "--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
        for setting in site.settings() {
            command.args(["--env", &setting]);
        }
        command.arg(guest);
        Server::start(Runtime::Stock, command)
    }
}

/// Lines that a process has printed so far.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Output {
    fn collect(source: impl Read + Send + 'static) -> (Arc<Self>, JoinHandle<()>) {
        let output = Arc::new(Self::default());
        let collector = Arc::clone(&output);
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                collector.lines.lock().unwrap().0.push(String::from_utf8_lossy(&line).into_owned());
                collector.changed.notify_all();
            }
            collector.lines.lock().unwrap().1 = true;
            collector.changed.notify_all();
        });
        (output, thread)
    }

    /// The first line that `wanted` accepts, now or soon.
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let lines = self.lines.lock().unwrap();
        let found = |lines: &(Vec<String>, bool)| lines.0.iter().find(|line| wanted(line)).cloned();
        let (lines, _) = self
            .changed
            .wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none() && !lines.1)
            .unwrap();
        found(&lines).unwrap_or_else(|| panic!("no such line in {:#?}", lines.0))
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().0.clone()
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    address: SocketAddr,
    process: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    pub fn start(runtime: Runtime, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (stdout, out) = Output::collect(process.stdout.take().unwrap());
        let (stderr, err) = Output::collect(process.stderr.take().unwrap());
        let sentence = match runtime {
            Runtime::Ours => "Listening on http://",
            Runtime::Stock => "Serving HTTP on http://",
        };
        let line = stderr.wait_for(|line| line.starts_with(sentence));
        let address = line.trim_start_matches(sentence).trim_end_matches('/').parse().unwrap();
        Self { runtime, address, process, stdout, stderr, readers: vec![out, err] }
    }

    /// What hosts the guest here.
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to a GET on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.connect().request("GET", target, &[])
    }

    /// The answer to a GET with these fields.
    pub fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.connect().request("GET", target, fields)
    }

    /// The first line of the access log that `wanted` accepts, now or soon.
    pub fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for(wanted)
    }

    /// The first line on standard error that `wanted` accepts, now or soon.
    pub fn wait_for_error(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for(wanted)
    }

    /// What guests and their failures have put on standard error so far.
    pub fn errors(&self) -> Vec<String> {
        let mut lines = self.stderr.all();
        lines.retain(|line| line.starts_with("guest ") || line.starts_with("wasi-httpd: error"));
        lines
    }

    /// Resident memory in bytes: now, and the most it has been.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Open file descriptors.
    pub fn open_files(&self) -> Vec<OsString> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        files
            .flatten()
            .filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.into_os_string()))
            .collect()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the server to end; gives its status and everything that it printed.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.stdout.all(), self.stderr.all())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let Ok(status) = self.process.wait() else { return };
        let died = status.signal().filter(|&signal| signal != KILL);
        if std::thread::panicking() {
            // The test has failed already; this may be why.
            eprintln!("{:?} ended with {status} and had said {:#?}", self.runtime, self.stderr.all());
        } else if let Some(signal) = died {
            panic!("{:?} died of signal {signal}: {:#?}", self.runtime, self.stderr.all());
        }
    }
}

/// Repeats a check until it holds; a test that waits longer than it should fails.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
