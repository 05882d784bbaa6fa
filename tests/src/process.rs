//! A program as a process of its own: what it prints, line by line as it comes, and its end.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After this long without what a test waits for, it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// The signal by which a program that has done its work is ended.
const KILL: i32 = 9;

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
        if let Some(line) = found(&lines) {
            return line;
        }
        // Others still want to know what was said.
        let all = lines.0.clone();
        drop(lines);
        panic!("no such line in {all:#?}");
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().0.clone()
    }
}

/// A running program, ended when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program, with nothing on its standard input unless the command says otherwise.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, out) = Output::collect(child.stdout.take().unwrap());
        let (stderr, err) = Output::collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr, readers: vec![out, err] }
    }

    /// The first line on standard output that `wanted` accepts, now or soon.
    pub fn wait_for_output(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for(wanted)
    }

    /// The first line on standard error that `wanted` accepts, now or soon.
    pub fn wait_for_error(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for(wanted)
    }

    /// Every line on standard output so far.
    pub fn output(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// Every line on standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// Its standard input, if the command left it open.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the program to end; gives its status and everything that it printed.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.output(), self.errors())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let Ok(status) = self.child.wait() else { return };
        let died = status.signal().filter(|&signal| signal != KILL);
        if std::thread::panicking() {
            // The test has failed already; this may be why.
            eprintln!("the program ended with {status} and had said {:#?}", self.errors());
        } else if let Some(signal) = died {
            panic!("the program died of signal {signal}: {:#?}", self.errors());
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
