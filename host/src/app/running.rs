//! A running guest, and how long it may take.
//!
//! The guest runs inside the task of its connection: until it has set its response, and then whenever the connection
//! asks for more of the body. So a slow client slows its own guest only, and no byte changes threads on its way.
//!
//! The connection does not read while a guest runs, so a client that leaves would go unnoticed for as long as the guest
//! waits. Whenever the guest waits, so does a [vigil](Running::poll_patience) for the client and for the time.

use super::Times;
use super::apart::apart;
use super::executor::Denied;
use super::slots::Slot;
use crate::net::Hangup;
use crate::net::hangup::Left;
use crate::report::metrics::Failure;
use crate::report::{Meter, Subject};
use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use thiserror::Error;
use tracing::error;

/// How long a guest may stay silent towards a client that has finished sending. Most such clients have closed their
/// socket, and only writing to it would show. It is shorter than requests wait for an instance, so that they get this
/// one.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(3);

/// What one instance does for one request. Unless it may answer another one, its store ends with it.
pub(super) type GuestFuture = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send>>;

/// Why a guest did not finish.
#[derive(Debug, Error)]
pub(super) enum Fault {
    /// It trapped, or could not be instantiated.
    #[error("{}", crate::component::trap::explain(.0))]
    Failed(wasmtime::Error),
    /// It computed for too long.
    #[error("it computed for {} s without giving anything away; --timeout allows more", .0.as_secs())]
    Busy(Duration),
    /// It waited for too long before it set its response.
    #[error("it set no response within {} s; --timeout allows more", .0.as_secs())]
    Late(Duration),
    /// It waited for too long between two pieces of its body.
    #[error(
        "it was silent for {} s; --silence-timeout, or the field Silence-Timeout of its response, allows more",
        .0.as_secs()
    )]
    Silent(Duration),
    /// The client has left.
    #[error("the client has left")]
    ClientLeft,
}

impl Fault {
    /// The way in which the guest has failed, if that is what has happened.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Failed(error) if error.is::<Denied>() => Some(Failure::Memory),
            Self::Failed(_) => Some(Failure::Trap),
            Self::Busy(_) | Self::Late(_) | Self::Silent(_) => Some(Failure::Time),
            Self::ClientLeft => None,
        }
    }

    /// Reports a fault that does not change the response.
    pub(super) fn tell_after_response(&self, name: &Name, subject: &Subject) {
        error!("{name} failed after its response to {subject}: {self}");
        if let Some(failure) = self.failure() {
            failure.count(subject.tag().site.as_str());
        }
    }
}

/// What diagnostics call a component: the guest, unless it passes requests on.
#[derive(Clone, Debug, Default)]
pub(super) struct Name(Option<Arc<str>>);

impl Name {
    pub(super) fn new(name: &str) -> Self {
        Self(Some(name.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("the guest"))
    }
}

/// What a guest has still to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
}

/// A guest at work.
pub(super) struct Running {
    /// `None` once it has ended.
    guest: Option<GuestFuture>,
    times: Times,
    stage: Stage,
    /// Time spent in the guest since it last gave something away.
    busy: Duration,
    /// Adds all of that up, if that is needed.
    meter: Option<Meter>,
    hangup: Option<Hangup>,
    /// Waits with the guest since it last gave something away.
    vigil: Option<Pin<Box<dyn Future<Output = Fault> + Send>>>,
    /// Freed when the guest is gone: it has to come after it. A guest in a task of its own has it.
    slot: Option<Slot>,
}

impl Running {
    /// A guest that is about to start.
    pub(super) fn new(
        guest: GuestFuture,
        times: Times,
        slot: Option<Slot>,
        hangup: Option<Hangup>,
        meter: Option<Meter>,
    ) -> Self {
        Self {
            guest: Some(guest),
            times,
            stage: Stage::Head,
            busy: Duration::ZERO,
            meter,
            hangup,
            vigil: None,
            slot,
        }
    }

    /// Runs the guest until it waits, ends, or has computed for too long. The engine's ticks make sure that this returns.
    pub(super) fn poll_guest(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(guest) = &mut self.guest else { return Poll::Ready(Ok(())) };
        let outcome = if self.busy > self.times.busy {
            Poll::Ready(Err(Fault::Busy(self.times.busy)))
        } else {
            let start = Instant::now();
            let outcome = guest.as_mut().poll(context);
            if outcome.is_pending() || self.meter.is_some() {
                let ran = start.elapsed();
                self.busy += ran;
                if let Some(meter) = &self.meter {
                    meter.add(ran);
                }
            }
            outcome.map_err(Fault::Failed)
        };
        if outcome.is_ready() {
            self.end();
        }
        outcome
    }

    /// Waits with a guest that waits: until the client has left, or the guest has taken too long.
    pub(super) fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        if self.guest.is_none() {
            return Poll::Pending;
        }
        let (limit, fault): (_, fn(Duration) -> Fault) = match self.stage {
            Stage::Head => (self.times.head, Fault::Late),
            Stage::Body => (self.times.silence, Fault::Silent),
        };
        let hangup = &self.hangup;
        let vigil = self.vigil.get_or_insert_with(|| {
            let left = left(hangup.clone());
            Box::pin(async move {
                tokio::select! {
                    () = tokio::time::sleep(limit) => fault(limit),
                    () = left => Fault::ClientLeft,
                }
            })
        });
        let outcome = vigil.as_mut().poll(context);
        if outcome.is_ready() {
            self.end();
        }
        outcome
    }

    /// The guest has set its response, which allows this much silence between two pieces of the body.
    pub(super) fn allow_silence(&mut self, silence: Duration) {
        self.times.silence = silence;
    }

    /// The guest has given something away: its time begins anew.
    pub(super) fn progress(&mut self) {
        self.stage = Stage::Body;
        self.busy = Duration::ZERO;
        self.vigil = None;
    }

    /// Has a guest that has not ended go on in a task of its own, where this does not need to be polled.
    pub(super) fn set_apart(&mut self) {
        if let Some(slot) = self.slot.take_if(|_| self.guest.is_some()) {
            self.guest = self.guest.take().map(|guest| apart(guest, slot));
        }
    }

    /// Whether the guest runs on, so that why it left something unfinished may show later.
    pub(super) fn is_apart(&self) -> bool {
        self.guest.is_some() && self.slot.is_none()
    }

    /// Whether the guest has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.guest.is_none()
    }

    /// Ends the guest, and then frees its slot.
    pub(super) fn end(&mut self) {
        self.guest = None;
        self.slot = None;
        self.vigil = None;
    }

    /// Lets the guest go on after its response is complete: it may still have something to note down. No
    /// request waits for it, so its time is that on the clock.
    pub(super) fn finish_alone(mut self, name: Name, subject: Subject) {
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let limit = self.times.busy;
            match tokio::time::timeout(limit, poll_fn(|context| self.poll_guest(context))).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => fault.tell_after_response(&name, &subject),
                Err(_) => {
                    Failure::Time.count(subject.tag().site.as_str());
                    error!("{name} was stopped {} s after its response to {subject}", limit.as_secs());
                }
            }
        });
    }
}

/// Waits until a client has left.
async fn left(hangup: Option<Hangup>) {
    let Some(hangup) = hangup else { return pending().await };
    if hangup.left().await == Left::Finished {
        // It may have closed its socket, or wait for its answer.
        let _ = tokio::time::timeout(HALF_CLOSED_TIMEOUT, hangup.reset()).await;
    }
}
