//! A connection, in whichever version of HTTP its client speaks.
//!
//! A client of HTTP/2 says so in the first bytes that it sends, which are no head of HTTP/1.1. So the connection begins
//! with HTTP/1.1, to which this costs nothing, and goes on with HTTP/2 where the first head turns out to be its preface.

use super::check::{NoSite, check};
use super::http1::Http1;
use super::http2::Http2;
use super::redirect::{self, Redirect};
use super::refusal::Refusal;
use super::shutdown::{Known, Phase, may_have_changed, reached};
use crate::app::App;
use crate::app::route::Route;
use crate::app::sites::Live;
use crate::config::ClientTimes;
use crate::config::limits::HeadLimits;
use crate::net::conn::{Conn, ConnInfo, Stream};
use crate::report::Report;
use crate::report::metrics::ConnectionCounts;
use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::coop::unconstrained;

/// Everything that connections share.
#[derive(Clone)]
pub struct Connections {
    sites: Arc<Live>,
    pub(super) report: Report,
    /// Counts those that are idle, with `--admin`.
    pub(super) counts: Option<Arc<ConnectionCounts>>,
    pub(super) times: ClientTimes,
    pub(super) http1: Http1,
    pub(super) http2: Http2,
    role: Role,
    /// The field `Strict-Transport-Security` of each response.
    pub(super) hsts: Option<HeaderValue>,
}

/// What becomes of requests that are well formed and for this server.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// Guests answer them.
    Serve,
    /// They are redirected.
    Redirect(Redirect),
    /// They are refused, because they come in the clear where TLS is spoken.
    Refuse,
}

/// How much there may be at a time, and of a request.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The head of a request.
    pub head: HeadLimits,
    /// Connections.
    pub connections: usize,
    /// Instances of all sites.
    pub instances: u32,
    /// How long a request waits for one.
    pub queue: Duration,
}

impl Connections {
    /// Connections whose requests `sites` answer, as far as they come in time.
    pub fn new(sites: Arc<Live>, report: Report, times: ClientTimes, room: Room) -> Self {
        let (http1, http2) = (Http1::new(room), Http2::new(room));
        Self { sites, report, counts: None, times, http1, http2, role: Role::Serve, hsts: None }
    }

    /// The same, of which these count the ones that are idle.
    #[must_use]
    pub fn counted(self, counts: Option<Arc<ConnectionCounts>>) -> Self {
        Self { counts, ..self }
    }

    /// The same, with this field `Strict-Transport-Security` in each response. Only for connections over TLS (RFC 6797
    /// §7.2).
    #[must_use]
    pub fn with_hsts(&self, value: Option<HeaderValue>) -> Self {
        Self { hsts: value, ..self.clone() }
    }

    /// The same, but for requests that are redirected.
    #[must_use]
    pub fn redirecting(&self, redirect: Redirect) -> Self {
        Self { role: Role::Redirect(redirect), ..self.clone() }
    }

    /// The same, but for requests that come in the clear where TLS is spoken.
    #[must_use]
    pub fn refusing(&self) -> Self {
        Self { role: Role::Refuse, ..self.clone() }
    }

    /// Serves a connection until either side ends it. Once the server drains, it ends with the answers under way; once
    /// the server cuts, at once.
    pub async fn serve<S: Stream>(self: Arc<Self>, conn: Conn<S>, mut phase: watch::Receiver<Phase>) {
        let (since, mut cut) = (phase.clone(), phase.clone());
        let mut cut = pin!(unconstrained(reached(&mut cut, Phase::Cutting)));
        let mut known = Known::default();
        let mut serving = pin!(self.serve_http1(conn, &mut phase));
        poll_fn(|context| {
            let is_due = known.is_new(context) || may_have_changed(&since);
            if is_due && cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            serving.as_mut().poll(context)
        })
        .await;
    }

    /// Checks a request whose client was identified, and gives what answers it.
    pub(super) fn check<B>(
        &self,
        request: &mut Request<B>,
        identified: &Result<Cow<'_, ConnInfo>, Refusal>,
    ) -> Result<Answerer, Refusal> {
        let info = identified.as_ref().map_err(Clone::clone)?;
        // HTTP/1.0 may name no host, which is nowhere to redirect to; `check` makes one up.
        if let Role::Redirect(_) = self.role
            && request.uri().authority().is_none()
            && !request.headers().contains_key(HOST)
        {
            return Err(Refusal::NO_HOST);
        }
        let app = check(request, &info.scheme, |host, path| {
            self.sites.route(|router| match router.route(host, path, info.reach) {
                Route::Site(at) => Ok(at),
                Route::NotAllowed => Err(NoSite::NotAllowed),
                Route::UnknownHost => Err(NoSite::UnknownHost),
                Route::UnknownPath => Err(NoSite::UnknownPath),
            })
        })?;
        match self.role {
            Role::Serve => Ok(match app.stripped() {
                Some(stripped) if stripped.is_bare(request.uri().path()) => {
                    Answerer::Host(redirect::to_slash(request.uri()))
                }
                _ => Answerer::Site(app),
            }),
            Role::Redirect(redirect) => redirect.response(request).map(Answerer::Host),
            Role::Refuse => Err(Refusal::NeedsTls),
        }
    }
}

/// What answers a request.
pub(super) enum Answerer {
    /// A site.
    Site(Arc<App>),
    /// The host, with this response, which has no content.
    Host(Response<()>),
}
