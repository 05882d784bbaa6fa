//! Closing a connection so that the last answer arrives.
//!
//! A socket that is closed while bytes lie unread in it is reset, and a reset takes with it what the client has not
//! read yet: a client that is still sending when it is refused would never learn why. So the connection is closed for
//! writing first, and read to its end for a little while (RFC 9112 §9.6).

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// How long a client may take to notice that it was refused.
const LONGEST: Duration = Duration::from_secs(2);

/// How many bytes are read and thrown away for that, at most.
const MOST_BYTES: u64 = 1024 * 1024;

/// A stream that comes home when it is dropped.
#[derive(Debug)]
pub struct Lent<S> {
    stream: Option<S>,
    ended: bool,
    home: Home<S>,
}

/// Where a [`Lent`] stream comes back to, if its other side has not ended it.
#[derive(Debug)]
pub struct Home<S>(Arc<Mutex<Option<S>>>);

impl<S> Lent<S> {
    /// Lends out a stream.
    pub fn new(stream: S) -> (Self, Home<S>) {
        let home = Arc::new(Mutex::new(None));
        (Self { stream: Some(stream), ended: false, home: Home(Arc::clone(&home)) }, Home(home))
    }

    fn get(&mut self) -> io::Result<&mut S> {
        // It leaves only when this is dropped.
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if !self.ended {
            *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
        }
    }
}

/// For whom to linger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For a client that has sent something that was not read.
    WithUnread,
    /// For any that has not ended the connection.
    WithAll,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Home<S> {
    /// Closes the stream, if it has come back: no more is written, and what still comes is read and forgotten.
    pub async fn close(self, patience: Patience) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = stream else { return };
        // Neither the end, nor an error, nor the time being up needs any more to be done.
        let _ = stream.shutdown().await;
        if patience == Patience::WithUnread && !has_unread(&mut stream).await {
            return;
        }
        let mut rest = stream.take(MOST_BYTES);
        let _ = tokio::time::timeout(LONGEST, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// Whether there is something to read at this moment.
async fn has_unread<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut byte = [0];
    let mut read = pin!(stream.read(&mut byte));
    poll_fn(|context| Poll::Ready(matches!(read.as_mut().poll(context), Poll::Ready(Ok(1))))).await
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = ready!(Pin::new(self.get()?).poll_read(cx, buffer));
        self.ended |= outcome.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0);
        Poll::Ready(outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = ready!(Pin::new(self.get()?).poll_write(cx, bytes));
        self.ended |= outcome.is_err();
        Poll::Ready(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = ready!(Pin::new(self.get()?).poll_write_vectored(cx, pieces));
        self.ended |= outcome.is_err();
        Poll::Ready(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get()?).poll_shutdown(cx)
    }
}
