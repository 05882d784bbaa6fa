//! The signals by which a process is asked to end: SIGINT (Ctrl-C) and SIGTERM. A thread waits for them, for all others
//! may be held up by a file that does not come; a process must be able to end all the same.

use anyhow::{Context as _, Result};
use tokio::runtime;
use tokio::signal::unix::{self, SignalKind};

/// Both signals, from now on.
pub struct Signals {
    interrupted: unix::Signal,
    terminated: unix::Signal,
}

/// A signal to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// What a shell shows of a program that the signal has ended: 128 and its number.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Signals {
    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupted.recv() => Signal::Interrupt,
            _ = self.terminated.recv() => Signal::Terminate,
        }
    }
}

/// Starts a thread that does what `handler` makes of the signals. From now on none of them ends the process by itself.
pub fn handle<H, F>(handler: H) -> Result<()>
where
    H: FnOnce(Signals) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot start a thread for signals")?;
    // Registered here and not by the thread, so that no signal is met by the default of dying. A runtime of tokio has to
    // be there for it, though not at the same moment.
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
