//! `wasi:http/types`: fields from a list, responses, and the bodies of messages that guests make.

use super::interface;
use crate::body::{BodyOutput, BodyWriter, Outgoing, WrongLength};
use crate::instance::State;
use crate::wasi::messages::{MAX_FIELDS_BYTES, field_value, new_body};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType, WasmList, WasmStr};
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HeaderError};
use wasmtime_wasi_http::p2::types::{HostOutgoingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, FieldMap, FieldMapError, WasiHttpView as _};

/// The most fields that room is made for at once: a list says how many it has before the first is read.
const EXPECTED_FIELDS_MAX: usize = 32;

type Store<'a> = StoreContextMut<'a, State>;

/// What a guest knows as `outgoing-response`.
struct OutgoingResponse {
    status: StatusCode,
    headers: FieldMap,
    body: Option<Outgoing>,
}

type OwnResponse = Resource<OutgoingResponse>;

/// What a guest knows as `outgoing-body`.
struct OutgoingBody {
    writer: BodyWriter,
    /// Of which kind of message it is.
    message: Message,
}

type OwnBody = Resource<OutgoingBody>;

#[derive(Clone, Copy)]
enum Message {
    Request,
    Response,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:http/types")?;
    types.func_wrap("[static]fields.from-list", fields_from_list)?;

