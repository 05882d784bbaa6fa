//! What stands behind a component that passes requests on.

use crate::body::{Outgoing, RequestBody};
use crate::wasi::LentHandle;
use http::{Request, Response};
use std::pin::Pin;
use std::sync::Arc;

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
    pub body: LentHandle<RequestBody>,
}
