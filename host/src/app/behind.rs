//! What stands behind a component that passes requests on (`--middleware`): the next app of its site, with instances, slots and
//! limits of its own.

use super::{App, NoAnswer, is_bodiless};
use crate::body::{Outgoing, RequestBody};
use crate::instance::Next;
use crate::instance::next::{NextResponse, NoResponse};
use crate::net::ConnInfo;
use crate::report::Subject;
use http::header::{Entry, HOST, HeaderValue};
use http::{Method, Request, Response};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a component may pass on one request, such as under another path where there is nothing at the first: each time
/// takes an instance, and one request is not to take all of them.
const MAX_CALLS: u32 = 8;

/// The app behind another one, for one request.
pub(super) struct Behind {
    app: Arc<App>,
    conn: ConnInfo,
    subject: Subject,
    /// The host that the request is for that came.
    host: Option<HeaderValue>,
    calls: AtomicU32,
    /// Why there was no answer, the last time that there was none.
    failure: Mutex<Option<NoAnswer>>,
}

impl Behind {
    /// What stands behind an app that answers `subject`.
    pub(super) fn new(app: &Arc<App>, conn: &ConnInfo, subject: &Subject, host: Option<HeaderValue>) -> Self {
        // Only the first app's responses go to the socket.
        let conn = ConnInfo { files: None, ..conn.clone() };
        Self {
            app: Arc::clone(app),
            conn,
            subject: subject.clone(),
            host,
            calls: AtomicU32::new(0),
            failure: Mutex::default(),
        }
    }

    /// Why there was no answer, the last time that there was none.
    pub(super) fn failure(&self) -> Option<NoAnswer> {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, mut request: Request<RequestBody>) -> Result<Response<Outgoing>, NoResponse> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
            return Err(NoResponse::Often(MAX_CALLS));
        }
        // A request that a component has made may name no host, and others expect one.
        if let (Some(host), Entry::Vacant(entry)) = (&self.host, request.headers_mut().entry(HOST)) {
            entry.insert(host.clone());
        }
        let is_head = *request.method() == Method::HEAD;
        let app = Arc::clone(&self.app);
        // What it computes is a part of what the component in front of it takes.
        match app.respond(Box::new(request), &self.conn, self.subject.clone(), None).await {
            // Its length is not that of a body. Dropped, what answers goes on as it does before a client.
            Ok(response) if is_head || is_bodiless(response.status()) => {
                Ok(response.map(|_| Outgoing::empty()))
            }
            Ok(response) => Ok(response.map(|body| Outgoing::of(body))),
            Err(why) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                Err(code(why))
            }
        }
    }
}

impl Next for Behind {
    fn respond(self: Arc<Self>, request: Request<RequestBody>) -> NextResponse {
        Box::pin(async move { self.answer(request).await })
    }
}

/// What a component is told of an answer that it does not get.
fn code(why: NoAnswer) -> NoResponse {
    match why {
        // Only what clients reach has logins.
        NoAnswer::Busy(_) | NoAnswer::TooManyLogins(_) => NoResponse::Busy,
        NoAnswer::Failed => NoResponse::Failed,
        NoAnswer::BodyTimeout => NoResponse::BodyTimeout,
        NoAnswer::BodyTooLarge => NoResponse::BodyTooLarge,
        NoAnswer::ClientLeft => NoResponse::ClientLeft,
    }
}
