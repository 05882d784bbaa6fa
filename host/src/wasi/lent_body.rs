//! Bodies that the runtime has for a guest, and that the host takes out again where the guest gives them away unread: those of
//! responses that a guest of WASI 0.3 has made, with the files in them, and those of requests that are passed on.

use crate::body::Outgoing;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use wasmtime_wasi_http::Error;

/// A body that the runtime has, as one that a guest may read, and that can be taken out of there again.
#[derive(Debug)]
pub struct Lent<B>(Arc<Mutex<Option<B>>>);

/// The way to a body that is lent, for as long as the runtime has it.
#[derive(Debug)]
pub struct LentHandle<B>(Weak<Mutex<Option<B>>>);

impl<B> Lent<B> {
    /// Lends a body.
    pub fn new(body: B) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The way to it.
    pub fn handle(&self) -> LentHandle<B> {
        LentHandle(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Option<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> LentHandle<B> {
    /// Takes the body out, if it is still there.
    pub fn take(&self) -> Option<B> {
        self.0.upgrade()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl<B> Body for Lent<B>
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
        let mut body = self.lock();
        let Some(body) = body.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// The bodies of the responses that an instance has made, by the number of the response. A number that was given to another
/// response since is recognised by the first body being gone.
#[derive(Debug, Default)]
pub struct LentBodies(Vec<(u32, LentHandle<Outgoing>)>);

impl LentBodies {
    /// The response of this number has a body that is lent.
    pub fn remember(&mut self, number: u32, body: LentHandle<Outgoing>) {
        self.0.retain(|(_, known)| !known.is_gone());
        self.0.push((number, body));
    }

    /// The body of the response of this number, unless it comes from somewhere else.
    pub fn take(&mut self, number: u32) -> Option<Outgoing> {
        let mut bodies = self.0.iter().filter(|(known, body)| *known == number && !body.is_gone());
        bodies.next()?.1.take()
    }
}
