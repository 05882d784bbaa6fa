//! Lines for a standard stream or a file, written by a thread of its own.
//!
//! Writing to a pipe that is not read, or to a terminal that was stopped with Ctrl-S, blocks. So only this thread writes. Other
//! threads append to a bounded queue and never wait. Lines that do not fit are dropped and counted, and so
//! are those that cannot be written, such as to a disk that is full.

use super::log_file::LogFile;
use rustix::fd::{AsFd as _, BorrowedFd};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long lines gather before they are written, so that a busy server writes many with one system call.
const GATHERING: Duration = Duration::from_millis(5);

/// How often at most it is said that lines were withheld.
const WITHHELD_NOTICE: Duration = Duration::from_secs(1);

/// How often at most it is said that lines could not be written.
const FAILED_NOTICE: Duration = Duration::from_mins(1);

/// How often [`Writer::finish`] looks whether the thread has ended.
const POLL: Duration = Duration::from_millis(1);

/// Where lines go.
#[derive(Debug)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
    /// A file.
    File(LogFile),
}

impl Stream {
    /// The name of the thread that writes to it.
    fn thread(&self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Error => "stderr",
            Self::File(_) => "log-file",
        }
    }

    /// Writes past the buffers of the standard library, which keep what could not be written and write it again.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let write = |fd: BorrowedFd<'_>| rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes));
        let written = match self {
            Self::Output => write(io::stdout().as_fd()),
            Self::Error => write(io::stderr().as_fd()),
            Self::File(log) => write(log.file().as_fd()),
        }?;
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }

    /// Whether a reader that is gone does not come back: a FIFO may be opened again.
    fn is_over(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::BrokenPipe && !matches!(self, Self::File(_))
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("standard output"),
            Self::Error => f.write_str("standard error"),
            Self::File(log) => log.path().display().fmt(f),
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
    /// So many lines were dropped, because they could not be written. The next ones are tried again.
    Failed(u64, io::Error),
    /// Nothing reads the stream any more, and further lines are discarded.
    Broken(io::Error),
    /// The file could not be opened again.
    NotReopened(io::Error),
}

/// A queue of lines and the thread that writes them. Clones append to the same queue.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes that may wait.
    capacity: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Lines that were dropped or could not be written so far.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    dropped: u64,
    withheld: u64,
    reopens: bool,
    closed: bool,
    /// Whether the thread waits to be woken. Otherwise it is writing or gathering, and looks here afterwards.
    is_waiting: bool,
}

