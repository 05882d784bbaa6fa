//! `wasi:http/types.outgoing-response`: what a guest answers, with a body that the host can tell files in.

use super::bodies::new_body;
use crate::component::interface::IMPLEMENTED;
use crate::lane::{Outgoing, Writer};
use crate::sandbox::State;
use http::{Response, StatusCode};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::types::HostResponseOutparam;

/// What a guest sets as its response.
pub type GuestResponse = Result<Response<Outgoing>, ErrorCode>;

/// What a guest knows as `outgoing-response`.
struct OutgoingResponse {
    status: StatusCode,
    headers: FieldMap,
    body: Option<Outgoing>,
}

type Own = Resource<OutgoingResponse>;
type Store<'a> = StoreContextMut<'a, State>;

/// Puts these in the place of the runtime's own implementations.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("wasi:http/types@{IMPLEMENTED}"))?;
    types.resource("outgoing-response", ResourceType::host::<OutgoingResponse>(), |mut store, number| {
        store.data_mut().table().delete(Own::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap("[constructor]outgoing-response", new)?;
    types.func_wrap("[method]outgoing-response.status-code", status)?;
    types.func_wrap("[method]outgoing-response.set-status-code", set_status)?;
    types.func_wrap("[method]outgoing-response.headers", headers)?;
    types.func_wrap("[method]outgoing-response.body", body)?;
    types.func_wrap("[static]response-outparam.set", set)
}

fn new(mut store: Store<'_>, (headers,): (Resource<FieldMap>,)) -> wasmtime::Result<(Own,)> {
    let table = store.data_mut().table();
    let mut headers = table.delete(headers)?;
    headers.set_immutable();
    Ok((table.push(OutgoingResponse { status: StatusCode::OK, headers, body: None })?,))
}

fn status(mut store: Store<'_>, (response,): (Own,)) -> wasmtime::Result<(u16,)> {
    Ok((store.data_mut().table().get(&response)?.status.as_u16(),))
}

fn set_status(mut store: Store<'_>, (response, status): (Own, u16)) -> wasmtime::Result<(Result<(), ()>,)> {
    let response = store.data_mut().table().get_mut(&response)?;
    let Ok(status) = StatusCode::from_u16(status) else { return Ok((Err(()),)) };
    response.status = status;
    Ok((Ok(()),))
}

fn headers(mut store: Store<'_>, (response,): (Own,)) -> wasmtime::Result<(Resource<FieldMap>,)> {
    let table = store.data_mut().table();
    let headers = table.get(&response)?.headers.clone();
    Ok((table.push(headers)?,))
}

type BodyResult = (Result<Resource<Writer>, ()>,);

/// Gives the body, which is given once.
fn body(mut store: Store<'_>, (response,): (Own,)) -> wasmtime::Result<BodyResult> {
    let table = store.data_mut().table();
    let response = table.get_mut(&response)?;
    if response.body.is_some() {
        return Ok((Err(()),));
    }
    let Ok((writer, outgoing)) = new_body(&response.headers) else { return Ok((Err(()),)) };
    response.body = Some(outgoing);
    Ok((Ok(table.push(writer)?),))
}

type SetArguments = (Resource<HostResponseOutparam>, Result<Own, ErrorCode>);

fn set(mut store: Store<'_>, (outparam, outcome): SetArguments) -> wasmtime::Result<()> {
    let state = store.data_mut();
    let response = match outcome {
        Ok(response) => {
            let OutgoingResponse { status, headers, body } = state.table().delete(response)?;
            let mut response = Response::new(body.unwrap_or_else(Outgoing::empty));
            *response.status_mut() = status;
            *response.headers_mut() = headers.into();
            Ok(response)
        }
        Err(code) => Err(code),
    };
    let number = outparam.rep();
    state.table().delete(outparam)?;
    state.respond(number, response);
    Ok(())
}
