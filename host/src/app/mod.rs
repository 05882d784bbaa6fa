//! Sites: components that answer requests, with their grants and limits.
//!
//! 1. [`route`]: which site a request is for; [`sites`]: all of them, replaced at once
//! 2. [`build`]: how they are made
//! 3. [`slots`]: an instance may live, now or soon; [`archives`]: few of them send archives, and some of those compressed
//! 4. [`executor`]: a new instance, or an [`idle`] one where the operator allows it
//! 5. [`running`]: the guest runs until it has set its response, and on as the body is sent; [`answer`] is that body
//! 6. [`behind`]: components in front of others, each an app of its own
//! 7. [`prefix`]: paths as a site sees them that has but a part of a host
//!
//! Whatever goes wrong in a guest is a failure of this request and a line on standard error; the next request gets
//! another instance.

mod answer;
mod apart;
mod archives;
mod behind;
pub mod build;
mod executor;
mod idle;
mod prefix;
pub mod route;
mod running;
pub mod sites;
mod slots;

pub use answer::GuestBody;
pub use prefix::Stripped;
pub use slots::{Slots, with_kept};

use crate::body::{Gzip, Outgoing, RequestBody, SocketBody, request_body};
use crate::config::limits::BodyLimits;
use crate::config::site::Site;
use crate::instance::{GuestResponse, Next, Template};
use crate::link::Linked;
use crate::login::{self, Logins, NotNow};
use crate::net::ConnInfo;
use crate::report::metrics::{Failure, InstanceCounts, Limit, SiteMetrics};
use crate::report::tag::{Label, Tag};
use crate::report::{Recorder, Subject};
use anyhow::Result;
use apart::apart;
use archives::Archives;
use behind::Behind;
use bytes::Bytes;
use executor::{Executor, Reuse};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body::Body;
use running::{Fault, GuestFuture, Name, Running};
use serde::Serialize;
use sites::Generation;
use std::future::poll_fn;
use std::iter::successors;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tracing::error;

/// The field of a response by which a guest asks for more time between two pieces of its body, in seconds, such as a
/// stream of events that are rare. It is not sent on.
const SILENCE_TIMEOUT: HeaderName = HeaderName::from_static("silence-timeout");

/// The longest time that a guest can ask for by that.
const MAX_SILENCE: Duration = Duration::from_hours(1);

/// How long the parts of an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    /// Until the guest has set its response.
    head: Duration,
    /// What it may compute until then, and between two pieces of the body.
    busy: Duration,
    /// Between two pieces of the body, on the clock.
    silence: Duration,
    /// Until there is an instance for a request.
    queue: Duration,
}

/// A site, ready to answer requests.
pub struct App {
    executor: Executor,
    /// Those of all sites.
    slots: Arc<Slots>,
    /// Its own, where it may have fewer.
    own_slots: Option<Slots>,
    /// Instead of them, where an instance answers several requests at a time: places for requests in all of its instances.
    places: Option<Slots>,
    /// The archives that it sends, if it may.
    archives: Option<Archives>,
    times: Times,
    body: BodyLimits,
    stripped: Option<Stripped>,
    /// The field that tells the address of the client.
    client_address: Option<HeaderName>,
    /// Looks at the passwords that clients send, where some paths need one.
    logins: Option<Logins>,
    label: Label,
    name: Name,
    /// What it passes requests on to, where it does.
    behind: Option<Arc<App>>,
    /// Whether it gets requests from clients.
    is_first: bool,
    /// Whether its guests run in tasks of their own.
    is_apart: bool,
    /// How many of its instances may work at a time.
    most: u32,
    /// Counts the requests of the site, with `--admin`.
    metrics: Option<Arc<SiteMetrics>>,
    /// Counts its instances, with `--admin` and if it passes nothing on.
    counts: Option<Arc<InstanceCounts>>,
    about: About,
    _generation: Arc<Generation>,
}

/// What a site shares with others.
#[derive(Clone)]
pub struct Shared {
    /// The slots of all sites, for apps with as many behind them.
    pub slots: Arc<Slots>,
    /// How many instances all sites may have.
    pub instances: u32,
    /// The generation that it belongs to.
    pub generation: Arc<Generation>,
    /// Counts the requests and instances of the site, with `--admin`.
    pub metrics: Option<Arc<SiteMetrics>>,
    /// What stands behind it, if it passes requests on.
    pub behind: Option<Arc<App>>,
    /// Whether it gets requests from clients.
    pub is_first: bool,
    /// Looks at passwords, where some paths of the site need one.
    pub logins: Option<Logins>,
}

