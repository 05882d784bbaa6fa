//! SIGINT (Ctrl-C), SIGTERM and SIGHUP. For the first two, a thread of its own waits for them, so that the process can end even if a file system that
//! hangs blocks every other thread.

use anyhow::{Context as _, Result};
use rustix::process::{self, getpid, kill_process};
use std::io::IsTerminal as _;
use tokio::runtime;
use tokio::signal::unix::{self, SignalKind};

/// Both signals, as a stream.
pub struct Signals {
    interrupted: unix::Signal,
    terminated: unix::Signal,
}

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// The exit status that a shell shows for a program that this signal ended: 128 plus its number.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// SIGHUP, as a stream.
pub struct Hangups {
    signal: unix::Signal,
    /// Whether the process began with a terminal.
    had_terminal: bool,
}

impl Hangups {
    /// From now on SIGHUP does not end the process by itself. This needs a runtime.
    pub fn new() -> Result<Self> {
        let signal = unix::signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        Ok(Self { signal, had_terminal: has_terminal() })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        self.signal.recv().await;
    }

    /// Whether the terminal that the process began with was closed, which is the other meaning of the signal.
    pub fn terminal_is_gone(&self) -> bool {
        self.had_terminal && !has_terminal()
    }
}

/// Whether a standard stream is a terminal. One that was closed is none any more.
fn has_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal()
}

/// Stops this process as SIGTERM does.
pub fn terminate() {
    // It may always send signals to itself.
    let _ = kill_process(getpid(), process::Signal::TERM);
}

/// From now on, a write beyond the limit on the size of files fails (`setrlimit(2)`). By itself it ends the process by
/// SIGXFSZ. This needs a runtime.
pub fn survive_file_limit() -> Result<()> {
    // The handler stays when this is dropped.
    unix::signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop).context("cannot catch SIGXFSZ")
}

/// As [`survive_file_limit`], for a process that has no runtime.
pub fn survive_file_limit_alone() -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("cannot prepare for signals")?;
    let _entered = runtime.enter();
    survive_file_limit()
}

impl Signals {
    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupted.recv() => Signal::Interrupt,
            _ = self.terminated.recv() => Signal::Terminate,
        }
    }
}

/// Starts a thread that runs the future `handler` makes of the signals. From now on they do not end the process by
/// themselves.
pub fn handle<H, F>(handler: H) -> Result<()>
where
    H: FnOnce(Signals) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot start a thread for signals")?;
    // Registered before the thread starts, so that there is no moment at which a signal has its default effect. Tokio
    // registers signals only inside a runtime.
    let (interrupted, terminated) = {
        let _entered = runtime.enter();
        (unix::signal(SignalKind::interrupt()), unix::signal(SignalKind::terminate()))
    };
    let signals = Signals {
        interrupted: interrupted.context("cannot wait for SIGINT")?,
        terminated: terminated.context("cannot wait for SIGTERM")?,
    };
    let work = handler(signals);
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(work)).context("cannot start a thread for signals")?;
    Ok(())
}
