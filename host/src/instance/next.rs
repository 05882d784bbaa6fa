//! What stands behind a component that passes requests on.

use crate::body::{Outgoing, RequestBody};
use http::{Request, Response};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use wasmtime_wasi_http::Error;

/// A response on its way from the component behind.
pub type NextResponse = Pin<Box<dyn Future<Output = Result<Response<Outgoing>, NoResponse>> + Send>>;

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    /// Every instance of the component behind is in use.
    #[error("every instance of the component behind it is in use")]
    Busy,
    /// The component behind has failed.
    #[error("the component behind it has failed")]
    Failed,
    /// The body of the request did not arrive in time.
    #[error("the content of the request did not arrive in time")]
    BodyTimeout,
    /// The body of the request is too large.
    #[error("the content of the request is too large")]
    BodyTooLarge,
    /// The client has left.
    #[error("the client has left")]
    ClientLeft,
    /// The request was passed on too often.
    #[error("it passed a request on more than {0} times")]
    Often(u32),
}

/// Answers requests that a component passes on, on behalf of one request.
pub trait Next: Send + Sync {
    /// Has the component behind answer. Its path and fields are what it gets; the authority is in `Host`.
    fn respond(self: Arc<Self>, request: Request<RequestBody>) -> NextResponse;
}

/// A request as it came, for a component of WASI 0.2, which can pass it on only so.
#[derive(Debug)]
pub struct Original {
    /// Its number in the table of the instance.
    pub number: u32,
    /// Its head.
    pub head: http::request::Parts,
    /// Its body, where the runtime has it.
    pub body: Shared,
}

/// A body that the runtime has, and that can be taken out of there again.
#[derive(Clone, Debug)]
pub struct Shared(Weak<Mutex<Option<RequestBody>>>);

/// The body as the runtime has it.
#[derive(Debug)]
pub struct SharedBody(Arc<Mutex<Option<RequestBody>>>);

impl SharedBody {
    /// Shares a body.
    pub fn new(body: RequestBody) -> (Self, Shared) {
        let shared = Arc::new(Mutex::new(Some(body)));
        let weak = Shared(Arc::downgrade(&shared));
        (Self(shared), weak)
    }
}

impl Shared {
    /// Takes the body out.
    pub fn take(&self) -> Option<RequestBody> {
        self.0.upgrade()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl http_body::Body for SharedBody {
    type Data = bytes::Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Error>>> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(body) => Pin::new(body).poll_frame(context),
            None => std::task::Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.as_ref().map_or_else(http_body::SizeHint::default, http_body::Body::size_hint)
    }
}
