//! Instances of WASI 0.3, each in an event loop of its own: a new one for each request, or reused as they are left.
//!
//! A request is over when the guest has no task left and the body of its response has ended. What the guest has begun and not
//! ended by then never ends. [`workers`](super::workers) has instances that answer several requests at a time.

use super::blame;
use crate::app::Job;
use crate::app::idle::Idle;
use crate::app::slots::Slots;
use crate::body::{BodyStream, RequestBody, body};
use crate::instance::{GuestResponse, State, Template};
use crate::link::p3::responses::{self, Given};
use crate::report::metrics::{InstanceCounts, Raised};
use crate::wasi::OpenBodies;
use anyhow::Result;
use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, InstancePre, Resource};
use wasmtime::{AsContextMut as _, Store};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error, WasiHttpView as _};

/// Answers requests with instances of a component, each with one at a time.
pub(in crate::app) struct Executor {
    instances: Instances,
    /// How many requests each instance answers.
    uses: u32,
    idle: Idle<Instance>,
}

/// Makes instances of a component.
pub(super) struct Instances {
    component: ServicePre<State>,
    template: Arc<Template>,
    counts: Option<Arc<InstanceCounts>>,
}

/// An instance, between its requests.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) guest: Service,
    uses: u32,
}

/// Whose lines a guest prints while it answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Those of this request.
    OfRequest,
    /// Those of any request of the instance.
    OfInstance,
}

/// Ends the bodies of an instance before the instance is dropped: otherwise, what was written of them would seem to be all.
pub(super) struct EndBodies(OpenBodies);

impl EndBodies {
    /// The bodies of this instance. This has to be dropped before the store is.
    pub(super) fn of(store: &mut Store<State>) -> Self {
        Self(store.data_mut().streams().open_bodies())
    }
}

impl Drop for EndBodies {
    fn drop(&mut self) {
        self.0.end_all();
    }
}

impl Executor {
    pub(super) fn new(instances: Instances, uses: u32, slots: &Arc<Slots>) -> Self {
        Self { instances, uses, idle: Idle::new(slots) }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.count()
    }

    pub(super) async fn answer(&self, job: Box<Job>) -> wasmtime::Result<()> {
        let idle = if self.uses > 1 { self.idle.take() } else { None };
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instances.instantiate().await?,
        };
        {
            let _end = EndBodies::of(&mut instance.store);
            let Instance { store, guest, .. } = &mut instance;
            let outcome =
                store.run_concurrent(async |store| answer(store, guest, job, Output::OfRequest).await).await;
            if let Err(error) = outcome.flatten() {
                return Err(blame(error, store.data_mut()));
            }
        }
        instance.uses += 1;
        if instance.uses < self.uses && instance.store.data_mut().end_request() {
            // Before its slot is free: all instances together are no more than there are slots.
            self.idle.keep(instance);
        }
        Ok(())
    }
}

impl Instances {
    pub(super) fn new(
        component: InstancePre<State>,
        template: Arc<Template>,
        counts: Option<Arc<InstanceCounts>>,
    ) -> Result<Self> {
        Ok(Self { component: ServicePre::new(component)?, template, counts })
    }

    /// Counts an instance as one that works, until what this gives is dropped. Those with one request at a time are counted with
    /// their request.
    pub(super) fn working(&self) -> Option<Raised<'_>> {
        self.counts.as_ref().map(|counts| counts.in_use.raise())
    }

    pub(super) async fn instantiate(&self) -> wasmtime::Result<Instance> {
        if let Some(counts) = &self.counts {
            counts.created.increment();
        }
        let mut store = self.template.store(self.component.engine(), self.template.state(), State::allowance);
        let guest = self.component.instantiate_async(&mut store).await?;
        Ok(Instance { store, guest, uses: 0 })
    }
}

/// Has a guest answer a request, to the end of what it does for it.
pub(super) async fn answer(
    store: &Accessor<State>,
    guest: &Service,
    job: Box<Job>,
    output: Output,
) -> wasmtime::Result<()> {
    let Job { head, body, scheme, response, mut end, tag, next } = *job;
    if next.is_some() {
        // What was passed on may be read after this instance has ended, and what was not ends with it.
        end = None;
    }
    let request = store.with(|mut store| {
        let state = store.get();
        if output == Output::OfRequest {
            state.begin_request(None, None, tag, next);
        }
        begin(state, http::Request::from_parts(head, body), scheme)
    })?;
    match guest.wasi_http_handler().call_handle(store, request).await? {
        Ok(given) => give(store, given, response).await?,
        // A connection that is gone does not want it.
        Err(code) => drop(response.send(Err(code.to_string()))),
    }
    if output == Output::OfRequest {
        poll_fn(|context| store.poll_no_interesting_tasks(context)).await;
    }
    if let Some(end) = end {
        end.end();
    }
    Ok(())
}

/// Gives an instance a request.
fn begin(
    state: &mut State,
    request: http::Request<RequestBody>,
    scheme: Scheme,
) -> wasmtime::Result<Resource<Request>> {
    // The guest does not see the field.
    let authority = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let (mut request, _) = Request::from_http(state.http().hooks, request);
    request.scheme = Some(scheme);
    request.authority = request.authority.or(authority);
    Ok(state.table().push(request)?)
}

/// Gives away a response, and waits for the end of its body.
async fn give(
    store: &Accessor<State>,
    response: Resource<Response>,
    sender: oneshot::Sender<GuestResponse>,
) -> wasmtime::Result<()> {
    let given = store.with(|mut store| responses::take(store.as_context_mut(), response))?;
    match given {
        Given::Own(response) => {
            let end = response.body().end_handle();
            // A connection that is gone does not want it.
            if sender.send(Ok(Box::new(response))).is_ok() {
                end.ended().await;
            }
        }
        Given::Foreign(response) => {
            let (parts, content) = response.into_parts();
            let (mut writer, outgoing) = body(None);
            store.with(|mut store| store.data_mut().streams().begin_body(&writer));
            let Some(stream) = writer.take_stream() else { return Ok(()) };
            if sender.send(Ok(Box::new(http::Response::from_parts(parts, outgoing)))).is_ok()
                && let Some(trailers) = forward(content, &stream).await
            {
                // Its length is the other server's to say.
                let _ = writer.finish(trailers);
            }
        }
    }
    Ok(())
}

/// Writes the body of a response from another server, and gives its trailers; `None` where it is not complete.
async fn forward(
    mut content: UnsyncBoxBody<Bytes, Error>,
    stream: &BodyStream,
) -> Option<Option<http::HeaderMap>> {
    while let Some(frame) = content.frame().await {
        match frame.ok()?.into_data() {
            Ok(mut data) => {
                while !data.is_empty() {
                    stream.ready().await;
                    let piece = data.split_to(stream.room().ok()?.min(data.len()));
                    stream.write(piece).ok()?;
                }
            }
            Err(frame) => return Some(frame.into_trailers().ok()),
        }
    }
    Some(None)
}
