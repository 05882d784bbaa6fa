//! The bytes of a connection as the HTTP library has them, and at which point of an exchange the connection is.
//!
//! The library reads and writes; what it reads and when shows where it is. That tells an idle connection from one that
//! sends a head, bounds the heads of all connections together, and tells answers from the library's own messages, which
//! the host replaces by its own.

use crate::net::conn::{Stream, readable};
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a head that every connection may hold. Most heads of browsers are shorter.
const SMALL_HEAD: usize = 8 * 1024;

/// A point of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Everything was answered and written, and nothing of another request has arrived.
    Idle,
    /// Part of a head has arrived.
    Head,
    /// A request is being answered.
    Request,
    /// The library has all of an answer, and writes the rest of it.
    Answered,
}

/// What a step adds to the number of [`Progress`]: the point is kept below.
const STEP: u32 = 4;

/// The point at which a connection is, shared by those who move it on. Clones refer to the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicU32>);

impl Progress {
    pub(super) fn point(&self) -> Point {
        match self.0.load(Ordering::Relaxed) % STEP {
            0 => Point::Idle,
            1 => Point::Head,
            2 => Point::Request,
            _ => Point::Answered,
        }
    }

    /// Whether the connection has had no request yet, and part of a head has arrived.
    pub(super) fn is_at_first_head(&self) -> bool {
        self.steps() == STEP | Point::Head as u32
    }

    /// A number that is another one after each step.
    pub(super) fn steps(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves on to a point. Only the task of the connection does that.
    pub(super) fn reach(&self, point: Point) {
        let now = self.0.load(Ordering::Relaxed);
        let next = (now & !(STEP - 1)).wrapping_add(STEP) | point as u32;
        self.0.store(next, Ordering::Relaxed);
    }
}

/// A connection's bytes.
pub(super) struct Exchange<S> {
    stream: S,
    progress: Progress,
    /// Bytes that were read before and come first.
    prefix: Bytes,
    /// Bytes of the head that is being read.
    head: usize,
    large: LargeHead,
    /// Whether the client has ended the connection.
    has_ended: bool,
    /// Whether the connection has failed.
    has_failed: bool,
    /// Whether the library has written a message of its own, which was withheld.
    has_withheld: bool,
}

/// The right to a head that is not small.
struct LargeHead {
    places: Arc<Semaphore>,
    state: LargeState,
}

enum LargeState {
    Unwanted,
    Waiting(Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>),
    Granted { _place: Option<OwnedSemaphorePermit> },
}

impl LargeHead {
    fn poll_grant(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.state = match &mut self.state {
                LargeState::Granted { .. } => return Poll::Ready(()),
                LargeState::Waiting(waiting) => {
                    LargeState::Granted { _place: ready!(waiting.as_mut().poll(context)) }
                }
                LargeState::Unwanted => {
                    let places = Arc::clone(&self.places);
                    LargeState::Waiting(Box::pin(async move { places.acquire_owned().await.ok() }))
                }
            }
        }
    }
}

impl<S: Stream> Exchange<S> {
    /// The bytes of a connection that has just begun. At most so many connections read a large head at a time as there
    /// are places.
    pub(super) fn new(stream: S, large_heads: Arc<Semaphore>) -> Self {
        Self {
            stream,
            progress: Progress::default(),
            prefix: Bytes::new(),
            head: 0,
            large: LargeHead { places: large_heads, state: LargeState::Unwanted },
            has_ended: false,
            has_failed: false,
            has_withheld: false,
        }
    }

    /// The point at which the connection is.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&mut self) {
        if self.prefix.is_empty() {
            readable(&mut self.stream).await;
        }
    }

    /// Puts bytes back, to be read first. The library begins anew. They are copied, because they keep all of the buffer
    /// that they were read into.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.has_withheld = false;
        self.prefix = Bytes::copy_from_slice(bytes);
    }

    /// Whether a message of the library's own was withheld.
    pub(super) fn has_withheld(&self) -> bool {
        self.has_withheld
    }

    /// Makes the close that follows a reset.
    pub(super) fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    /// Has the client learn that the last answer is not complete.
    pub(super) fn cut_short(&mut self) {
        self.stream.cut_short();
    }

    /// The stream, if there is something left to be done at its end.
    pub(super) fn into_stream(self) -> Option<S> {
        (!self.has_failed && (S::CLOSES_IN_BAND || !self.has_ended)).then_some(self.stream)
    }

    /// Whether what the library writes now is a message of its own: no request was given to the service for it.
    fn withholds(&mut self) -> bool {
        let is_own = matches!(self.progress.point(), Point::Idle | Point::Head);
        self.has_withheld |= is_own;
        is_own
    }
}

