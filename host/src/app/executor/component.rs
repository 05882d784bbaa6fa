//! Instances of the component runtime: a new one for each request, or reused as they are left.

use super::{begin, blame};
use crate::app::Job;
use crate::app::idle::Idle;
use crate::app::slots::Slots;
use crate::instance::{State, Template};
use crate::report::metrics::InstanceCounts;
use anyhow::Result;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::InstancePre;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

/// Answers requests with instances of a component.
pub(in crate::app) struct Executor {
    component: ProxyPre<State>,
    template: Arc<Template>,
    /// How many requests each instance answers.
    uses: u32,
    idle: Idle<Instance>,
    counts: Option<Arc<InstanceCounts>>,
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
        template: Arc<Template>,
        uses: u32,
        slots: &Arc<Slots>,
        counts: Option<Arc<InstanceCounts>>,
    ) -> Result<Self> {
        Ok(Self { component: ProxyPre::new(component)?, template, uses, idle: Idle::new(slots), counts })
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.count()
    }

    pub(super) async fn answer(&self, job: Box<Job>) -> wasmtime::Result<()> {
        let idle = if self.uses > 1 { self.idle.take() } else { None };
        let mut instance = match idle {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        let (request, outparam) = begin(instance.store.data_mut(), *job)?;
        let handler = instance.guest.wasi_http_incoming_handler();
        if let Err(error) = handler.call_handle(&mut instance.store, request, outparam).await {
            return Err(blame(error, instance.store.data_mut()));
        }
        instance.uses += 1;
        if instance.uses < self.uses && instance.store.data_mut().end_request() {
            // Before its slot is free: all instances together are no more than there are slots.
            self.idle.keep(instance);
        }
        Ok(())
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        if let Some(counts) = &self.counts {
            counts.created.increment();
        }
        let mut store = self.template.store(self.component.engine(), self.template.state(), State::allowance);
        let guest = self.component.instantiate_async(&mut store).await?;
        Ok(Instance { store, guest, uses: 0 })
    }
}
