//! One request on a connection, up to the head of its response.

use super::Times;
use super::body::{InFlight, Upload};
use super::connect::Connection;
use super::fault;
use super::pool::Lease;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use std::pin::pin;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::Error;

/// The head of a response, and what its body comes from.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) lease: Lease,
}

/// Why there is no response.
pub(super) enum Failed {
    /// Nothing was sent of the request.
    Unsent(Box<Request<Upload>>, Error),
    /// The connection has ended, and nothing has come of the response.
    Lost(Error),
    /// Something else.
    Final(Error),
}

/// Sends a request that was begun at a time.
pub(super) async fn exchange(
    mut lease: Lease,
    request: Request<Upload>,
    in_flight: &InFlight,
    times: Times,
    started: Instant,
) -> Result<Answered, Failed> {
    let sent = Instant::now();
    let outcome = {
        let mut answer = pin!(send(&mut lease, request));
        loop {
            // A body that makes progress gives the peer time from then on.
            let deadline = match in_flight.last_progress() {
                Some(progress) => progress + times.first_byte,
                None => (sent + times.first_byte).min(started + times.total),
            };
            match timeout_at(deadline, &mut answer).await {
                Ok(outcome) => break Some(outcome),
                Err(_) if in_flight.last_progress().is_some_and(|at| at + times.first_byte > deadline) => {}
                Err(_) => break None,
            }
        }
    };
    match outcome {
        Some(Ok(response)) => Ok(Answered { response, lease }),
        Some(Err(failed)) => Err(in_flight.fault().map_or(failed, Failed::Final)),
        None => {
            lease.give_up();
            Err(Failed::Final(Error::ConnectionReadTimeout))
        }
    }
}

async fn send(lease: &mut Lease, request: Request<Upload>) -> Result<Response<Incoming>, Failed> {
    let sent = match lease.connection() {
        Some(Connection::Http1(sender)) => sender.try_send_request(in_origin_form(request)).await,
        Some(Connection::Http2(sender)) => sender.try_send_request(without_host(request)).await,
        None => return Err(Failed::Unsent(Box::new(request), Error::ConnectionTerminated)),
    };
    sent.map_err(failed)
}

fn failed(mut error: TrySendError<Request<Upload>>) -> Failed {
    let message = error.take_message();
    let error = error.into_error();
    let fault = fault::of_exchange(&error);
    match message {
        Some(request) => Failed::Unsent(Box::new(request), fault),
        None if error.is_incomplete_message()
            || fault::is_of_connection(&error)
            || fault::was_not_processed(&error) =>
        {
            Failed::Lost(fault)
        }
        None => Failed::Final(fault),
    }
}

/// With HTTP/1.1, the target is the path, and the field `Host` names the server (RFC 9112 §3.2.1).
fn in_origin_form(request: Request<Upload>) -> Request<Upload> {
    let (head, mut body) = request.into_parts();
    body.follows(&head.method, &head.headers);
    let mut request = Request::from_parts(head, body);
    *request.version_mut() = Version::HTTP_11;
    // Without a scheme, an empty path would be written as nothing.
    let path = request.uri().path_and_query().filter(|path| path.as_str() != "/").cloned();
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// With HTTP/2, `:authority` takes the place of the field `Host` (RFC 9113 §8.3.1).
fn without_host(mut request: Request<Upload>) -> Request<Upload> {
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    request
}