/// What there is to tell about a component.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// How it is called.
    pub component: String,
    /// In which way it runs.
    pub executor: String,
    /// What it is given.
    pub grants: Vec<String>,
}

/// The instances of an app at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Those that work for a request.
    pub in_use: u32,
    /// Those that wait for one.
    pub idle: usize,
    /// How many may work at a time.
    pub most: u32,
    /// Requests that wait for an instance.
    pub waiting: u32,
}

/// A request on its way to a guest.
struct Job {
    head: request::Parts,
    body: RequestBody,
    scheme: http::uri::Scheme,
    response: oneshot::Sender<GuestResponse>,
    /// Ends the body of the request.
    end: Option<Arc<crate::body::IncomingEnd>>,
    /// What marks the lines that the guest prints.
    tag: Tag,
    /// What the guest may pass the request on to.
    next: Option<Arc<dyn Next>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Every instance is in use, and too many requests wait already or have waited for this long.
    #[error("every instance is in use")]
    Busy(Duration),
    /// The guest failed.
    #[error("the guest failed")]
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
    /// The address of the client has sent too many wrong passwords, and may send one again after this time.
    #[error("too many wrong passwords came from the address of the client")]
    TooManyLogins(Duration),
}

impl App {
    /// A component that was linked, within the limits of its site.
    pub fn new(
        linked: Linked,
        template: Arc<Template>,
        site: &Site,
        shared: Shared,
        about: About,
    ) -> Result<Self> {
        let Shared { slots, instances, generation, metrics, behind, is_first, logins } = shared;
        let mut times = Times {
            head: site.limits.time,
            busy: site.limits.time,
            silence: site.silence,
            queue: slots.max_wait(),
        };
        if let Some(behind) = &behind {
            // It waits for the others, which run as a part of it.
            times.head += behind.times.queue + behind.times.head;
            times.busy += behind.times.busy;
        }
        let own = site.limits.instances;
        let most = own.min(instances);
        let reuse = Reuse { uses: site.reuse, concurrent: site.concurrent, instances: most };
        let counted = metrics.as_ref().filter(|_| behind.is_none());
        let counts = counted.map(|metrics| Arc::clone(&metrics.instances));
        Ok(Self {
            is_first,
            is_apart: !is_first && matches!(linked, Linked::Concurrent(_)),
            executor: Executor::new(linked, template, reuse, &slots, counts.clone())?,
            own_slots: (own < instances).then(|| Slots::new(own, slots.max_wait())),
            places: (site.concurrent > 1)
                .then(|| Slots::new(most.saturating_mul(site.concurrent), slots.max_wait())),
            archives: Archives::of(site, most).filter(|_| behind.is_none()),
            most,
            slots,
            times,
            body: site.body,
            stripped: if is_first { Stripped::of(site) } else { None },
            client_address: site.client_address.clone().filter(|_| is_first),
            logins: logins.filter(|_| is_first),
            label: Label::new(&site.label),
            name: behind.as_ref().map_or_else(Name::default, |_| Name::new(&about.component)),
            behind,
            metrics: metrics.filter(|_| is_first),
            counts,
            about,
            _generation: generation,
        })
    }

    /// What logs call it.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The prefix that its paths lose, if they do.
    pub fn stripped(&self) -> Option<&Stripped> {
        self.stripped.as_ref()
    }

    /// What counts its requests, with `--admin`.
    pub fn metrics(&self) -> Option<&Arc<SiteMetrics>> {
        self.metrics.as_ref()
    }

    /// What there is to tell about its components, the one that clients reach first.
    pub fn chain(&self) -> impl Iterator<Item = &About> {
        successors(Some(self), |app| app.behind.as_deref()).map(|app| &app.about)
    }

    /// The instances of the component that passes nothing on. Only a server that counts knows those that work.
    pub fn load(&self) -> Load {
        if let Some(behind) = &self.behind {
            return behind.load();
        }
        let counts = self.counts.as_ref();
        Load {
            in_use: counts.map_or(0, |counts| counts.in_use.get()),
            idle: self.executor.idle(),
            most: self.most,
            waiting: counts.map_or(0, |counts| counts.waiting.get()),
        }
    }

