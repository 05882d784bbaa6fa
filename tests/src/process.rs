//! A program in a process of its own: the lines that it prints, as they arrive, and its exit.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for a line, an exit, or another condition before it fails. A debug build needs 50 s of CPU time to
/// compile the largest component, and several tests start it at once.
const WAIT_TIMEOUT: Duration = Duration::from_mins(4);

/// The signal that ends a program when its [`Process`] is dropped.
const SIGKILL: i32 = 9;

/// The lines that a process has printed so far, and whether the stream is at its end.
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

    /// Waits for the first line that `wanted` accepts.
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let lines = self.lines.lock().unwrap();
        let found = |lines: &(Vec<String>, bool)| lines.0.iter().find(|line| wanted(line)).cloned();
        let (lines, _) = self
            .changed
            .wait_timeout_while(lines, WAIT_TIMEOUT, |lines| found(lines).is_none() && !lines.1)
            .unwrap();
        if let Some(line) = found(&lines) {
            return line;
        }
        // Release the lock before the panic, because `Drop` still reads the lines.
        let all = lines.0.clone();
        drop(lines);
        panic!("no such line in {all:#?}");
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().0.clone()
    }
}

/// A running program, which is killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program and collects its output. The command decides about standard input.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, out) = Output::collect(child.stdout.take().unwrap());
        let (stderr, err) = Output::collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr, readers: vec![out, err] }
    }

    /// Waits for the first line on standard output that `wanted` accepts.
    pub fn wait_for_output(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for(wanted)
    }

    /// Waits for the first line on standard error that `wanted` accepts.
    pub fn wait_for_error(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for(wanted)
    }

    /// The lines on standard output so far.
    pub fn output(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// The lines on standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// Its standard input, which the command must have set to a pipe.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, given by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the program to exit. Returns its status and the lines on standard output and standard error.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "timed out: the program does not exit");
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
        let died = status.signal().filter(|&signal| signal != SIGKILL);
        if std::thread::panicking() {
            // The test has failed already, and the output may show why.
            eprintln!("the program ended with {status} and printed {:#?}", self.errors());
        } else if let Some(signal) = died {
            panic!("signal {signal} killed the program: {:#?}", self.errors());
        }
    }
}

/// A process whose streams a test reads itself. It is killed on drop.
#[derive(Debug)]
pub struct KillOnDrop(pub Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Repeats a check until it holds. Panics after a timeout.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !check() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