impl Writer {
    /// Starts a thread that writes to `stream` what is appended, of which at most `capacity` bytes wait. `explain` gets
    /// what went wrong, and returns what to write about it to the same stream. It is told of dropped lines once in each
    /// `notice` at most.
    pub fn start(
        stream: Stream,
        capacity: usize,
        notice: Duration,
        explain: impl Fn(Trouble) -> Option<String> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            capacity,
            queue: Mutex::default(),
            changed: Condvar::new(),
            thread: Mutex::default(),
            lost: AtomicU64::new(0),
        });
        let writing = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(stream.thread().to_owned());
        let thread = thread.spawn(move || writing.write_all(Output::new(stream), notice, explain))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Appends a line, its `\n` included, or drops and counts it when the queue is full.
    pub fn append(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        if queue.lines.len() + line.len() > self.0.capacity {
            queue.dropped += 1;
            self.0.lost.fetch_add(1, Ordering::Relaxed);
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

    /// Opens the file again, once everything that was appended before is written.
    pub fn reopen(&self) {
        self.0.lock().reopens = true;
        self.0.changed.notify_one();
    }

    /// How many lines were dropped, or could not be written, so far.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
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

    fn write_all(&self, mut output: Output, notice: Duration, explain: impl Fn(Trouble) -> Option<String>) {
        let mut lines = Vec::new();
        let (mut dropped, mut withheld) = (Tally::new(notice), Tally::new(WITHHELD_NOTICE));
        let mut failed = Tally::new(FAILED_NOTICE);
        let mut failure = None;
        loop {
            let mut queue = self.lock();
            loop {
                dropped.count += std::mem::take(&mut queue.dropped);
                withheld.count += std::mem::take(&mut queue.withheld);
                let due = [&dropped, &withheld, &failed].into_iter().filter_map(Tally::due).min();
                let is_due = due.is_some_and(|due| due.is_zero());
                if is_due || !queue.lines.is_empty() || queue.reopens || queue.closed {
                    break;
                }
                queue.is_waiting = true;
                queue = match due {
                    None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    Some(due) => {
                        self.changed.wait_timeout(queue, due).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
            queue.is_waiting = false;
            let (closed, reopens) = (queue.closed, std::mem::take(&mut queue.reopens));
            std::mem::swap(&mut lines, &mut queue.lines);
            drop(queue);

            // What was dropped came after what was queued.
            let troubles =
                [dropped.take(closed).map(Trouble::Dropped), withheld.take(closed).map(Trouble::Withheld)];
            for trouble in troubles.into_iter().flatten() {
                lines.extend(explain(trouble).unwrap_or_default().into_bytes());
            }
            match output.write_lines(&lines) {
                Written::All => {}
                Written::Not(count, error) => {
                    self.lost.fetch_add(count, Ordering::Relaxed);
                    failed.count += count;
                    failure = Some(error);
                }
                Written::Broken(error) => _ = explain(Trouble::Broken(error)),
            }
            lines.clear();
            if failure.is_some()
                && let Some(count) = failed.take(closed)
                && let Some(error) = failure.take()
            {
                let notice = explain(Trouble::Failed(count, error)).unwrap_or_default();
                // If this fails too, there is nothing to be said of it.
                output.write_lines(notice.as_bytes());
            }
            if reopens && let Err(error) = output.reopen() {
                explain(Trouble::NotReopened(error));
            }
            if closed {
                return;
            }
            std::thread::sleep(GATHERING);
        }
    }
}

/// Counts lines that are missing, and tells their number once in a while.
struct Tally {
    count: u64,
    pause: Duration,
    told: Option<Instant>,
}

impl Tally {
    fn new(pause: Duration) -> Self {
        Self { count: 0, pause, told: None }
    }

    /// In how much time the number is to be told; `None` if there is nothing to tell.
    fn due(&self) -> Option<Duration> {
        let since = |told: Instant| self.pause.saturating_sub(told.elapsed());
        (self.count > 0).then(|| self.told.map_or(Duration::ZERO, since))
    }

    /// The number, if it is to be told now, or it is the last moment for that.
    fn take(&mut self, is_last: bool) -> Option<u64> {
        self.due().filter(|due| due.is_zero() || is_last)?;
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.count))
    }
}

/// A stream, and how far what was written to it goes.
struct Output {
    stream: Stream,
    /// Whether only a part of the last line was written.
    is_in_line: bool,
    is_broken: bool,
}

/// What became of lines.
enum Written {
    All,
    /// So many lines are missing at the end.
    Not(u64, io::Error),
    /// Nothing will ever be written any more.
    Broken(io::Error),
}

impl Output {
    fn new(stream: Stream) -> Self {
        Self { stream, is_in_line: false, is_broken: false }
    }

    /// Writes lines. Where only a part of one could be written, the next one begins on a line of its own.
    fn write_lines(&mut self, lines: &[u8]) -> Written {
        if self.is_broken || lines.is_empty() {
            return Written::All;
        }
        let mut rest = lines;
        let mut outcome = Ok(0);
        if self.is_in_line {
            outcome = self.stream.write(b"\n");
            self.is_in_line = outcome.is_err();
        }
        while outcome.is_ok() && !rest.is_empty() {
            outcome = self.stream.write(rest);
            if let Ok(written) = outcome {
                self.is_in_line = rest[..written].last() != Some(&b'\n');
                rest = &rest[written..];
            }
        }
        match outcome {
            Ok(_) => Written::All,
            Err(error) if self.stream.is_over(&error) => {
                self.is_broken = true;
                Written::Broken(error)
            }
            Err(error) => Written::Not(memchr::memchr_iter(b'\n', rest).count() as u64, error),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Stream::File(log) = &mut self.stream {
            log.reopen()?;
            self.is_in_line = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use std::time::Duration;

    #[test]
    fn a_number_is_told_at_once_and_then_once_in_a_while() {
        let mut tally = Tally::new(Duration::from_hours(1));
        assert_eq!((tally.due(), tally.take(true)), (None, None));
        tally.count += 2;
        assert_eq!((tally.due(), tally.take(false)), (Some(Duration::ZERO), Some(2)));
        tally.count += 3;
        assert!(tally.due().is_some_and(|due| due > Duration::from_mins(59)));
        assert_eq!(tally.take(false), None);
        assert_eq!(tally.take(true), Some(3), "at the end");
    }
}