    /// The right to send an archive, if the request asks for one.
    fn admit_archive<B>(&self, request: &Request<B>) -> Result<Option<archives::Permit>, NoAnswer> {
        let Some(archives) = &self.archives else { return Ok(None) };
        archives.admit(request).map_err(|_| NoAnswer::Busy(self.times.queue))
    }

    /// The right to have an instance, perhaps after a while.
    async fn take_slot(&self) -> Result<slots::Slot, NoAnswer> {
        let counts = self.counts.as_deref();
        let slot = match &self.places {
            Some(places) => places.take(None, counts).await,
            None => self.slots.take(self.own_slots.as_ref(), counts).await,
        };
        slot.ok_or(NoAnswer::Busy(self.times.queue))
    }

    /// Answers a request that came by this connection, or through an app in front of this one. A `recorder` notes who has
    /// logged in, and how long its guest runs.
    pub async fn respond<B>(
        self: Arc<Self>,
        mut request: Box<Request<B>>,
        conn: &ConnInfo,
        subject: Subject,
        mut recorder: Option<&mut Recorder>,
    ) -> Result<Response<Box<GuestBody>>, NoAnswer>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<wasmtime_wasi_http::Error>,
    {
        let is_head = *request.method() == Method::HEAD;
        if let Some(logins) = &self.logins {
            // In memory of its own, which requests to other sites do without.
            let looked = Box::pin(logins.look(request.headers_mut(), conn, self.times.queue)).await;
            looked.map_err(|why| match why {
                NotNow::Busy => NoAnswer::Busy(self.times.queue),
                NotNow::TooManyFailed(wait) => NoAnswer::TooManyLogins(wait),
            })?;
            if let (Some(recorder), Some(name)) = (&mut recorder, login::user(request.headers())) {
                recorder.set_user(name);
            }
        }
        if request.body().size_hint().lower() > self.body.size {
            Limit::Body.hit();
            return Err(NoAnswer::BodyTooLarge);
        }
        let archive = self.admit_archive(&request)?;
        let slot = self.take_slot().await?.with_archive(archive.clone());
        let (mut parts, body) = (*request).into_parts();
        if let Some(stripped) = &self.stripped {
            stripped.strip(&mut parts.uri);
        }
        if let Some(name) = &self.client_address {
            tell_address(&mut parts.headers, name, conn);
        }
        let (body, end) = request_body(body, self.body);
        let end = end.map(Arc::new);
        let (sender, receiver) = oneshot::channel();
        let behind = self.behind.as_ref().map(|app| {
            let host = parts.headers.get(HOST).cloned();
            Arc::new(Behind::new(app, conn, &subject, host))
        });
        // Passed on several times.
        let job = Box::new(Job {
            head: parts,
            body,
            scheme: conn.scheme.clone(),
            response: sender,
            end: end.clone(),
            tag: subject.tag().clone(),
            next: behind.clone().map(|behind| behind as Arc<dyn Next>),
        });
        let app = Arc::clone(&self);
        let guest = async move {
            // An instance with several requests at a time is counted once.
            let counts = app.counts.as_ref().filter(|_| app.places.is_none());
            let _working = counts.map(|counts| counts.in_use.raise());
            app.executor.answer(job).await
        };
        let guest: GuestFuture = Box::pin(guest);
        let (guest, slot) = if self.is_apart { (apart(guest, slot), None) } else { (guest, Some(slot)) };
        let mut running =
            Running::new(guest, self.times, slot, conn.hangup.clone(), recorder.and_then(|it| it.meter()));
        let mut response = match head(&mut running, receiver, is_head).await {
            Ok((response, None)) => response,
            Ok((response, Some(fault))) => {
                fault.tell_after_response(&self.name, &subject);
                response
            }
            Err(Silence::Fault(Fault::ClientLeft)) => return Err(NoAnswer::ClientLeft),
            Err(_) if end.as_ref().is_some_and(|end| end.was_too_slow()) => {
                return Err(NoAnswer::BodyTimeout);
            }
            Err(_) if end.is_some_and(|end| end.was_too_large()) => return Err(NoAnswer::BodyTooLarge),
            Err(silence) => {
                // What is wrong behind it was told there.
                if let (Silence::Error(_), Some(why)) = (&silence, behind.and_then(|behind| behind.failure()))
                {
                    return Err(why);
                }
                error!("{} did not answer {subject}: {silence}", self.name);
                if let Some(failure) = silence.failure() {
                    failure.count(subject.tag().site.as_str());
                }
                return Err(NoAnswer::Failed);
            }
        };
        if let Some(stripped) = &self.stripped {
            stripped.restore(response.headers_mut());
        }
        if let Some(asked) = response.headers().get(SILENCE_TIMEOUT) {
            let seconds = asked.to_str().ok().and_then(|text| text.parse().ok());
            running.allow_silence(seconds.map_or(self.times.silence, Duration::from_secs).min(MAX_SILENCE));
            if self.is_first {
                response.headers_mut().remove(SILENCE_TIMEOUT);
            }
        }
        if has_no_length(response.status()) {
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let gzip = archive.filter(|_| archives::take_gzip(response.headers_mut()));
        let bodiless = is_head || is_bodiless(response.status());
        let length = content_length(response.headers());
        Ok(response.map(|outgoing| {
            let outgoing = match gzip {
                Some(permit) if !bodiless => Outgoing::of(Box::new(Gzip::new(outgoing, permit))),
                _ => outgoing,
            };
            let content = SocketBody::new(outgoing, conn.files.clone(), subject.clone());
            let length = if bodiless { Some(0) } else { length };
            // Moved from one layer to the next several times.
            Box::new(GuestBody::new(content, running, self.name.clone(), subject, length))
        }))
    }
}

/// Sets the field that tells the address of the client. What the client has sent in it is gone.
fn tell_address(headers: &mut HeaderMap, name: &HeaderName, conn: &ConnInfo) {
    match HeaderValue::from_bytes(conn.peer.as_bytes()) {
        Ok(address) => _ = headers.insert(name, address),
        // An address is a valid value.
        Err(_) => _ = headers.remove(name),
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
    Error(String),
}

impl Silence {
    /// The way in which the guest has failed, if that is what has happened.
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Fault(fault) => fault.failure(),
            Self::Nothing => Some(Failure::NoResponse),
            Self::Error(_) => Some(Failure::Reported),
        }
    }
}

