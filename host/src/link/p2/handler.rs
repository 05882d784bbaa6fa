//! Links `wasi:http/incoming-handler` as an import: a component passes a request on to the one behind it, as it is and with the
//! right to respond. It does not see the response.

use super::{Store, interface};
use crate::instance::{Next, State};
use http::Request;
use wasmtime::component::{Linker, Resource};
use wasmtime::error::Context as _;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

type Arguments = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:http/incoming-handler")?
        .func_wrap_async("handle", |store: Store<'_>, arguments: Arguments| {
            Box::new(handle(store, arguments))
        })
}

/// `handle`
async fn handle(mut store: Store<'_>, (request, outparam): Arguments) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let next = state.next().context("nothing stands behind this component")?;
    let original =
        state.take_original(request.rep()).context("the request is not the one that it answers")?;
    // Before the runtime drops it along with the request.
    let body = original.body.take();
    let is_unread = state.table().delete(request)?.body.is_some();
    let number = outparam.rep();
    state.table().delete(outparam)?;
    let body = body.filter(|_| is_unread);
    let body = body.context("a request is passed on before its body is taken, and not after that")?;
    let request = Request::from_parts(original.head, body);
    let response = Next::respond(next, request).await;
    let response = response.map(Box::new).map_err(|error| error.to_string());
    store.data_mut().respond(number, response);
    Ok(())
}
