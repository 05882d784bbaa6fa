//! From a request to a fresh instance of the guest, and from its response back.
//!
//! 1. [`request`]: what no guest is asked at all
//! 2. [`slots`]: an instance may live, now or soon
//! 3. [`instances`]: a fresh one, or an [`idle`] one
//! 4. [`running`]: it runs until it has set its response, and on as the body is sent
//!
//! Whatever goes wrong in a guest is a 500 here and a line on standard error; the next request gets another instance.

mod idle;
mod instances;
mod request;
mod running;
mod slots;

use crate::config::limits::Limits;
use crate::lane::{Data, Outgoing, SocketBody, SocketFiles};
use crate::link::GuestResponse;
use crate::sandbox::{Sandbox, State};
use anyhow::Result;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::header::{HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use instances::Instances;
use running::{Fault, GuestBody, GuestFuture, Running};
use slots::Slots;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tracing::error;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// The body of any answer: a guest's, or a sentence of the host's own.
pub type AnswerBody = Either<GuestBody, Full<Data>>;

/// Answers requests with instances of one component.
pub struct Dispatcher {
    instances: Arc<Instances>,
    slots: Slots,
    time: Duration,
}

/// What a guest is or was working on, to say in a message.
#[derive(Clone, Debug)]
pub struct Subject {
    method: Method,
    uri: Uri,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The parser lets no control character into a URI.
        write!(f, "{} {}", self.method, self.uri)
    }
}

impl Dispatcher {
    /// Answers with instances of a component that is linked already, each for so many requests.
    pub fn new(component: InstancePre<State>, sandbox: Sandbox, limits: &Limits, uses: u32) -> Result<Self> {
        let component = ProxyPre::new(component)?;
        Ok(Self {
            instances: Arc::new(Instances::new(component, Arc::new(sandbox), uses)),
            slots: Slots::new(limits.instances),
            time: limits.time,
        })
    }

    /// Answers a request that came by a socket which sends files itself, if there are such `files`.
    pub async fn respond(
        &self,
        mut request: Request<Incoming>,
        files: Option<&SocketFiles>,
    ) -> Response<AnswerBody> {
        if let Err(refusal) = request::check(&mut request) {
            return refuse(request.method(), refusal);
        }
        let subject = Arc::new(Subject { method: request.method().clone(), uri: request.uri().clone() });
        let Some(slot) = self.slots.take().await else {
            return refuse(&subject.method, Refusal::Busy);
        };
        let (sender, receiver) = oneshot::channel();
        let guest: GuestFuture = Box::pin(Arc::clone(&self.instances).answer(request, sender));
        let mut running = Some(Running::new(guest, self.time, Arc::clone(&subject), slot));
        let head = tokio::time::timeout(self.time, head(&mut running, receiver));
        let response = match head.await {
            Ok(Ok(response)) => response,
            Ok(Err(silence)) => {
                error!("the guest did not answer {subject}: {silence}");
                return refuse(&subject.method, Refusal::Guest);
            }
            Err(_) => {
                let seconds = self.time.as_secs();
                error!("the guest did not answer {subject} within {seconds} s; --timeout allows more");
                return refuse(&subject.method, Refusal::Guest);
            }
        };
        let bodiless = subject.method == Method::HEAD || is_bodiless(response.status());
        let length = content_length(response.headers());
        response.map(|outgoing| {
            let content = SocketBody::new(outgoing, files.cloned(), Arc::<Subject>::clone(&subject));
            Either::Left(GuestBody::new(content, running, subject, length, bodiless))
        })
    }
}

/// Why a guest gave no response head.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("it returned without a response")]
    Nothing,
    #[error("it reported {0}")]
    Error(ErrorCode),
}

/// Runs the guest until it has set its response. A guest that has finished is taken out of `running`.
async fn head(
    running: &mut Option<Running>,
    receiver: oneshot::Receiver<GuestResponse>,
) -> Result<Response<Outgoing>, Silence> {
    // Asked once after the guest has ended, it must answer, whatever the task's budget for being scheduled.
    let mut receiver = pin!(unconstrained(receiver));
    let mut given_up = false;
    poll_fn(|context| {
        if let Some(guest) = running
            && let Poll::Ready(outcome) = guest.poll(context)
        {
            // A failure counts even if there is a response: none of it has been sent, and it would not be complete.
            outcome?;
            *running = None;
        }
        // The guest may give up its right to respond and go on; it still says why when it ends.
        if !given_up && let Poll::Ready(answer) = receiver.as_mut().poll(context) {
            match answer {
                Ok(Ok(response)) => return Poll::Ready(Ok(response)),
                Ok(Err(code)) => return Poll::Ready(Err(Silence::Error(code))),
                Err(_) => given_up = true,
            }
        }
        if running.is_some() { Poll::Pending } else { Poll::Ready(Err(Silence::Nothing)) }
    })
    .await
}

/// Whether a response of this status has no body, whatever its header fields say (RFC 9112 §6.3).
fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What the host answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The request is not one (RFC 9112 §3.2).
    Malformed(&'static str),
    /// A tunnel is not for guests to give.
    Tunnel,
    /// Every instance is in use.
    Busy,
    /// The guest failed.
    Guest,
}

fn refuse(method: &Method, refusal: Refusal) -> Response<AnswerBody> {
    let (status, text) = match refusal {
        Refusal::Malformed(why) => (StatusCode::BAD_REQUEST, format!("400 Bad Request: {why}.\n")),
        Refusal::Tunnel => {
            (StatusCode::NOT_IMPLEMENTED, "501 Not Implemented: this server is no proxy.\n".to_owned())
        }
        Refusal::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "503 Service Unavailable: the server is busy; try again in a moment.\n".to_owned(),
        ),
        Refusal::Guest => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "500 Internal Server Error: the application failed; the server's log says why.\n".to_owned(),
        ),
    };
    let length = text.len();
    let body = if *method == Method::HEAD { Full::default() } else { Full::new(Bytes::from(text).into()) };
    let mut response = Response::new(Either::Right(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    match refusal {
        // What follows on this connection may have been meant for another server.
        Refusal::Malformed(_) => _ = headers.insert(CONNECTION, HeaderValue::from_static("close")),
        Refusal::Busy => {
            _ = headers.insert(RETRY_AFTER, HeaderValue::from(slots::LONGEST_WAIT.as_secs()));
        }
        Refusal::Tunnel | Refusal::Guest => {}
    }
    response
}
