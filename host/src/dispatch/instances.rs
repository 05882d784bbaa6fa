//! Instances of the guest: a fresh one for each request, or one that has answered others before, where the operator
//! prefers speed to that.

use super::idle::Idle;
use crate::link::GuestResponse;
use crate::sandbox::{Sandbox, State};
use http::Request;
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

/// Where instances come from.
pub(super) struct Instances {
    component: ProxyPre<State>,
    sandbox: Arc<Sandbox>,
    /// How many requests one of them answers.
    uses: u32,
    idle: Idle<Instance>,
}

/// An instance, between its requests.
struct Instance {
    store: Store<State>,
    guest: Proxy,
    uses: u32,
}

impl Instances {
    pub(super) fn new(component: ProxyPre<State>, sandbox: Arc<Sandbox>, uses: u32) -> Self {
        Self { component, sandbox, uses, idle: Idle::new() }
    }

    /// Has an instance answer a request. It is kept for another one only if it has done so to its end, and within its
    /// limits; whatever else happens ends it.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        response: oneshot::Sender<GuestResponse>,
    ) -> wasmtime::Result<()> {
        let mut instance = match self.idle.take() {
            Some(instance) => instance,
            None => self.fresh().await?,
        };
        let state = instance.store.data_mut();
        let mut http = state.http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        // The response itself comes by way of the state.
        let outparam = http.new_response_outparam_from_callback(|_| ())?;
        state.begin_request(outparam.rep(), response);
        let handler = instance.guest.wasi_http_incoming_handler();
        handler.call_handle(&mut instance.store, request, outparam).await?;
        instance.uses += 1;
        if instance.uses < self.uses && instance.store.data_mut().end_request() {
            // Before its slot is free: all instances together are no more than there are slots.
            self.idle.keep(instance);
        }
        Ok(())
    }

    async fn fresh(&self) -> wasmtime::Result<Instance> {
        let mut store = self.sandbox.store(self.component.engine());
        let guest = self.component.instantiate_async(&mut store).await?;
        Ok(Instance { store, guest, uses: 0 })
    }
}
