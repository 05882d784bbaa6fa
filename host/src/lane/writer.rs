//! The guest's end of a body: `outgoing-body` and its stream.

use super::{End, FileRange, Piece, Queue, Shared};
use bytes::Bytes;
use http::HeaderMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use thiserror::Error;
use wasmtime::format_err;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// A body that does not have the length that it promised.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body has {0} bytes, which is not the length that its head promises")]
pub struct WrongLength(pub u64);

/// What a guest knows as `outgoing-body`. Dropped without having been finished, it leaves a body that is incomplete.
#[derive(Debug)]
pub struct Writer {
    body: Arc<Inner>,
    stream_was_taken: bool,
}

/// What a guest writes a body to.
#[derive(Debug)]
pub struct BodyStream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Shared,
    length: Option<u64>,
    written: AtomicU64,
}

impl Writer {
    pub(super) fn new(queue: Shared, length: Option<u64>) -> Self {
        let body = Arc::new(Inner { queue, length, written: AtomicU64::new(0) });
        Self { body, stream_was_taken: false }
    }

    /// The stream, which is given once.
    pub fn take_stream(&mut self) -> Option<BodyStream> {
        (!std::mem::replace(&mut self.stream_was_taken, true)).then(|| BodyStream(Arc::clone(&self.body)))
    }

    /// Completes the body, if it is as long as its head has promised.
    pub fn finish(self, trailers: Option<HeaderMap>) -> Result<(), WrongLength> {
        let written = self.body.written.load(Ordering::Relaxed);
        if self.body.length.is_some_and(|length| length != written) {
            return Err(WrongLength(written));
        }
        self.body.queue.lock().finish(End::Finished(trailers));
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Of no consequence where it is finished.
        self.body.queue.lock().finish(End::Unfinished);
    }
}

impl BodyStream {
    /// Takes so many more bytes into account.
    fn count(&self, bytes: u64) -> StreamResult<()> {
        let written = self.0.written.load(Ordering::Relaxed).saturating_add(bytes);
        self.0.written.store(written, Ordering::Relaxed);
        match self.0.length {
            Some(length) if written > length => {
                Err(StreamError::LastOperationFailed(format_err!(WrongLength(written))))
            }
            _ => Ok(()),
        }
    }

    /// Adds a range of a file; it is as good as written.
    pub fn write_file(&self, file: Arc<std::fs::File>, offset: u64, length: u64) -> StreamResult<()> {
        self.add(Piece::File(FileRange { file, offset, length }), length)
    }

    fn add(&self, piece: Piece, length: u64) -> StreamResult<()> {
        self.count(length)?;
        let mut queue = self.0.queue.lock();
        if queue.abandoned || queue.end.is_some() {
            return Err(StreamError::Closed);
        }
        queue.push(piece);
        Ok(())
    }

    fn is_closed(queue: &Queue) -> bool {
        queue.abandoned || queue.end.is_some()
    }

    /// How much may be written now, in bytes; a file takes no room, but a place.
    pub fn room(&self) -> StreamResult<usize> {
        let queue = self.0.queue.lock();
        if Self::is_closed(&queue) { Err(StreamError::Closed) } else { Ok(queue.room()) }
    }

    /// Waits until there is room, or never will be.
    pub async fn ready(&self) {
        poll_fn(|context| {
            let mut queue = self.0.queue.lock();
            if Self::is_closed(&queue) || queue.room() > 0 {
                return Poll::Ready(());
            }
            queue.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The stream as a guest has it. It is the only one that keeps it: whoever else knows it knows it weakly, and so learns
/// that the guest has dropped it.
#[derive(Debug)]
pub struct BodyOutput(pub Arc<BodyStream>);

impl OutputStream for BodyOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > self.0.room()? {
            // As the interface has it, for those who did not ask how much they may write.
            return Err(StreamError::Trap(format_err!("write exceeded budget")));
        }
        let length = bytes.len() as u64;
        self.0.add(Piece::Bytes(bytes), length)
    }

    /// The connection sends what there is without being asked to.
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
