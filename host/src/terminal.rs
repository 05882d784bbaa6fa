//! The standard streams of this process as a command writes to them: at once, byte by byte as they are.
//!
//! When nobody reads them any more, the guest is ended as the signal SIGPIPE ends a native program: it is of no use to
//! go on, and most programs do not ask.

use bytes::Bytes;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// How the flags begin that allow a guest something.
const FLAG: &[u8] = b"--allow-";

/// Whether a guest has named such a flag on standard error, of which a process has one.
static FLAG_WAS_NAMED: AtomicBool = AtomicBool::new(false);

/// Whether the guest has told the user itself which flag would allow what it was refused.
pub fn flag_was_named() -> bool {
    FLAG_WAS_NAMED.load(Ordering::Relaxed)
}

/// What is taken in one write, in bytes.
const PIECE: usize = 64 * 1024;

/// One of the two streams that programs write to.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// A guest wrote, and nobody reads any more.
#[derive(Clone, Copy, Debug, Error)]
#[error("nobody reads what the guest writes any more")]
pub struct ReaderGone;

impl Stream {
    fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            // Flushed, so that a line without an end is seen when it is written: it may be a question.
            Self::Output => {
                let mut output = io::stdout().lock();
                output.write_all(bytes).and_then(|()| output.flush())
            }
            Self::Error => {
                if bytes.windows(FLAG.len()).any(|window| window == FLAG) {
                    FLAG_WAS_NAMED.store(true, Ordering::Relaxed);
                }
                io::stderr().lock().write_all(bytes)
            }
        }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Output => io::IsTerminal::is_terminal(&io::stdout()),
            Self::Error => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_all(&bytes).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => StreamError::Trap(ReaderGone.into()),
            _ => StreamError::LastOperationFailed(error.into()),
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready((*self).write_all(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
