//! The body of a guest's response, which drives the guest for as long as it runs.

use super::running::{Fault, Name, Running};
use crate::body::{Data, Incomplete, OutgoingEnd, Part, Piece, SocketBody, Source};
use crate::report::Subject;
use crate::report::metrics::Failure;
use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
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
    name: Name,
    subject: Subject,
    /// Whether the guest has left the body unfinished, and why is still to be seen.
    is_unfinished: bool,
    /// Whether all of it was taken.
    is_complete: bool,
    /// Bytes that the head promises and that were not taken, where it promises any.
    remaining: Option<u64>,
}

/// What was taken of a body.
struct Taken {
    /// In bytes.
    length: u64,
    /// Whether it is a range of a file, which may take as long to send as its client likes.
    is_file: bool,
}

impl GuestBody {
    /// The body of a response whose client gets so many bytes, where that is known.
    pub(super) fn new(
        content: SocketBody,
        mut running: Running,
        name: Name,
        subject: Subject,
        length: Option<u64>,
    ) -> Self {
        running.progress();
        let is_complete = length == Some(0) || content.is_end_stream();
        Self {
            content: Some(content),
            running: Some(running),
            name,
            subject,
            is_unfinished: false,
            is_complete,
            remaining: length,
        }
    }

    /// Gives up: none of what the guest still writes is sent.
    fn abort(&mut self, why: &Fault) {
        error!("{} failed during its response to {}: {why}", self.name, self.subject);
        if let Some(failure) = why.failure() {
            failure.count(self.subject.tag().site.as_str());
        }
        self.content = None;
    }

    /// Whether an instance still works for this response.
    pub fn has_instance(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.has_ended())
            || self.content.as_ref().is_some_and(|content| content.outgoing().has_instance())
    }

    /// The next part, for something that reads or sends files itself; `None` at the end. Of a file, at most `file_max` bytes.
    pub fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Aborted>>> {
        let poll = |body: &mut SocketBody, context: &mut Context<'_>| body.poll_part(context, file_max);
        self.poll_next(context, poll, |part| match part {
            Part::Piece(piece) => Taken { length: piece.len(), is_file: matches!(piece, Piece::File(_)) },
            Part::Trailers(_) => Taken { length: 0, is_file: false },
        })
    }

    /// Runs the guest, and has `poll` take what it has written. `taken` says what that was.
    #[inline]
    fn poll_next<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut SocketBody, &mut Context<'_>) -> Poll<Option<Result<T, Incomplete>>>,
        taken: impl FnOnce(&T) -> Taken,
    ) -> Poll<Option<Result<T, Aborted>>> {
        // The guest goes first: what it leaves unfinished shows when its store is gone.
        if let Some(running) = &mut self.running
            && let Poll::Ready(Err(fault)) = running.poll_guest(context)
        {
            self.abort(&fault);
        }
        let taken = if self.is_unfinished { Poll::Pending } else { self.poll_content(context, poll, taken) };
        if self.is_unfinished && self.running.as_ref().is_none_or(Running::has_ended) {
            if self.content.is_some() {
                self.cut_short(Incomplete::Guest);
            }
            return Poll::Ready(Some(Err(Aborted)));
        }
        if taken.is_pending()
            && let Some(running) = &mut self.running
            && let Poll::Ready(fault) = running.poll_patience(context)
        {
            if !matches!(fault, Fault::ClientLeft) {
                self.abort(&fault);
            }
            self.content = None;
            return Poll::Ready(Some(Err(Aborted)));
        }
        taken
    }

    #[inline]
    fn poll_content<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut SocketBody, &mut Context<'_>) -> Poll<Option<Result<T, Incomplete>>>,
        describe: impl FnOnce(&T) -> Taken,
    ) -> Poll<Option<Result<T, Aborted>>> {
        let Some(body) = &mut self.content else { return Poll::Ready(Some(Err(Aborted))) };
        let taken = match ready!(poll(&mut *body, context)) {
            Some(Ok(taken)) => taken,
            Some(Err(Incomplete::Guest)) if self.running.as_ref().is_some_and(Running::is_apart) => {
                self.is_unfinished = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
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
        let Taken { length, is_file } = describe(&taken);
        if let Some(running) = &mut self.running {
            running.progress();
            if is_file {
                // The HTTP library asks for more only when the client has taken nearly all of it.
                running.set_apart();
            }
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(length);
            self.is_complete |= *remaining == 0;
        }
        Poll::Ready(Some(Ok(taken)))
    }

    fn cut_short(&mut self, error: Incomplete) {
        self.content = None;
        if error == Incomplete::Behind {
            return;
        }
        error!("the response to {} was cut short: {error}", self.subject);
        Failure::Incomplete.count(self.subject.tag().site.as_str());
    }
}

impl Body for GuestBody {
    type Data = Data;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Aborted>>> {
        self.get_mut().poll_next(
            context,
            |body, context| Pin::new(body).poll_frame(context),
            |frame| Taken {
                length: frame.data_ref().map_or(0, |data| data.remaining() as u64),
                is_file: matches!(frame.data_ref(), Some(Data::File(_))),
            },
        )
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_some_and(SocketBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.content.as_ref().map_or_else(SizeHint::default, SocketBody::size_hint)
    }
}

/// The response of a component that stands behind another one.
impl Source for GuestBody {
    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        // What is wrong was told.
        Self::poll_part(self, context, file_max).map_err(|Aborted| Incomplete::Behind)
    }

    fn left(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    fn end_handle(&self) -> Option<OutgoingEnd> {
        None
    }

    fn has_instance(&self) -> bool {
        Self::has_instance(self)
    }
}

impl fmt::Debug for GuestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestBody").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        // Where the response is not complete, the client has left, and the instance ends with this.
        if self.is_complete
            && let Some(running) = self.running.take()
            && !running.has_ended()
        {
            running.finish_alone(self.name.clone(), self.subject.clone());
        }
    }
}