/// Runs the guest until it has set its response. A fault beside it came after a response that is complete without a body.
async fn head(
    running: &mut Running,
    receiver: oneshot::Receiver<GuestResponse>,
    is_head: bool,
) -> Result<(Box<Response<Outgoing>>, Option<Fault>), Silence> {
    // Once the guest has ended, the receiver must answer at once, even when this task has used up its budget.
    let mut receiver = pin!(unconstrained(receiver));
    let mut given_up = false;
    poll_fn(|context| {
        let (ended, fault) = match running.poll_guest(context) {
            Poll::Pending => (false, None),
            Poll::Ready(outcome) => (true, outcome.err()),
        };
        // A guest may give up its right to respond and go on; why it did shows when it ends.
        if !given_up && let Poll::Ready(answer) = receiver.as_mut().poll(context) {
            match answer {
                // A failure counts even if there is a response, of which nothing was sent: its body would not be complete.
                Ok(Ok(response)) if fault.is_none() || is_head || is_bodiless(response.status()) => {
                    return Poll::Ready(Ok((response, fault)));
                }
                Ok(Ok(_)) => {}
                Ok(Err(_)) if fault.is_some() => {}
                Ok(Err(code)) => return Poll::Ready(Err(Silence::Error(code))),
                Err(_) => given_up = true,
            }
        }
        if let Some(fault) = fault {
            return Poll::Ready(Err(fault.into()));
        }
        if ended {
            return Poll::Ready(Err(Silence::Nothing));
        }
        running.poll_patience(context).map(|fault| Err(fault.into()))
    })
    .await
}

/// Whether a response of this status has no body, whatever its fields say (RFC 9112 §6.3).
fn is_bodiless(status: StatusCode) -> bool {
    has_no_length(status) || status == StatusCode::NOT_MODIFIED
}

/// Whether a response of this status must not tell a length (RFC 9110 §8.6).
fn has_no_length(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