impl<S: Stream> AsyncRead for Exchange<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.prefix.is_empty() {
            if this.progress.point() == Point::Head && this.head >= SMALL_HEAD {
                ready!(this.large.poll_grant(context));
            }
            let outcome = ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
            this.has_failed |= outcome.is_err();
            this.has_ended |= buffer.filled().len() == before && buffer.remaining() > 0;
            outcome?;
        } else {
            let length = this.prefix.len().min(buffer.remaining());
            buffer.put_slice(&this.prefix[..length]);
            this.prefix.advance(length);
        }
        let read = buffer.filled().len() - before;
        if read > 0 {
            match this.progress.point() {
                Point::Idle => {
                    this.head = read;
                    this.progress.reach(Point::Head);
                }
                Point::Head => this.head += read,
                Point::Request | Point::Answered => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Exchange<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let outcome = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        self.has_failed |= outcome.is_err();
        Poll::Ready(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.has_failed |= outcome.is_err();
        outcome?;
        // The library flushes when it has written everything.
        if self.progress.point() == Point::Answered {
            self.head = 0;
            self.large.state = LargeState::Unwanted;
            self.progress.reach(Point::Idle);
        }
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the connection may go on with another message, and is closed by `linger`.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, Point, SMALL_HEAD};
    use crate::net::conn::Stream;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::Semaphore;

    impl Stream for DuplexStream {
        fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<Option<u8>> {
            Poll::Ready(None)
        }

        fn reset_on_close(&self) {}
    }

    fn pair(large_heads: usize) -> (Exchange<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(1 << 20);
        (Exchange::new(server, Arc::new(Semaphore::new(large_heads))), client)
    }

    #[tokio::test]
    async fn reading_and_writing_show_the_point_of_an_exchange() {
        let (mut exchange, mut client) = pair(1);
        let progress = exchange.progress();
        assert_eq!(progress.point(), Point::Idle);
        client.write_all(b"GET").await.unwrap();
        assert_eq!(exchange.read(&mut [0; 10]).await.unwrap(), 3);
        assert_eq!(progress.point(), Point::Head);
        progress.reach(Point::Request);
        exchange.write_all(b"head").await.unwrap();
        exchange.flush().await.unwrap();
        assert_eq!(progress.point(), Point::Request, "more may come");
        progress.reach(Point::Answered);
        let steps = progress.steps();
        exchange.flush().await.unwrap();
        assert_eq!(progress.point(), Point::Idle);
        assert_ne!(progress.steps(), steps);
    }

    #[tokio::test]
    async fn a_message_that_answers_no_request_is_withheld() {
        let (mut exchange, mut client) = pair(1);
        exchange.write_all(b"HTTP/1.1 400 Bad Request").await.unwrap();
        assert!(exchange.has_withheld());
        drop(exchange);
        assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_put_back_is_read_first() {
        let (mut exchange, mut client) = pair(1);
        client.write_all(b"second").await.unwrap();
        exchange.put_back(b"first ");
        let mut all = [0; 12];
        exchange.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"first second");
    }

    #[tokio::test(start_paused = true)]
    async fn few_connections_hold_a_large_head_at_a_time() {
        let (mut first, mut client) = pair(1);
        client.write_all(&[b'x'; 2 * SMALL_HEAD]).await.unwrap();
        let (mut second, mut other) = pair(1);
        second.large.places = Arc::clone(&first.large.places);
        other.write_all(&[b'x'; 2 * SMALL_HEAD]).await.unwrap();
        let mut head = [0; SMALL_HEAD];
        first.read_exact(&mut head).await.unwrap();
        first.read_exact(&mut head).await.unwrap();
        second.read_exact(&mut head).await.unwrap();
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), second.read(&mut head));
        assert!(waiting.await.is_err(), "there is no place");
        // An answer to the first frees its place.
        first.progress.reach(Point::Answered);
        first.flush().await.unwrap();
        second.read_exact(&mut head).await.unwrap();
    }
}
