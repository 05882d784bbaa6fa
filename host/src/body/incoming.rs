//! The body of a request, as a guest reads it: within limits of time and size, and not beyond its request.

use crate::config::limits::BodyLimits;
use crate::report::metrics::Limit;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

/// The body of a request for a guest. Most requests have none, for which nothing is allocated.
pub type RequestBody = UnsyncBoxBody<Bytes, Error>;

/// Prepares the body of a request for a guest. It fails when the guest has waited for the client for too long in all, or when
/// there is too much of it. The second value, where there is a body, ends it from the outside.
pub fn request_body<B>(body: B, limits: BodyLimits) -> (RequestBody, Option<IncomingEnd>)
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Error>,
{
    if body.is_end_stream() {
        return (Empty::new().map_err(|never| match never {}).boxed_unsync(), None);
    }
    let shared = Arc::new(Incoming { body: Mutex::new(Some(body)), fault: AtomicU8::new(Fault::None as u8) });
    let end = IncomingEnd(Arc::clone(&shared) as _);
    let patience = Patience { limit: limits.time, rate: limits.rate, left: limits.time, waiting: None };
    (Limited { shared, patience, room: limits.size }.boxed_unsync(), Some(end))
}

/// A body that a guest and the host share.
struct Incoming<B> {
    /// `None` once the request is over.
    body: Mutex<Option<B>>,
    /// A [`Fault`].
    fault: AtomicU8,
}

/// What a client has done wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Slow,
    Large,
}

impl<B> Incoming<B> {
    fn lock(&self) -> MutexGuard<'_, Option<B>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the body of a request from the outside.
pub struct IncomingEnd(Arc<dyn Shared + Send + Sync>);

trait Shared {
    fn end(&self);
    fn has(&self, fault: Fault) -> bool;
}

impl<B: Send> Shared for Incoming<B> {
    fn end(&self) {
        let body = self.lock().take();
        drop(body);
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::Relaxed) == fault as u8
    }
}

impl IncomingEnd {
    /// Drops what was not read, so that the connection need not wait for it. A guest that reads on gets an error.
    pub fn end(&self) {
        self.0.end();
    }

    /// Whether the client has sent the body too slowly.
    pub fn was_too_slow(&self) -> bool {
        self.0.has(Fault::Slow)
    }

    /// Whether the client has sent too much of it.
    pub fn was_too_large(&self) -> bool {
        self.0.has(Fault::Large)
    }
}

/// A client did not send the body of its request in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

/// How long a guest may still wait for a client.
struct Patience {
    limit: Duration,
    /// Bytes that earn another second.
    rate: u64,
    left: Duration,
    /// Since when it waits, and the end of its patience.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    /// Waits; ready when there is no patience left.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<TooSlow> {
        let left = self.left;
        let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(end.as_mut().poll(context));
        Poll::Ready(TooSlow)
    }

    /// Accounts for the time that was waited, and for what came of it.
    fn receive(&mut self, bytes: u64) {
        if let Some((since, _)) = self.waiting.take() {
            let earned = Duration::from_millis(bytes.saturating_mul(1_000) / self.rate.max(1));
            self.left = self.left.saturating_sub(since.elapsed()).saturating_add(earned).min(self.limit);
        }
    }
}

/// The body as the guest has it.
struct Limited<B> {
    shared: Arc<Incoming<B>>,
    patience: Patience,
    /// Bytes that may still come.
    room: u64,
}

impl<B> Body for Limited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self { shared, patience, room } = self.get_mut();
        let mut body = shared.lock();
        let Some(source) = body.as_mut() else { return Poll::Ready(Some(Err(Error::ConnectionTerminated))) };
        let Poll::Ready(frame) = Pin::new(source).poll_frame(context) else {
            return patience.poll_wait(context).map(|TooSlow| {
                Limit::BodyTime.hit();
                shared.fault.store(Fault::Slow as u8, Ordering::Relaxed);
                *body = None;
                Some(Err(Error::ConnectionReadTimeout))
            });
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let length = data.map_or(0, |data| data.len() as u64);
        let Some(left) = room.checked_sub(length) else {
            Limit::Body.hit();
            shared.fault.store(Fault::Large as u8, Ordering::Relaxed);
            *body = None;
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        };
        *room = left;
        patience.receive(length);
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.shared.lock().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyLimits, request_body};
    use bytes::Bytes;
    use http_body::{Body, Frame};
    use http_body_util::{BodyExt as _, Empty};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;
    use tokio::time::{Interval, interval};
    use wasmtime_wasi_http::Error;

    /// A body that comes in pieces of this size, one in each interval.
    struct Trickle(usize, Interval);

    impl Trickle {
        fn new(bytes: usize, seconds: u64) -> Self {
            Self(bytes, interval(Duration::from_secs(seconds)))
        }
    }

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let bytes = Bytes::from(vec![0; self.0]);
            self.1.poll_tick(context).map(|_| Some(Ok(Frame::data(bytes))))
        }
    }

    const LIMITS: BodyLimits = BodyLimits { size: 2_000_000, time: Duration::from_secs(30), rate: 500 };

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_too_slow() {
        let (mut body, end) = request_body(Trickle::new(1, 10), LIMITS);
        let start = tokio::time::Instant::now();
        while let Some(Ok(_)) = body.frame().await {}
        assert_eq!(start.elapsed().as_secs(), 30);
        assert!(end.unwrap().was_too_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_and_steady_client_is_waited_for() {
        let (mut body, end) = request_body(Trickle::new(10_000, 20), LIMITS);
        for _ in 0..100 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(!end.unwrap().was_too_slow());
    }

    #[tokio::test]
    async fn what_is_ended_from_outside_gives_nothing_more() {
        let (mut body, end) = request_body(Trickle::new(1, 1), LIMITS);
        assert!(body.frame().await.unwrap().is_ok());
        end.unwrap().end();
        assert!(matches!(body.frame().await, Some(Err(Error::ConnectionTerminated))));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_is_allowed_is_an_error() {
        let (mut body, end) = request_body(Trickle::new(400_000, 1), LIMITS);
        for _ in 0..5 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(matches!(body.frame().await, Some(Err(Error::HttpRequestBodySize(None)))));
        let end = end.unwrap();
        assert!(end.was_too_large() && !end.was_too_slow());
    }

    #[test]
    fn most_requests_have_none() {
        assert!(request_body(Empty::<Bytes>::new(), LIMITS).1.is_none());
    }
}
