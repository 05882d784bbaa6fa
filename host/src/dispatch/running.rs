//! A running guest, and the response body that drives it.
//!
//! The guest runs inside the connection's own task, first until it has set its response, then whenever the connection
//! asks for more of the body. So a slow client slows its guest and nobody else, a client that goes away takes the
//! instance with it at once, and no byte changes threads on its way. A guest that has handed its body over has ended, and
//! the body goes on without it.

use super::Subject;
use super::slots::Slot;
use crate::lane::{Data, SocketBody};
use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use thiserror::Error;
use tracing::error;

/// What one instance does for one request; unless it may answer another, its store ends with it.
pub type GuestFuture = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send>>;

/// Why a guest did not finish.
#[derive(Debug, Error)]
pub enum Fault {
    /// It trapped, or could not be instantiated.
    #[error("{}", crate::component::one_line(.0))]
    Failed(wasmtime::Error),
    /// It computed for too long.
    #[error("it computed for {} s without giving anything away; --timeout allows more", .0.as_secs())]
    Busy(Duration),
}

/// A guest that has not finished yet.
pub struct Running {
    guest: GuestFuture,
    /// The time spent in the guest since it last gave something away, and how much it may be.
    busy: Duration,
    limit: Duration,
    subject: Arc<Subject>,
    _slot: Slot,
}

impl Running {
    /// A guest that is about to start.
    pub fn new(guest: GuestFuture, limit: Duration, subject: Arc<Subject>, slot: Slot) -> Self {
        Self { guest, busy: Duration::ZERO, limit, subject, _slot: slot }
    }

    /// Lets the guest run until it waits, ends, or has used up its time. The engine's ticks make sure that this returns.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.busy > self.limit {
            return Poll::Ready(Err(Fault::Busy(self.limit)));
        }
        let start = Instant::now();
        let outcome = self.guest.as_mut().poll(context);
        self.busy += start.elapsed();
        outcome.map(|result| result.map_err(Fault::Failed))
    }

    /// Runs on after the response is complete: a guest may still have something to note down. Nobody waits for it, so
    /// its time is that on the clock.
    fn finish_alone(mut self) {
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let limit = self.limit;
            match tokio::time::timeout(limit, poll_fn(|context| self.poll(context))).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => error!("the guest failed after its response to {}: {fault}", self.subject),
                Err(_) => {
                    error!(
                        "the guest was stopped {} s after its response to {}",
                        limit.as_secs(),
                        self.subject
                    );
                }
            }
        });
    }
}

/// The response cannot be completed: the client is told by the connection being closed short of its end.
#[derive(Clone, Copy, Debug, Error)]
#[error("the response cannot be completed")]
pub struct Incomplete;

/// The body of a guest's response.
pub struct GuestBody {
    /// What the guest writes, or has written; `None` once it has failed: however much it wrote, it was not all.
    content: Option<SocketBody>,
    running: Option<Running>,
    subject: Arc<Subject>,
    complete: bool,
    /// Bytes that the head promised and that have not been given away, where it promised any.
    remaining: Option<u64>,
}

impl GuestBody {
    /// A body for a response with this Content-Length, if it has one; `bodiless` where the client gets the head only.
    pub fn new(
        content: SocketBody,
        running: Option<Running>,
        subject: Arc<Subject>,
        length: Option<u64>,
        bodiless: bool,
    ) -> Self {
        let complete = bodiless || content.is_end_stream();
        Self { content: Some(content), running, subject, complete, remaining: length }
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Incomplete>>> {
        let Some(body) = &mut self.content else { return Poll::Ready(Some(Err(Incomplete))) };
        let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                error!("the response to {} was cut short: {error}", self.subject);
                self.content = None;
                return Poll::Ready(Some(Err(Incomplete)));
            }
            None => {
                self.complete = true;
                return Poll::Ready(None);
            }
        };
        // Nobody asks for more once the end is in sight.
        self.complete |= body.is_end_stream();
        if let Some(running) = &mut self.running {
            running.busy = Duration::ZERO;
        }
        if let (Some(remaining), Some(data)) = (&mut self.remaining, frame.data_ref()) {
            *remaining = remaining.saturating_sub(data.remaining() as u64);
            self.complete |= *remaining == 0;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for GuestBody {
    type Data = Data;
    type Error = Incomplete;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Incomplete>>> {
        let this = self.get_mut();
        // The guest goes first: what it leaves unfinished is known when its store is gone.
        if let Some(running) = &mut this.running
            && let Poll::Ready(outcome) = running.poll(context)
        {
            if let Err(fault) = outcome {
                error!("the guest failed during its response to {}: {fault}", this.subject);
                this.content = None;
            }
            this.running = None;
        }
        this.poll_content(context)
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
        // Otherwise the client has gone, and the instance goes with it.
        if self.complete
            && let Some(running) = self.running.take()
        {
            running.finish_alone();
        }
    }
}