    types.resource("outgoing-response", ResourceType::host::<OutgoingResponse>(), |mut store, number| {
        store.data_mut().table().delete(OwnResponse::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap("[constructor]outgoing-response", new_response)?;
    types.func_wrap("[method]outgoing-response.status-code", status)?;
    types.func_wrap("[method]outgoing-response.set-status-code", set_status)?;
    types.func_wrap("[method]outgoing-response.headers", headers)?;
    types.func_wrap("[method]outgoing-response.body", response_body)?;
    types.func_wrap("[static]response-outparam.set", set_response)?;

    types.resource("outgoing-body", ResourceType::host::<OutgoingBody>(), |mut store, number| {
        store.data_mut().table().delete(OwnBody::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap("[method]outgoing-request.body", request_body)?;
    types.func_wrap("[method]outgoing-body.write", write)?;
    types.func_wrap("[static]outgoing-body.finish", finish)
}

type Entries = WasmList<(WasmStr, WasmList<u8>)>;
type Fields = Result<Resource<FieldMap>, HeaderError>;

/// Makes fields of a list, which is read where the guest has it instead of being copied name by name first.
fn fields_from_list(mut store: Store<'_>, (entries,): (Entries,)) -> wasmtime::Result<(Fields,)> {
    let entries = entries.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut fields = HeaderMap::with_capacity(entries.len().min(EXPECTED_FIELDS_MAX));
    let mut size = 0;
    for (name, value) in entries {
        let name = name.to_str(&store)?;
        let value = value.as_le_slice(&store);
        size += name.len() + size_of::<HeaderName>() + value.len() + size_of::<HeaderValue>();
        if size > MAX_FIELDS_BYTES {
            return Err(FieldMapError::TotalSizeTooBig.into());
        }
        // An invalid name or value is an error that the guest gets, and no trap.
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let Some((name, value)) = name.and_then(|name| field_value(&name, value).map(|value| (name, value)))
        else {
            return Ok((Err(HeaderError::InvalidSyntax),));
        };
        let is_length = name == CONTENT_LENGTH;
        let is_there = fields.try_append(name, value).map_err(FieldMapError::from)?;
        // Of two lengths, a recipient may believe one and the next recipient the other.
        if is_length && is_there {
            return Ok((Err(HeaderError::InvalidSyntax),));
        }
    }
    let names = fields.keys_len();
    let state = store.data_mut();
    // This removes the fields that guests may not set.
    let mut fields = FieldMap::new_immutable(state.http().hooks, fields);
    if fields.keys_len() < names {
        return Ok((Err(HeaderError::Forbidden),));
    }
    fields.set_mutable(MAX_FIELDS_BYTES);
    Ok((Ok(state.table().push(fields)?),))
}

fn new_response(mut store: Store<'_>, (headers,): (Resource<FieldMap>,)) -> wasmtime::Result<(OwnResponse,)> {
    let table = store.data_mut().table();
    let mut headers = table.delete(headers)?;
    headers.set_immutable();
    Ok((table.push(OutgoingResponse { status: StatusCode::OK, headers, body: None })?,))
}

fn status(mut store: Store<'_>, (response,): (OwnResponse,)) -> wasmtime::Result<(u16,)> {
    Ok((store.data_mut().table().get(&response)?.status.as_u16(),))
}

fn set_status(
    mut store: Store<'_>,
    (response, status): (OwnResponse, u16),
) -> wasmtime::Result<(Result<(), ()>,)> {
    let response = store.data_mut().table().get_mut(&response)?;
    let Ok(status) = StatusCode::from_u16(status) else { return Ok((Err(()),)) };
    response.status = status;
    Ok((Ok(()),))
}

fn headers(mut store: Store<'_>, (response,): (OwnResponse,)) -> wasmtime::Result<(Resource<FieldMap>,)> {
    let table = store.data_mut().table();
    let headers = table.get(&response)?.headers.clone();
    Ok((table.push(headers)?,))
}

type Body = wasmtime::Result<(Result<OwnBody, ()>,)>;

/// Gives a response its body; an error the second time.
fn response_body(mut store: Store<'_>, (response,): (OwnResponse,)) -> Body {
    let state = store.data_mut();
    let response = state.table().get_mut(&response)?;
    if response.body.is_some() {
        return Ok((Err(()),));
    }
    let Ok((writer, outgoing)) = new_body(&response.headers) else { return Ok((Err(()),)) };
    response.body = Some(outgoing);
    begin_body(state, writer, Message::Response)
}

/// Gives a request its body; an error the second time.
fn request_body(mut store: Store<'_>, (request,): (Resource<HostOutgoingRequest>,)) -> Body {
    let state = store.data_mut();
    let HostOutgoingRequest { headers, body, .. } = state.table().get_mut(&request)?;
    if body.is_some() {
        return Ok((Err(()),));
    }
    let Ok((writer, outgoing)) = new_body(headers) else { return Ok((Err(()),)) };
    let outgoing = outgoing.map_err(|error| Error::InternalError(Some(error.to_string())));
    *body = Some(outgoing.boxed_unsync());
    begin_body(state, writer, Message::Request)
}

fn begin_body(state: &mut State, writer: BodyWriter, message: Message) -> Body {
    state.streams().begin_body(&writer);
    Ok((Ok(state.table().push(OutgoingBody { writer, message })?),))
}

type Set = (Resource<HostResponseOutparam>, Result<OwnResponse, ErrorCode>);

fn set_response(mut store: Store<'_>, (outparam, outcome): Set) -> wasmtime::Result<()> {
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

/// Gives the stream of a body; an error the second time.
fn write(
    mut store: Store<'_>,
    (body,): (OwnBody,),
) -> wasmtime::Result<(Result<Resource<DynOutputStream>, ()>,)> {
    let state = store.data_mut();
    let Some(stream) = state.table().get_mut(&body)?.writer.take_stream() else { return Ok((Err(()),)) };
    let stream = Arc::new(stream);
    let output: DynOutputStream = Box::new(BodyOutput(Arc::clone(&stream)));
    let output = state.table().push_child(output, &body)?;
    state.streams().add_body(output.rep(), &stream);
    Ok((Ok(output),))
}

type Finish = (OwnBody, Option<Resource<FieldMap>>);

fn finish(mut store: Store<'_>, (body, trailers): Finish) -> wasmtime::Result<(Result<(), ErrorCode>,)> {
    let table = store.data_mut().table();
    let OutgoingBody { writer, message } = table.delete(body)?;
    let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?.map(HeaderMap::from);
    Ok((writer.finish(trailers).map_err(|WrongLength(written)| match message {
        Message::Request => ErrorCode::HttpRequestBodySize(Some(written)),
        Message::Response => ErrorCode::HttpResponseBodySize(Some(written)),
    }),))
}
