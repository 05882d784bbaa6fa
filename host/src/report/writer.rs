//! Lines for one of the standard streams, written by a thread of its own.
//!
//! A pipe that nobody reads, or a terminal that was stopped with Ctrl-S, blocks whoever writes to it. So only this thread
//! writes; everyone else appends to a bounded queue and never waits. Lines that do not fit are dropped and counted.

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long lines gather before they are written, so that a busy server writes many with one system call.
const GATHERING: Duration = Duration::from_millis(5);

/// How often at most it is said that lines were withheld.
const NOTICE: Duration = Duration::from_secs(1);

/// How often [`Writer::finish`] looks whether the thread has ended.
const POLL: Duration = Duration::from_millis(1);

/// A standard stream of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Output => {
                let mut output = io::stdout().lock();
                output.write_all(bytes).and_then(|()| output.flush())
            }
            Self::Error => io::stderr().lock().write_all(bytes),
        }
    }
}

/// What a writer has to say about itself.
#[derive(Debug)]
pub enum Trouble {
    /// So many lines were dropped, because the stream is not read fast enough.
    Dropped(u64),
    /// So many lines were withheld by the caller.
    Withheld(u64),
    /// The stream cannot be written to, and further lines are discarded.
    Broken(io::Error),
}

/// A queue of lines and the thread that writes them. Clones append to the same queue.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: Stream,
    /// Bytes that may wait.
    capacity: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    dropped: u64,
    withheld: u64,
    closed: bool,
    /// Whether the thread waits to be woken. Otherwise it is writing or gathering, and looks here afterwards.
    is_waiting: bool,
}

impl Writer {
    /// Starts a thread that writes to `stream` what is appended, of which at most `capacity` bytes wait. `explain` gets
    /// what went wrong, and returns what to write about it to the same stream.
    pub fn start(
        stream: Stream,
        capacity: usize,
        explain: impl Fn(Trouble) -> Option<String> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stream,
            capacity,
            queue: Mutex::default(),
            changed: Condvar::new(),
            thread: Mutex::default(),
        });
        let name = match stream {
            Stream::Output => "stdout",
            Stream::Error => "stderr",
        };
        let writing = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || writing.write_all(explain))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Appends a line, its `\n` included, or drops and counts it when the queue is full.
    pub fn append(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        if queue.lines.len() + line.len() > self.0.capacity {
            queue.dropped += 1;
            return;
        }
        queue.lines.extend_from_slice(line);
        // Waking a thread is a system call, also where none waits.
        let wake = std::mem::take(&mut queue.is_waiting);
        drop(queue);
        if wake {
            self.0.changed.notify_one();
        }
    }

    /// Counts a line that the caller does not append because of a limit of its own. The number is told once a second.
    pub fn withhold(&self) {
        self.0.lock().withheld += 1;
        self.0.changed.notify_one();
    }

    /// Writes what is queued and ends the thread, unless the stream takes longer than `patience`.
    pub fn finish(&self, patience: Duration) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, explain: impl Fn(Trouble) -> Option<String>) {
        let mut lines = Vec::new();
        let mut noticed = None::<Instant>;
        let mut broken = false;
        loop {
            let mut queue = self.lock();
            while queue.lines.is_empty() && queue.dropped == 0 && !queue.closed {
                queue.is_waiting = true;
                let due = noticed.map_or(Duration::ZERO, |noticed| NOTICE.saturating_sub(noticed.elapsed()));
                queue = match queue.withheld {
                    0 => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    _ if due.is_zero() => break,
                    _ => self.changed.wait_timeout(queue, due).unwrap_or_else(PoisonError::into_inner).0,
                };
            }
            queue.is_waiting = false;
            let closed = queue.closed;
            let dropped = std::mem::take(&mut queue.dropped);
            let withheld = match noticed {
                Some(noticed) if noticed.elapsed() < NOTICE && !closed => 0,
                _ => std::mem::take(&mut queue.withheld),
            };
            std::mem::swap(&mut lines, &mut queue.lines);
            drop(queue);

            // What was dropped came after what was queued.
            let troubles = [(dropped, Trouble::Dropped(dropped)), (withheld, Trouble::Withheld(withheld))];
            for (_, trouble) in troubles.into_iter().filter(|&(count, _)| count > 0) {
                lines.extend(explain(trouble).unwrap_or_default().into_bytes());
            }
            if withheld > 0 {
                noticed = Some(Instant::now());
            }
            if !broken && let Err(error) = self.stream.write_all(&lines) {
                broken = true;
                explain(Trouble::Broken(error));
            }
            lines.clear();
            if closed {
                return;
            }
            std::thread::sleep(GATHERING);
        }
    }
}
