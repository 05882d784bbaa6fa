//! How instances come to answer requests.

use super::Job;
use super::idle::Idle;
use super::slots::Slots;
use crate::instance::{State, Template};
use anyhow::Result;
use http::uri::Scheme;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme as GuestScheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

/// Answers requests with instances of a component of `wasi:http` 0.2.
pub(super) struct Executor {
    component: ProxyPre<State>,
    template: Arc<Template>,
    kind: Kind,
}

enum Kind {
    /// A new instance for each request.
    Fresh,
    /// An instance for so many requests, one after another.
    Reused { uses: u32, idle: Idle<Instance> },
}

/// An instance, between its requests.
struct Instance {
    store: Store<State>,
    guest: Proxy,
    uses: u32,
}

impl Executor {
    pub(super) fn new(
        component: InstancePre<State>,
        template: Template,
        uses: u32,
        slots: &Arc<Slots>,
    ) -> Result<Self> {
        let kind = if uses == 1 { Kind::Fresh } else { Kind::Reused { uses, idle: Idle::new(slots) } };
        Ok(Self { component: ProxyPre::new(component)?, template: Arc::new(template), kind })
    }

    /// Whether calls about files may hang.
    pub(super) fn may_hang(&self) -> bool {
        self.template.sandbox().may_hang()
    }

    /// Has an instance answer a request. It is kept for another one only if it has done so to its end and within its
    /// limits.
    pub(super) async fn answer(self: Arc<Self>, job: Job) -> wasmtime::Result<()> {
        let idle = match &self.kind {
            Kind::Fresh => None,
            Kind::Reused { idle, .. } => idle.take(),
        };
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let Job { request, scheme, response, end } = job;
        let state = instance.store.data_mut();
        let mut http = state.http();
        let scheme = if scheme == Scheme::HTTPS { GuestScheme::Https } else { GuestScheme::Http };
        let request = http.new_incoming_request(scheme, request)?;
        // The response itself comes by way of the state.
        let outparam = http.new_response_outparam_from_callback(|_| ())?;
        state.begin_request(outparam.rep(), response, end);
        let handler = instance.guest.wasi_http_incoming_handler();
        handler.call_handle(&mut instance.store, request, outparam).await?;
        instance.uses += 1;
        if let Kind::Reused { uses, idle } = &self.kind
            && instance.store.data_mut().end_request()
            && instance.uses < *uses
        {
            // Before its slot is free: all instances together are no more than there are slots.
            idle.keep(instance);
        }
        Ok(())
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        let mut store = self.template.store(self.component.engine());
        let guest = self.component.instantiate_async(&mut store).await?;
        Ok(Instance { store, guest, uses: 0 })
    }
}
