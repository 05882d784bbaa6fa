//! Clients that stop reading: their connections are reset after a while.
//!
//! That a socket takes no more bytes does not show yet that its client has stopped: the kernel may go on for minutes to
//! deliver what it has taken to a client that reads slowly. So what counts is whether the other end acknowledges any of
//! it. A connection that has stalled is reset rather than closed, because after a close the kernel would keep what was
//! not delivered, megabytes for each connection.

use super::conn::Stream;
use crate::report::metrics::Limit;
use rustix::ioctl::{Getter, ioctl};
use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose client has to take what is sent.
#[derive(Debug)]
pub struct StallGuard<S> {
    stream: S,
    limit: Duration,
    /// Since the socket has taken no more.
    stalled: Option<Stalled>,
}

#[derive(Debug)]
struct Stalled {
    until: Pin<Box<Sleep>>,
    /// Bytes that were under way when the time began.
    unacknowledged: Option<c_int>,
}

impl<S: Stream + AsFd> StallGuard<S> {
    /// Guards a stream. Its client may take nothing for as long as `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    /// Passes on the outcome of a write, or an error when nothing was taken for too long.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let (stream, limit) = (&self.stream, self.limit);
        let stalled = self.stalled.get_or_insert_with(|| Stalled {
            until: Box::pin(sleep(limit)),
            unacknowledged: unacknowledged(stream),
        });
        loop {
            ready!(stalled.until.as_mut().poll(context));
            let now = unacknowledged(stream);
            if now == stalled.unacknowledged {
                Limit::Stall.hit();
                stream.reset_on_close();
                let message = "the client has stopped reading";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            *stalled = Stalled { until: Box::pin(sleep(limit)), unacknowledged: now };
        }
    }
}

/// Bytes that the kernel has taken and the other end has not acknowledged; `None` where it does not tell.
#[allow(unsafe_code)]
fn unacknowledged(stream: impl AsFd) -> Option<c_int> {
    #[allow(clippy::cast_possible_truncation)]
    const TIOCOUTQ: rustix::ioctl::Opcode = libc::TIOCOUTQ as rustix::ioctl::Opcode;
    // SAFETY: TIOCOUTQ (tcp(7) calls it SIOCOUTQ) writes one `int` through the pointer that it is given, and `Getter`
    // makes that point to one. The descriptor is borrowed from an open socket.
    unsafe { ioctl(stream, Getter::<TIOCOUTQ, c_int>::new()) }.ok()
}

impl<S: Stream + AsFd> Stream for StallGuard<S> {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>> {
        self.stream.poll_readable(context)
    }

    fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    fn cut_short(&mut self) {
        self.stream.cut_short();
    }
}

impl<S: Stream> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Stream + AsFd> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{StallGuard, unacknowledged};
    use crate::net::socket::Socket;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn the_kernel_tells_what_is_under_way() {
        let (server, mut client) = pair().await;
        assert_eq!(unacknowledged(&server), Some(0));
        // More than the client's kernel takes before its program reads.
        let piece = vec![0; 65536];
        while server.try_write(&piece).is_ok() {}
        let full = unacknowledged(&server).unwrap();
        assert!(full > 0);
        // A client that reads shows, also while nothing can be written yet.
        let mut read = 0;
        while unacknowledged(&server).unwrap() == full {
            read += client.read(&mut vec![0; 65536]).await.unwrap();
        }
        assert!(read > 0);
    }

    // The paused clock moves on when every task waits, however busy the machine is.

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_an_error_after_a_while() {
        let (server, mut client) = pair().await;
        let mut server = StallGuard::new(Socket::new(server), Duration::from_mins(1));
        let error = server.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.to_string(), "the client has stopped reading");
        drop(server);
        let mut rest = Vec::new();
        let error = client.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "what was not delivered is gone");
    }
}
