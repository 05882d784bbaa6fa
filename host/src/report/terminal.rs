//! The standard streams of this process, as a guest that runs as a command has them: unbuffered, byte for byte.
//!
//! Writing to a pipe whose reader is gone ends the guest, as SIGPIPE ends a native program.

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

/// Whether a guest has named such a flag on standard error. The stream belongs to the process, and so does this.
static FLAG_WAS_NAMED: AtomicBool = AtomicBool::new(false);

/// Whether the guest itself has told the user which flag allows what it was refused. The host then adds nothing.
pub fn flag_was_named() -> bool {
    FLAG_WAS_NAMED.load(Ordering::Relaxed)
}

/// Bytes that a guest may write with one call.
const MAX_WRITE: usize = 64 * 1024;

/// One of the two streams that commands write to.
#[derive(Clone, Copy, Debug)]
pub enum Terminal {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// A guest wrote to a pipe whose reader is gone.
#[derive(Clone, Copy, Debug, Error)]
#[error("nobody reads what the guest writes any more")]
pub struct ReaderGone;

impl Terminal {
    fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            // Flushed, because a line without an end may be a question to the user.
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

impl IsTerminal for Terminal {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Output => io::IsTerminal::is_terminal(&io::stdout()),
            Self::Error => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }
}

impl StdoutStream for Terminal {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(*self)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(*self)
    }
}

impl OutputStream for Terminal {
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
        Ok(MAX_WRITE)
    }
}

#[async_trait]
impl Pollable for Terminal {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Terminal {
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
