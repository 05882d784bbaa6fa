//! The content of a request, as its stream brings it.

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use wasmtime_wasi_http::Error;

/// The content of a request.
pub(super) struct Incoming {
    stream: RecvStream,
    asked: Asked,
    has_data: bool,
    /// Bytes that the head promises and that have not come yet, where it promises any. The library checks them.
    remaining: Option<u64>,
}

/// Whether reading the content has begun.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Incoming {
    /// The content of a request with these fields.
    pub(super) fn new(stream: RecvStream, fields: &HeaderMap) -> Self {
        let length = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { stream, asked: Asked::default(), has_data: true, remaining: length }
    }

    pub(super) fn asked(&self) -> Asked {
        self.asked.clone()
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        this.asked.0.store(true, Ordering::Relaxed);
        // A stream that is reset, by its client or because it was malformed.
        let broken = |_| Error::ConnectionTerminated;
        while this.has_data {
            match ready!(this.stream.poll_data(context)) {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    if let Some(remaining) = &mut this.remaining {
                        *remaining = remaining.saturating_sub(bytes.len() as u64);
                    }
                    // The window is what a client may send ahead of the guest.
                    let _ = this.stream.flow_control().release_capacity(bytes.len());
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => this.has_data = false,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(context)).map_err(broken);
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}
