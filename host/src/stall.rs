//! Clients that stop reading: their connections are cut after a while.
//!
//! That a socket takes no more bytes is no sign yet: to a client that reads slowly, the system may send for minutes what
//! it has taken. So what counts is whether the other end still acknowledges anything of that.

use rustix::ioctl::{Getter, ioctl};
use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream whose other end has to take what is sent.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    limit: Duration,
    /// Since when it takes no more, if it does.
    stalled: Option<Stalled>,
}

#[derive(Debug)]
struct Stalled {
    until: Pin<Box<Sleep>>,
    /// Bytes that were on their way then.
    unacknowledged: Option<c_int>,
}

impl<S: AsFd> Watched<S> {
    /// Watches over a stream.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    /// Passes on what came of writing, or an error when it has come to nothing for too long.
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
                let message = "the client has stopped reading";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            *stalled = Stalled { until: Box::pin(sleep(limit)), unacknowledged: now };
        }
    }
}

/// Bytes that were given to the system and that the other end has not acknowledged; `None` where it cannot be told.
#[allow(unsafe_code)]
fn unacknowledged(stream: impl AsFd) -> Option<c_int> {
    const TIOCOUTQ: u32 = 0x5411;
    // SAFETY: TIOCOUTQ (tcp(7), where it is called SIOCOUTQ; the number is that of Linux on x86, Arm and RISC-V) writes
    // one `int` through the pointer that it is given, which `Getter` makes to point at one. The descriptor is borrowed
    // from an open socket.
    unsafe { ioctl(stream, Getter::<TIOCOUTQ, c_int>::new()) }.ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Watched<S> {
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
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
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
    use super::{Watched, unacknowledged};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn the_system_says_what_is_on_its_way() {
        let (server, mut client) = pair().await;
        assert_eq!(unacknowledged(&server), Some(0));
        // More than the other end's system takes before its program reads.
        let piece = vec![0; 65536];
        while server.try_write(&piece).is_ok() {}
        let full = unacknowledged(&server).unwrap();
        assert!(full > 0);
        // A client that reads shows, also where nothing can be written yet.
        let mut read = 0;
        while unacknowledged(&server).unwrap() == full {
            read += client.read(&mut vec![0; 65536]).await.unwrap();
        }
        assert!(read > 0);
    }

    // Time passes when everybody waits, however busy the machine is.

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_an_error_after_a_while() {
        let (server, _client) = pair().await;
        let mut server = Watched::new(server, Duration::from_mins(1));
        let error = server.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.to_string(), "the client has stopped reading");
    }
}
