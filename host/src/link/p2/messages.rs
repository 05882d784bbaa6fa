//! Links `wasi:http/types`: fields by name and from a list, responses, and the bodies of messages that guests make.

use super::{Store, interface};
use crate::instance::State;
use crate::link::calls::messages::{self as calls, Body, OutgoingBody, OutgoingResponse, Response};
use wasmtime::component::{Linker, Resource, ResourceType, WasmList, WasmStr};
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HeaderError, RequestOptions};
use wasmtime_wasi_http::p2::types::{HostOutgoingRequest, HostResponseOutparam};

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:http/types")?;
    types.func_wrap("[static]fields.from-list", fields_from_list)?;
    types.func_wrap(
        "[method]fields.get",
        |store: Store<'_>, (fields, name): (Resource<FieldMap>, WasmStr)| {
            let name = name.to_str(&store)?;
            Ok((calls::field_values(store.data(), &fields, &name)?,))
        },
    )?;

    types.resource("outgoing-response", ResourceType::host::<OutgoingResponse>(), |mut store, number| {
        calls::drop_response(store.data_mut(), Response::new_own(number))
    })?;
    types.func_wrap(
        "[constructor]outgoing-response",
        |mut store: Store<'_>, (headers,): (Resource<FieldMap>,)| {
            Ok((calls::new_response(store.data_mut(), headers)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.status-code",
        |store: Store<'_>, (response,): (Response,)| Ok((calls::status(store.data(), &response)?,)),
    )?;
    types.func_wrap(
        "[method]outgoing-response.set-status-code",
        |mut store: Store<'_>, (response, status): (Response, u16)| {
            Ok((calls::set_status(store.data_mut(), &response, status)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.headers",
        |mut store: Store<'_>, (response,): (Response,)| Ok((calls::headers(store.data_mut(), &response)?,)),
    )?;
    types.func_wrap("[method]outgoing-response.body", |mut store: Store<'_>, (response,): (Response,)| {
        Ok((calls::response_body(store.data_mut(), &response)?,))
    })?;
    types.func_wrap(
        "[static]response-outparam.set",
        |mut store: Store<'_>,
         (outparam, outcome): (Resource<HostResponseOutparam>, Result<Response, ErrorCode>)| {
            calls::set_response(store.data_mut(), outparam, outcome)
        },
    )?;

    types.resource("outgoing-body", ResourceType::host::<OutgoingBody>(), |mut store, number| {
        calls::drop_body(store.data_mut(), Body::new_own(number))
    })?;
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut store: Store<'_>, (request,): (Resource<HostOutgoingRequest>,)| {
            Ok((calls::request_body(store.data_mut(), &request)?,))
        },
    )?;
    types.func_wrap("[method]outgoing-body.write", |mut store: Store<'_>, (body,): (Body,)| {
        Ok((calls::write(store.data_mut(), &body)?,))
    })?;
    types.func_wrap(
        "[static]outgoing-body.finish",
        |mut store: Store<'_>, (body, trailers): (Body, Option<Resource<FieldMap>>)| {
            Ok((calls::finish(store.data_mut(), body, trailers)?,))
        },
    )?;
    interface(linker, "wasi:http/outgoing-handler")?.func_wrap(
        "handle",
        |mut store: Store<'_>,
         (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>)| {
            Ok((calls::send(store.data_mut(), request, options)?,))
        },
    )
}

type Entries = WasmList<(WasmStr, WasmList<u8>)>;
type Fields = (Result<Resource<FieldMap>, HeaderError>,);

/// Makes fields of a list, which is read where the guest has it instead of being copied name by name first.
fn fields_from_list(mut store: Store<'_>, (entries,): (Entries,)) -> wasmtime::Result<Fields> {
    let passed = entries.iter(&mut store)?;
    let mut entries = Vec::with_capacity(passed.len().min(calls::EXPECTED_FIELDS_MAX));
    for entry in passed {
        entries.push(entry?);
    }
    let entries = entries.iter().map(|(name, value)| Ok((name.to_str(&store)?, value.as_le_slice(&store))));
    let fields = calls::collect_fields(entries)?;
    Ok((calls::new_fields(store.data_mut(), fields)?,))
}
