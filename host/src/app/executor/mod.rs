//! How instances come to answer requests: by the [component] runtime, [directly](direct), or, in WASI 0.3, in the event loop of
//! the [concurrent] runtime.

mod component;
mod concurrent;
mod direct;
mod workers;

use super::Job;
use super::slots::Slots;
use crate::instance::next::Original;
use crate::instance::{State, Template};
use crate::link::Linked;
use crate::report::metrics::InstanceCounts;
use crate::wasi::Lent;
use anyhow::Result;
use http::Request;
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme as GuestScheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use workers::Workers;

/// How instances are used for more than one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reuse {
    /// Requests that an instance answers in all.
    pub uses: u32,
    /// Requests that it answers at a time, if it is one of WASI 0.3.
    pub concurrent: u32,
    /// How many instances there may be.
    pub instances: u32,
}

/// Answers requests with instances of a component.
pub(super) enum Executor {
    Component(component::Executor),
    Concurrent(concurrent::Executor),
    Workers(Arc<Workers>),
    Direct(Box<direct::Executor>),
}

impl Executor {
    /// An executor whose instances are reused like this, without being renewed in between.
    pub(super) fn new(
        linked: Linked,
        template: Arc<Template>,
        reuse: Reuse,
        slots: &Arc<Slots>,
        counts: Option<Arc<InstanceCounts>>,
    ) -> Result<Self> {
        let Reuse { uses, concurrent, .. } = reuse;
        Ok(match linked {
            Linked::Component(component) => {
                Self::Component(component::Executor::new(component, template, uses, slots, counts)?)
            }
            Linked::Concurrent(component) => {
                let made = concurrent::Instances::new(component, template, counts)?;
                if concurrent > 1 {
                    Self::Workers(Arc::new(Workers::new(made, reuse, slots)))
                } else {
                    Self::Concurrent(concurrent::Executor::new(made, uses, slots))
                }
            }
            Linked::Direct(module) => {
                Self::Direct(Box::new(direct::Executor::new(*module, uses, slots, counts)))
            }
        })
    }

    /// How many instances wait for a request.
    pub(super) fn idle(&self) -> usize {
        match self {
            Self::Component(executor) => executor.idle(),
            Self::Concurrent(executor) => executor.idle(),
            Self::Workers(workers) => workers.idle(),
            Self::Direct(executor) => executor.idle(),
        }
    }

    /// Has an instance answer a request. It is kept for another one only if it has done so to its end and within its
    /// limits.
    pub(super) async fn answer(&self, job: Box<Job>) -> wasmtime::Result<()> {
        match self {
            Self::Direct(executor) => executor.answer(job).await,
            // In memory of its own, which the one above does without: what waits is much larger.
            Self::Component(executor) => Box::pin(executor.answer(job)).await,
            Self::Concurrent(executor) => Box::pin(executor.answer(job)).await,
            Self::Workers(workers) => Box::pin(workers.answer(job)).await,
        }
    }
}

/// An instance was denied memory or elements of a table before it failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it was denied memory or elements of a table; --max-memory and --max-table allow more")]
pub(super) struct Denied;

/// Adds to the failure of an instance that it was denied something before.
fn blame(error: wasmtime::Error, state: &mut State) -> wasmtime::Error {
    if state.allowance().was_exceeded() { error.context(Denied) } else { error }
}

/// Gives an instance a request, and the means to respond.
fn begin(
    state: &mut State,
    job: Job,
) -> wasmtime::Result<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>)> {
    let Job { head, body, scheme, response, end, tag, next } = job;
    state.begin_sidecars(&head.headers);
    let mut original = None;
    let request = if next.is_some() {
        let body = Lent::new(body);
        original = Some((head.clone(), body.handle()));
        Request::from_parts(head, body.boxed_unsync())
    } else {
        Request::from_parts(head, body)
    };
    let mut http = state.http();
    let scheme = if scheme == Scheme::HTTPS { GuestScheme::Https } else { GuestScheme::Http };
    let request = http.new_incoming_request(scheme, request)?;
    // The response itself comes by way of the state.
    let outparam = http.new_response_outparam_from_callback(|_| ())?;
    state.begin_request(Some((outparam.rep(), response)), end, tag, next);
    if let Some((head, body)) = original {
        state.keep_original(Original { number: request.rep(), head, body });
    }
    Ok((request, outparam))
}
