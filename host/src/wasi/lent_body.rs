//! Bodies of responses that a guest of WASI 0.3 has made, until they are sent.
//!
//! The runtime keeps each as a body like any other, which the guest may read. The connection takes it out, with the files in it,
//! by the number of its response.

use crate::body::Outgoing;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use wasmtime_wasi_http::Error;

/// The body of a response, until the connection takes it out. The runtime sees a body that it may read.
#[derive(Debug)]
pub struct LentBody(Arc<Mutex<Option<Outgoing>>>);

/// The way to the body in it.
pub type LentHandle = Weak<Mutex<Option<Outgoing>>>;

impl LentBody {
    /// Lends a body.
    pub fn new(body: Outgoing) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The way to it, for as long as it is there.
    pub fn handle(&self) -> LentHandle {
        Arc::downgrade(&self.0)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outgoing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut body = self.lock();
        let Some(body) = body.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::HttpResponseIncomplete)))
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
pub struct LentBodies(Vec<(u32, LentHandle)>);

impl LentBodies {
    /// The response of this number has a body that is lent.
    pub fn remember(&mut self, number: u32, body: LentHandle) {
        self.0.retain(|(_, known)| known.strong_count() > 0);
        self.0.push((number, body));
    }

    /// The body of the response of this number, unless it comes from somewhere else.
    pub fn take(&mut self, number: u32) -> Option<Outgoing> {
        let mut bodies = self.0.iter().filter(|(known, _)| *known == number);
        let body = bodies.find_map(|(_, body)| body.upgrade())?;
        body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
