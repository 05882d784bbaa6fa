//! The bytes of a connection, as the HTTP library has them. What a client sends is looked through on its way.

use super::budget::Budget;
use super::frames::Scanner;
use crate::net::conn::Stream;
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection's bytes. Clones refer to the same; only the task of the connection uses them.
pub(super) struct Wire<S>(Arc<Mutex<Shared<S>>>);

struct Shared<S> {
    stream: S,
    /// Bytes that were read before and come first.
    prefix: Bytes,
    scanner: Scanner,
    budget: Budget,
    /// Whether the client has spent its budget.
    is_flooded: bool,
}

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Wire<S> {
    /// A stream of which `prefix` was read already.
    pub(super) fn new(stream: S, prefix: Bytes) -> Self {
        let budget = Budget::new(Instant::now());
        let scanner = Scanner::new();
        Self(Arc::new(Mutex::new(Shared { stream, prefix, scanner, budget, is_flooded: false })))
    }

    fn lock(&self) -> MutexGuard<'_, Shared<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client has sent too many frames that get it nothing. Nothing more is read then.
    pub(super) fn is_flooded(&self) -> bool {
        self.lock().is_flooded
    }

    /// The number of the head that is not complete, if there is one.
    pub(super) fn open_head(&self) -> Option<u32> {
        self.lock().scanner.open_head()
    }

    /// Whether the client has sent its settings.
    pub(super) fn has_settings(&self) -> bool {
        self.lock().scanner.has_settings()
    }

    /// An answer was sent to its end.
    pub(super) fn note_answer(&self) {
        self.lock().budget.answer();
    }

    /// The stream, once the library has given up its own handle.
    pub(super) fn into_stream(self) -> Option<S> {
        let shared = Arc::into_inner(self.0)?;
        Some(shared.into_inner().unwrap_or_else(PoisonError::into_inner).stream)
    }
}

impl<S> Shared<S> {
    fn look_through(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let (budget, is_flooded) = (&mut self.budget, &mut self.is_flooded);
        self.scanner.scan(bytes, |frame| *is_flooded |= !budget.pay(frame, now));
    }
}

impl<S: Stream> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        if shared.is_flooded {
            // The poll of the connection looks for this next.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if shared.prefix.is_empty() {
            ready!(Pin::new(&mut shared.stream).poll_read(context, buffer))?;
        } else {
            let length = shared.prefix.len().min(buffer.remaining());
            buffer.put_slice(&shared.prefix[..length]);
            shared.prefix.advance(length);
        }
        shared.look_through(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.lock();
        let written = ready!(Pin::new(&mut shared.stream).poll_write_vectored(context, slices))?;
        shared.budget.send(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_flush(context)
    }

    /// Does nothing: the connection is closed by `linger`.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
