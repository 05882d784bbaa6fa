//! The bytes of a connection that is encrypted.
//!
//! What the HTTP library writes at once is encrypted at once, so that a head and the first bytes of its body share a
//! record. Ranges of files come as [placeholders](crate::body::Placeholder), as for a plain socket. They are read into a
//! buffer that all connections of a thread use in turn: it is encrypted before the next one needs it. So a client that does
//! not read holds what is encrypted for it, at most about 64 KiB, and nothing else.

use crate::body::{Incomplete, SendError, SocketFiles, is_placeholder, read_some};
use crate::net::conn::Stream;
use rustix::io::pread;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tracing::error;

/// Bytes that are encrypted at a time: four whole records (RFC 8446 §5.1), and what the TLS library holds at most.
const CHUNK: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is encrypted.
#[derive(Debug)]
pub struct Encrypted<S> {
    /// In a box, because it is large and moves from one owner to the next.
    tls: Box<TlsStream<S>>,
    files: SocketFiles,
    /// Whether what was written is not all that there should be, so that no `close_notify` vouches for it.
    is_cut_short: bool,
}

impl<S: Stream> Encrypted<S> {
    /// A stream whose handshake is done, and which sends the ranges of `files`.
    pub(super) fn new(tls: TlsStream<S>, files: SocketFiles) -> Self {
        Self { tls: Box::new(tls), files, is_cut_short: false }
    }

    /// Writes what stands before a placeholder along with the first bytes of the range that it stands for, `most` at most.
    /// Nothing may wait to be sent.
    fn write_with_file(
        &mut self,
        context: &mut Context<'_>,
        before: &[IoSlice<'_>],
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let length: usize = before.iter().map(|slice| slice.len()).sum();
        let most = most.min(CHUNK.saturating_sub(length));
        if most == 0 {
            return Pin::new(&mut self.tls).poll_write_vectored(context, before);
        }
        let Self { tls, files, .. } = self;
        let sent = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(CHUNK, 0);
            let mut written = 0;
            let of_range = files.send(|range, _| {
                let most = usize::try_from(range.length).unwrap_or(most).min(most);
                let read = read_some(|| pread(&range.file, &mut buffer[..most], range.offset));
                let read = read.map_err(Broken::File)?;
                let pieces: Vec<_> = before.iter().copied().chain([IoSlice::new(&buffer[..read])]).collect();
                match Pin::new(tls).poll_write_vectored(context, &pieces) {
                    Poll::Ready(Ok(count)) => written = count,
                    Poll::Ready(Err(error)) => return Err(Broken::Stream(error)),
                    // It has taken nothing, and wakes this task.
                    Poll::Pending => {}
                }
                Ok(written.saturating_sub(length))
            });
            of_range.map(|_| written)
        });
        match sent {
            Ok(0) => Poll::Pending,
            Ok(written) => Poll::Ready(Ok(written)),
            Err(SendError::Disagreement(what)) => Poll::Ready(Err(io::Error::other(what))),
            Err(SendError::Failed(_, Broken::Stream(error))) => Poll::Ready(Err(error)),
            Err(SendError::Failed(subject, Broken::File(incomplete))) => {
                error!("the response to {subject} was cut short: {incomplete}");
                self.files.break_off();
                Poll::Ready(Err(io::Error::other(incomplete)))
            }
        }
    }

    /// Passes on an outcome. After an error, what was written is not all.
    fn note<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.is_cut_short |= matches!(outcome, Poll::Ready(Err(_)));
        outcome
    }
}

/// Which end of a transfer failed.
enum Broken {
    Stream(io::Error),
    File(Incomplete),
}

impl<S: Stream> Stream for Encrypted<S> {
    const CLOSES_IN_BAND: bool = true;

    /// Decrypts what arrives, so that part of a record does not count as something to read. What was decrypted is kept.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>> {
        // An error is left to the read.
        Pin::new(&mut self.tls).poll_fill_buf(context).map(|bytes| bytes.ok()?.first().copied())
    }

    fn reset_on_close(&self) {
        self.tls.get_ref().0.reset_on_close();
    }

    fn cut_short(&mut self) {
        self.is_cut_short = true;
    }
}

impl<S: Stream> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.tls).poll_read(context, buffer)) {
            // Many clients end a connection without `close_notify`. A request that an attacker cut short shows by
            // its own length (RFC 9112 §9.8).
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            outcome => self.note(Poll::Ready(outcome)),
        }
    }
}

impl<S: Stream> AsyncWrite for Encrypted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What was encrypted before leaves first. The next chunk of a file is read when there is room for it, and a client
        // holds one chunk at most.
        ready!(self.as_mut().poll_flush(context))?;
        let outcome = match slices.iter().position(|slice| is_placeholder(slice)) {
            None => Pin::new(&mut self.tls).poll_write_vectored(context, slices),
            Some(at) => self.write_with_file(context, &slices[..at], slices[at].len()),
        };
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.tls).poll_flush(context);
        self.note(outcome)
    }

    /// Ends the stream by `close_notify`, unless something is missing: without it, the client can tell.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_cut_short {
            return Pin::new(&mut self.tls).poll_shutdown(context);
        }
        // What there is still arrives, as on a plain socket.
        let _ = ready!(Pin::new(&mut self.tls).poll_flush(context));
        Pin::new(self.tls.get_mut().0).poll_shutdown(context)
    }
}
