//! A running guest, and the response body that drives it.
//!
//! The guest runs inside the connection's own task, first until it has set its response, then whenever the connection
//! asks for more of the body. So a slow client slows its guest and nobody else, a client that goes away takes the
//! instance with it at once, and no byte changes threads on its way.

use super::Subject;
use super::slots::Slot;
use crate::sandbox::State;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::task::coop::unconstrained;
use tracing::error;
use wasmtime::Store;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// The whole life of one instance. It gives back the store, in which an unfinished body still shows.
pub type GuestFuture = Pin<Box<dyn Future<Output = wasmtime::Result<Store<State>>> + Send>>;

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
    subject: Subject,
    _slot: Slot,
}

impl Running {
    /// A guest that is about to start.
    pub fn new(guest: GuestFuture, limit: Duration, subject: Subject, slot: Slot) -> Self {
        Self { guest, busy: Duration::ZERO, limit, subject, _slot: slot }
    }

    /// Lets the guest run until it waits, ends, or has used up its time. The engine's ticks make sure that this returns.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Store<State>, Fault>> {
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
                Ok(Ok(_)) => {}
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
#[error("the guest did not complete the response")]
pub struct Incomplete;

/// What a guest writes as its body.
///
/// The runtime's own body ends in the same way whether the guest finished it or was gone before it could. So as soon as
/// the guest has ended, while its store still holds what it left unfinished, everything that it wrote is taken out: if
/// the end is among it, the body is complete.
pub enum Content {
    /// The guest may write more.
    Open(HyperOutgoingBody),
    /// The guest has ended: the rest, and whether it ends as it should.
    Settled(VecDeque<Frame<Bytes>>, Result<(), Incomplete>),
}

impl Content {
    /// The guest has ended, leaving this store.
    pub fn settle(&mut self, store: Store<State>) {
        if let Self::Open(body) = self {
            let (frames, end) = drain(body);
            *self = Self::Settled(frames, end);
        }
        drop(store);
    }

    /// Tells the operator of a body that the guest ended without finishing.
    pub fn complain_if_unfinished(&self, subject: &Subject) {
        if let Self::Settled(_, Err(Incomplete)) = self {
            error!("the guest ended without finishing its response to {subject}");
        }
    }

    /// The guest has failed: however much it wrote, it was not all.
    fn fail(&mut self) {
        *self = Self::Settled(VecDeque::new(), Err(Incomplete));
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        match self {
            Self::Open(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|_| Incomplete))),
            Self::Settled(frames, end) => {
                let rest = match frames.pop_front() {
                    Some(frame) => Some(Ok(frame)),
                    None => std::mem::replace(end, Ok(())).err().map(Err),
                };
                Poll::Ready(rest)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Open(body) => body.is_end_stream(),
            Self::Settled(frames, end) => frames.is_empty() && end.is_ok(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Open(body) => body.size_hint(),
            // Only an end that is known to come may be promised.
            Self::Settled(_, Err(Incomplete)) => SizeHint::default(),
            Self::Settled(frames, Ok(())) => {
                let data = frames.iter().filter_map(Frame::data_ref);
                SizeHint::with_exact(data.map(|data| data.len() as u64).sum())
            }
        }
    }
}

/// Everything that a body holds at this moment, and whether its end is among it.
///
/// The runtime holds a few pieces at most, so that this is short. It is one step to the scheduler too: a task that has
/// used up its budget would be told that nothing is there yet, and the end would seem to be missing.
fn drain<B>(body: &mut B) -> (VecDeque<Frame<Bytes>>, Result<(), Incomplete>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut frames = VecDeque::new();
    let drained = unconstrained(poll_fn(|context| {
        loop {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frames.push_back(frame),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(_))) | Poll::Pending => return Poll::Ready(Err(Incomplete)),
            }
        }
    }));
    let end = match pin!(drained).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => end,
        Poll::Pending => Err(Incomplete),
    };
    (frames, end)
}

/// The body of a guest's response.
pub struct GuestBody {
    content: Content,
    running: Option<Running>,
    complete: bool,
    /// Bytes that the head promised and that have not been given away, where it promised any.
    remaining: Option<u64>,
}

impl GuestBody {
    /// A body for a response with this Content-Length, if it has one; `bodiless` where the client gets the head only.
    pub fn new(content: Content, running: Option<Running>, length: Option<u64>, bodiless: bool) -> Self {
        let complete = bodiless || content.is_end_stream();
        Self { content, running, complete, remaining: length }
    }

    fn poll_content(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let frame = match self.content.poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(None) => {
                self.complete = true;
                return Poll::Ready(None);
            }
            other => return other,
        };
        if let Some(running) = &mut self.running {
            running.busy = Duration::ZERO;
        }
        if let (Some(remaining), Some(data)) = (&mut self.remaining, frame.data_ref()) {
            *remaining = remaining.saturating_sub(data.len() as u64);
            self.complete |= *remaining == 0;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let this = self.get_mut();
        // The guest goes first: it says how it ended before the end of the body is believed.
        if let Some(running) = &mut this.running
            && let Poll::Ready(outcome) = running.poll(context)
        {
            match outcome {
                Ok(store) => {
                    this.content.settle(store);
                    this.content.complain_if_unfinished(&running.subject);
                }
                Err(fault) => {
                    error!("the guest failed during its response to {}: {fault}", running.subject);
                    this.content.fail();
                }
            }
            this.running = None;
        }
        this.poll_content(context)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
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

#[cfg(test)]
mod tests {
    use super::drain;
    use bytes::Bytes;
    use http_body::{Body, Frame};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::sync::mpsc;
    use tokio::task::coop::{consume_budget, has_budget_remaining};

    /// A body as the runtime makes them: the end of a channel.
    struct Channel(mpsc::Receiver<Bytes>);

    impl Body for Channel {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    #[tokio::test]
    async fn the_end_of_a_body_is_found_without_any_budget_left() {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Bytes::from_static(b"all")).unwrap();
        drop(sender);
        while has_budget_remaining() {
            consume_budget().await;
        }
        let (frames, end) = drain(&mut Channel(receiver));
        assert_eq!((frames.len(), end.is_ok()), (1, true));
    }

    #[tokio::test]
    async fn a_body_that_may_still_grow_has_no_end() {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Bytes::from_static(b"some")).unwrap();
        let (frames, end) = drain(&mut Channel(receiver));
        assert_eq!((frames.len(), end.is_ok()), (1, false));
        drop(sender);
    }
}
