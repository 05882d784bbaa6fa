//! The body of a guest's response, which drives the guest for as long as it runs.

use super::running::{Fault, Running};
use crate::body::{Data, Incomplete, SocketBody};
use crate::report::Subject;
use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tracing::error;

/// The response cannot be completed. The client learns of it by the connection ending short of the body's end.
#[derive(Clone, Copy, Debug, Error)]
#[error("the response cannot be completed")]
pub struct Aborted;

/// The body of a guest's response.
pub struct GuestBody {
    /// What the guest writes or has written; `None` once it has failed, because that was not all of it.
    content: Option<SocketBody>,
    /// `None` once it was left to itself.
    running: Option<Running>,
    subject: Subject,
    /// Whether all of it was taken.
    is_complete: bool,
    /// Bytes that the head promises and that were not taken, where it promises any.
    remaining: Option<u64>,
}

impl GuestBody {
    /// The body of a response whose client gets so many bytes, where that is known.
    pub(super) fn new(
        content: SocketBody,
        mut running: Running,
        subject: Subject,
        length: Option<u64>,
    ) -> Self {
        running.progress();
        let is_complete = length == Some(0) || content.is_end_stream();
        Self { content: Some(content), running: Some(running), subject, is_complete, remaining: length }
    }

    /// Gives up: none of what the guest still writes is sent.
    fn abort(&mut self, why: &dyn std::fmt::Display) {
        error!("the guest failed during its response to {}: {why}", self.subject);
        self.content = None;
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Aborted>>> {
        let Some(body) = &mut self.content else { return Poll::Ready(Some(Err(Aborted))) };
        let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.cut_short(error);
                return Poll::Ready(Some(Err(Aborted)));
            }
            None => {
                self.is_complete = true;
                return Poll::Ready(None);
            }
        };
        // The library asks for no more once the end is in sight.
        self.is_complete |= body.is_end_stream();
        if let Some(running) = &mut self.running {
            running.progress();
        }
        if let (Some(remaining), Some(data)) = (&mut self.remaining, frame.data_ref()) {
            *remaining = remaining.saturating_sub(data.remaining() as u64);
            self.is_complete |= *remaining == 0;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn cut_short(&mut self, error: Incomplete) {
        error!("the response to {} was cut short: {error}", self.subject);
        self.content = None;
    }
}

impl Body for GuestBody {
    type Data = Data;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Aborted>>> {
        let this = self.get_mut();
        // The guest goes first: what it leaves unfinished shows when its store is gone.
        if let Some(running) = &mut this.running
            && let Poll::Ready(Err(fault)) = running.poll_guest(context)
        {
            this.abort(&fault);
        }
        let frame = this.poll_content(context);
        if frame.is_pending()
            && let Some(running) = &mut this.running
            && let Poll::Ready(fault) = running.poll_patience(context)
        {
            if !matches!(fault, Fault::ClientLeft) {
                this.abort(&fault);
            }
            this.content = None;
            return Poll::Ready(Some(Err(Aborted)));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_some_and(SocketBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.content.as_ref().map_or_else(SizeHint::default, SocketBody::size_hint)
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        // Where the response is not complete, the client has left, and the instance ends with this.
        if self.is_complete
            && let Some(running) = self.running.take()
            && !running.has_ended()
        {
            running.finish_alone(self.subject.clone());
        }
    }
}
