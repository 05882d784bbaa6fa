//! The guest's end of a body: `outgoing-body` and its stream (`wasi:http/types`, `wasi:io/streams`).

use super::memory::Buffered;
use super::{End, FileRange, OutgoingEnd, Piece, Queue, Shared};
use bytes::Bytes;
use http::HeaderMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::sync::oneshot;
use wasmtime::format_err;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// A body that does not have the length that its head promises. It has this many bytes.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body has {0} bytes, which is not the length that its head promises")]
pub struct WrongLength(pub u64);

/// A body that a guest writes. Dropped without being finished, it leaves a body that is incomplete.
#[derive(Debug)]
pub struct BodyWriter {
    body: Arc<Inner>,
    stream_was_taken: bool,
}

/// The stream of such a body.
#[derive(Debug)]
pub struct BodyStream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Shared,
    length: Option<u64>,
    written: AtomicU64,
}

impl BodyWriter {
    pub(super) fn new(queue: Shared, length: Option<u64>) -> Self {
        let body = Arc::new(Inner { queue, length, written: AtomicU64::new(0) });
        Self { body, stream_was_taken: false }
    }

    /// The stream; `None` when it was taken before.
    pub fn take_stream(&mut self) -> Option<BodyStream> {
        (!std::mem::replace(&mut self.stream_was_taken, true)).then(|| BodyStream(Arc::clone(&self.body)))
    }

    /// What ends this body from the outside.
    pub fn end_handle(&self) -> OutgoingEnd {
        OutgoingEnd::new(&self.body.queue)
    }

    /// How many bytes the head of the message promises, if it does.
    pub fn length(&self) -> Option<u64> {
        self.body.length
    }

    /// The contents come from elsewhere, where they are counted: here only the end is left to say.
    pub fn leave_contents(&self) {
        self.body.written.store(self.body.length.unwrap_or(0), Ordering::Relaxed);
    }

    /// Tells whether the connection has taken all of the body, once it has or is gone.
    pub fn when_sent(&self) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        self.body.queue.lock().sent = Some(sender);
        receiver
    }

    /// Completes the body, if it is as long as its head promises.
    pub fn finish(self, trailers: Option<HeaderMap>) -> Result<(), WrongLength> {
        let written = self.body.written.load(Ordering::Relaxed);
        if self.body.length.is_some_and(|length| length != written) {
            return Err(WrongLength(written));
        }
        self.body.queue.lock().finish(End::Finished(trailers));
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        // Changes nothing where the body is finished.
        self.body.queue.lock().finish(End::Unfinished);
    }
}

impl BodyStream {
    /// Adds a range of a file, which counts as written.
    pub fn write_file(&self, range: FileRange) -> StreamResult<()> {
        let length = range.length;
        self.add(Piece::File(range), length)
    }

    /// Adds bytes. The caller has asked for [`room`](Self::room).
    pub fn write(&self, bytes: Bytes) -> StreamResult<()> {
        let length = bytes.len() as u64;
        self.add(Piece::Bytes(Buffered::counted(bytes)), length)
    }

    fn add(&self, piece: Piece, length: u64) -> StreamResult<()> {
        let written = self.0.written.load(Ordering::Relaxed).saturating_add(length);
        self.0.written.store(written, Ordering::Relaxed);
        if self.0.length.is_some_and(|length| written > length) {
            return Err(StreamError::LastOperationFailed(format_err!(WrongLength(written))));
        }
        let mut queue = self.0.queue.lock();
        if is_closed(&queue) {
            return Err(StreamError::Closed);
        }
        queue.push(piece);
        Ok(())
    }

    /// Bytes that may be written now. A file takes no room, but there has to be some.
    pub fn room(&self) -> StreamResult<usize> {
        let queue = self.0.queue.lock();
        if is_closed(&queue) { Err(StreamError::Closed) } else { Ok(queue.room()) }
    }

    /// Waits until there is room, or the body has ended.
    pub async fn ready(&self) {
        poll_fn(|context| self.poll_room(context).map(drop)).await;
    }

    /// Bytes that may be written, once there is room.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<StreamResult<usize>> {
        let mut queue = self.0.queue.lock();
        if is_closed(&queue) {
            return Poll::Ready(Err(StreamError::Closed));
        }
        match queue.room() {
            0 => {
                queue.writer = Some(context.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }
}

fn is_closed(queue: &Queue) -> bool {
    queue.abandoned || queue.end.is_some()
}

/// The stream as a guest has it. It holds the only strong reference: everyone else has a weak one, which tells that the
/// guest has dropped the stream.
#[derive(Debug)]
pub struct BodyOutput(pub Arc<BodyStream>);

impl OutputStream for BodyOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > self.0.room()? {
            // `wasi:io/streams` makes writing more than `check-write` permits a trap.
            return Err(StreamError::Trap(format_err!("write exceeded budget")));
        }
        self.0.write(bytes)
    }

    /// Does nothing: the connection sends what is there without being asked.
    fn flush(&mut self) -> StreamResult<()> {
        self.0.room().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.room()
    }
}

#[async_trait]
impl Pollable for BodyOutput {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}
