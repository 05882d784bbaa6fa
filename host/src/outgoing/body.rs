//! The bodies of an exchange. That of the request notes how it gets on, for the time-outs and for what happens to the connection,
//! and can be ended from outside. That of the response has a time-out, and gives the connection back at its end.

use super::fault;
use super::pool::Lease;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

/// How the body of a request gets on.
pub(super) struct InFlight {
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    /// When a piece of it was taken last.
    progress: Option<Instant>,
    /// How many bytes of it are still to be taken, with HTTP/1.1 and where that is known.
    left: Option<u64>,
    phase: Phase,
    /// Why the guest's body has failed.
    fault: Option<Error>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// More may come.
    Open,
    /// It was taken in full.
    Complete,
    /// What it was for has ended.
    Cancelled,
}

impl InFlight {
    pub(super) fn new() -> Arc<Self> {
        let state = State { progress: None, left: None, phase: Phase::Open, fault: None, waker: None };
        Arc::new(Self { state: Mutex::new(state), ended: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, phase: Phase) {
        let waker = {
            let mut state = self.lock();
            if state.phase != Phase::Open {
                return;
            }
            state.phase = phase;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.ended.notify_waiters();
    }

    /// Ends it, unless it is complete.
    pub(super) fn cancel(&self) {
        self.end(Phase::Cancelled);
    }

    /// When a piece was taken last.
    pub(super) fn last_progress(&self) -> Option<Instant> {
        self.lock().progress
    }

    /// Whether there is nothing in it.
    pub(super) fn was_empty(&self) -> bool {
        let state = self.lock();
        state.progress.is_none() && (state.phase == Phase::Complete || state.left == Some(0))
    }

    /// Why the guest's body has failed, if it has.
    pub(super) fn fault(&self) -> Option<Error> {
        self.lock().fault.take()
    }

    fn is_complete(&self) -> bool {
        self.lock().phase == Phase::Complete
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            match self.lock().phase {
                Phase::Open => {}
                Phase::Complete => return Ok(()),
                Phase::Cancelled => return Err(Error::ConnectionTerminated),
            }
            ended.await;
        }
    }
}

/// The body of a request.
pub(super) struct Upload {
    body: WasiBody,
    in_flight: Arc<InFlight>,
}

impl Upload {
    pub(super) fn new(body: WasiBody, in_flight: Arc<InFlight>) -> Self {
        if body.is_end_stream() {
            in_flight.end(Phase::Complete);
        }
        Self { body, in_flight }
    }

    /// Notes that HTTP/1.1 sends it after this head: hyper drops a body whose length it knows as soon as it has that much of it.
    pub(super) fn follows(&mut self, method: &Method, headers: &HeaderMap) {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // It sends these without a body, unless a length is known.
        let has_none = matches!(*method, Method::GET | Method::HEAD).then_some(0);
        self.in_flight.lock().left = announced.or_else(|| self.body.size_hint().exact()).or(has_none);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        {
            let mut state = self.in_flight.lock();
            if state.phase == Phase::Cancelled {
                return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
            }
            state.waker = Some(cx.waker().clone());
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.in_flight.end(Phase::Complete),
            Some(Ok(frame)) => {
                {
                    let mut state = self.in_flight.lock();
                    state.progress = Some(Instant::now());
                    let taken = frame.data_ref().map_or(0, Bytes::len) as u64;
                    state.left = state.left.and_then(|left| left.checked_sub(taken));
                }
                // After trailers, it is not asked again.
                if frame.is_trailers() || self.body.is_end_stream() {
                    self.in_flight.end(Phase::Complete);
                }
            }
            Some(Err(_)) => self.in_flight.end(Phase::Cancelled),
        }
        Poll::Ready(match frame {
            Some(Err(error)) => {
                // The error that the connection reports says no more than that there was one.
                self.in_flight.lock().fault = Some(error);
                Some(Err(Error::ConnectionTerminated))
            }
            frame => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Otherwise, the peer wants no more of it.
        let is_complete = self.in_flight.lock().left == Some(0);
        self.in_flight.end(if is_complete { Phase::Complete } else { Phase::Cancelled });
    }
}

/// The body of a response.
pub(super) struct Download<T> {
    incoming: Incoming,
    lease: Option<Lease>,
    in_flight: Arc<InFlight>,
    limit: Duration,
    /// Runs while the guest waits.
    timer: Option<Pin<Box<Sleep>>>,
    _held: Arc<T>,
}

impl<T> Download<T> {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        in_flight: Arc<InFlight>,
        limit: Duration,
        held: Arc<T>,
    ) -> Self {
        let mut body = Self { incoming, lease: Some(lease), in_flight, limit, timer: None, _held: held };
        if body.incoming.is_end_stream() {
            body.complete();
        }
        body
    }

    /// It has come in full.
    fn complete(&mut self) {
        if let Some(lease) = self.lease.take() {
            // What is left of the request takes the connection with it.
            if self.in_flight.is_complete() { lease.keep() } else { lease.finish() }
        }
    }
}

impl<T: Send + Sync + 'static> Body for Download<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                if this.incoming.is_end_stream() {
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.lease = None;
                Poll::Ready(Some(Err(fault::of_body(&error))))
            }
            Poll::Ready(None) => {
                this.complete();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let limit = this.limit;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(timer.as_mut().poll(cx));
                if let Some(lease) = this.lease.take() {
                    lease.give_up();
                }
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
