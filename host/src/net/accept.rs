//! Accepting connections until the server stops: each gets a task of its own.

use super::conn::{Conn, ConnInfo};
use super::listener::{Listener, Source, Traits};
use super::socket::Socket;
use super::stall::StallGuard;
use anyhow::{Context as _, Result};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

/// How long to wait when the process can have no more files: until a connection is closed, trying again is pointless.
const PAUSE: Duration = Duration::from_millis(100);

/// What accepted connections are.
pub type Accepted = Conn<StallGuard<Socket>>;

/// What all listeners share.
#[derive(Clone, Debug)]
pub struct Acceptor {
    places: Arc<Semaphore>,
    stall: Duration,
    /// Each connection holds a clone until it has ended.
    alive: mpsc::Sender<()>,
}

/// Completes when the acceptor and all its connections are gone.
#[derive(Debug)]
pub struct AllEnded(mpsc::Receiver<()>);

impl AllEnded {
    /// Waits.
    pub async fn wait(mut self) {
        // Nothing is ever sent: this is the end of the last sender.
        self.0.recv().await;
    }
}

impl Acceptor {
    /// Accepts at most so many connections at a time, which are reset when their client takes nothing of what it is sent
    /// for as long as `stall`.
    pub fn new(max_connections: usize, stall: Duration) -> (Self, AllEnded) {
        let (alive, ended) = mpsc::channel(1);
        (Self { places: Arc::new(Semaphore::new(max_connections)), stall, alive }, AllEnded(ended))
    }

    /// Accepts connections and runs `serve` for each in a task, until `stop` completes.
    pub async fn run<S, F>(self, listener: Listener, serve: S, stop: impl Future<Output = ()>) -> Result<()>
    where
        S: Fn(Accepted) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener.start().context("cannot wait for connections")?;
        let mut stop = pin!(stop);
        let mut is_short_of_files = false;
        loop {
            let accepted = tokio::select! {
                accepted = async {
                    // Without a place nothing is accepted: the kernel's queue is the waiting room.
                    let place = Arc::clone(&self.places).acquire_owned().await;
                    (place, listener.accept().await)
                } => accepted,
                () = stop.as_mut() => return Ok(()),
            };
            let (place, stream, source) = match accepted {
                (Ok(place), Ok((stream, source))) => (place, stream, source),
                (Ok(_), Err(error)) => {
                    if !is_of_one_connection(&error) {
                        if !std::mem::replace(&mut is_short_of_files, true) {
                            warn!("cannot accept connections for the moment: {error}");
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    continue;
                }
                // The semaphore is never closed.
                (Err(_), _) => return Ok(()),
            };
            is_short_of_files = false;
            let connection = self.connection(Socket::new(stream), source, &listener.traits);
            let (serve, alive) = (serve.clone(), self.alive.clone());
            // The future is made inside of the task: one that is moved into it takes twice the memory.
            tokio::spawn(async move {
                serve(connection).await;
                drop((place, alive));
            });
        }
    }

    fn connection(&self, socket: Socket, source: Source, listener: &Traits) -> Accepted {
        let info = ConnInfo {
            peer: source.into(),
            scheme: listener.scheme.clone(),
            reach: listener.reach,
            files: listener.sends_files.then(|| socket.files()),
            hangup: Some(socket.hangup()),
        };
        Conn { stream: StallGuard::new(socket, self.stall), info }
    }
}

/// Whether an error of `accept` is about a connection that ended before it was accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}
