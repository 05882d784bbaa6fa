//! `wasi:http/types`: fields from a list, responses, and the bodies of messages that guests make.

use crate::body::{BodyOutput, BodyWriter, Outgoing, WrongLength};
use crate::instance::{HOSTCALL_FUEL, State};
use crate::wasi::messages::{MAX_FIELDS_BYTES, field_value, new_body};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use std::borrow::Cow;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HeaderError, RequestOptions};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, FieldMap, FieldMapError, WasiHttpView as _};

/// The most fields that room is made for at once: a list says how many it has before the first is read.
pub const EXPECTED_FIELDS_MAX: usize = 32;

/// What a guest knows as `outgoing-response`.
pub struct OutgoingResponse {
    status: StatusCode,
    headers: FieldMap,
    body: Option<Outgoing>,
}

/// A handle for it.
pub type Response = Resource<OutgoingResponse>;

/// What a guest knows as `outgoing-body`.
pub struct OutgoingBody {
    writer: BodyWriter,
    /// Of which kind of message it is.
    message: Message,
}

/// A handle for it.
pub type Body = Resource<OutgoingBody>;

#[derive(Clone, Copy)]
enum Message {
    Request,
    Response,
}

/// The name of a field, as a guest passes it. It has to be text (component model, canonical ABI, "Loading"), which a valid name
/// always is.
pub trait PassedName {
    /// Its bytes.
    fn bytes(&self) -> &[u8];

    /// An error where it is no text, which is a trap.
    fn ensure_text(&self) -> wasmtime::Result<()>;

    /// The name; `None` where it is not valid; an error where it is no text.
    fn to_valid(&self) -> wasmtime::Result<Option<HeaderName>> {
        let valid = HeaderName::from_bytes(self.bytes()).ok();
        if valid.is_none() {
            self.ensure_text()?;
        }
        Ok(valid)
    }
}

impl PassedName for Cow<'_, str> {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn ensure_text(&self) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// A name that was not validated.
pub struct RawName<'a>(pub &'a [u8]);

impl PassedName for RawName<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn ensure_text(&self) -> wasmtime::Result<()> {
        std::str::from_utf8(self.0)?;
        Ok(())
    }
}

/// What `[static]fields.from-list` is given, as a map; the error that the guest gets where a name or value is invalid. A list
/// says how many fields it has before the first is read.
pub fn collect_fields<N: PassedName, V: AsRef<[u8]>>(
    mut entries: impl ExactSizeIterator<Item = wasmtime::Result<(N, V)>>,
) -> wasmtime::Result<Result<HeaderMap, HeaderError>> {
    let mut fields = HeaderMap::with_capacity(entries.len().min(EXPECTED_FIELDS_MAX));
    let mut size = 0;
    while let Some(entry) = entries.next() {
        let (name, value) = entry?;
        let (passed, value) = (name.bytes(), value.as_ref());
        size += passed.len() + size_of::<HeaderName>() + value.len() + size_of::<HeaderValue>();
        if size > MAX_FIELDS_BYTES {
            return Err(FieldMapError::TotalSizeTooBig.into());
        }
        // An invalid name or value is an error that the guest gets, and no trap.
        let valid = HeaderName::from_bytes(passed).ok();
        let Some((name, value)) = valid.and_then(|name| field_value(&name, value).map(|value| (name, value)))
        else {
            name.ensure_text()?;
            return invalid(entries, size);
        };
        let is_length = name == CONTENT_LENGTH;
        let is_there = fields.try_append(name, value).map_err(FieldMapError::from)?;
        // Of two lengths, a recipient may believe one and the next recipient the other.
        if is_length && is_there {
            return invalid(entries, size);
        }
    }
    Ok(Ok(fields))
}

/// The error for a list with an invalid field. What follows it has to be text in the guest's memory nevertheless: a list is
/// passed as a whole (component model, canonical ABI, "Loading").
fn invalid<N: PassedName, V: AsRef<[u8]>>(
    rest: impl Iterator<Item = wasmtime::Result<(N, V)>>,
    mut size: usize,
) -> wasmtime::Result<Result<HeaderMap, HeaderError>> {
    for entry in rest {
        let (name, value) = entry?;
        // All of them may be the same long text.
        size = size.saturating_add(name.bytes().len() + value.as_ref().len());
        if size > HOSTCALL_FUEL {
            return Err(FieldMapError::TotalSizeTooBig.into());
        }
        name.ensure_text()?;
    }
    Ok(Err(HeaderError::InvalidSyntax))
}

/// `[static]fields.from-list`, after [`collect_fields`].
pub fn new_fields(
    state: &mut State,
    fields: Result<HeaderMap, HeaderError>,
) -> wasmtime::Result<Result<Resource<FieldMap>, HeaderError>> {
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) => return Ok(Err(error)),
    };
    let names = fields.keys_len();
    // This removes the fields that guests may not set.
    let mut fields = FieldMap::new_immutable(state.http().hooks, fields);
    if fields.keys_len() < names {
        return Ok(Err(HeaderError::Forbidden));
    }
    fields.set_mutable(MAX_FIELDS_BYTES);
    Ok(Ok(state.table().push(fields)?))
}

/// Whether there are fields that guests may not set.
pub fn has_forbidden(state: &mut State, fields: &HeaderMap) -> bool {
    let http = state.http();
    fields.keys().any(|name| http.hooks.is_forbidden_header(name))
}

/// `[constructor]outgoing-response`
pub fn new_response(state: &mut State, headers: Resource<FieldMap>) -> wasmtime::Result<Response> {
    let table = state.table();
    let mut headers = table.delete(headers)?;
    headers.set_immutable();
    Ok(table.push(OutgoingResponse { status: StatusCode::OK, headers, body: None })?)
}

/// `[resource-drop]outgoing-response`
pub fn drop_response(state: &mut State, response: Response) -> wasmtime::Result<()> {
    state.table().delete(response)?;
    Ok(())
}

/// `[resource-drop]outgoing-body`
pub fn drop_body(state: &mut State, body: Body) -> wasmtime::Result<()> {
    state.table().delete(body)?;
    Ok(())
}

/// `[method]outgoing-response.status-code`
pub fn status(state: &State, response: &Response) -> wasmtime::Result<u16> {
    Ok(state.resources().get(response)?.status.as_u16())
}

/// `[method]outgoing-response.set-status-code`
pub fn set_status(state: &mut State, response: &Response, status: u16) -> wasmtime::Result<Result<(), ()>> {
    let response = state.table().get_mut(response)?;
    let Ok(status) = StatusCode::from_u16(status) else { return Ok(Err(())) };
    response.status = status;
    Ok(Ok(()))
}

/// `[method]outgoing-response.headers`
pub fn headers(state: &mut State, response: &Response) -> wasmtime::Result<Resource<FieldMap>> {
    let table = state.table();
    let headers = table.get(response)?.headers.clone();
    Ok(table.push(headers)?)
}

type NewBody = wasmtime::Result<Result<Body, ()>>;

/// `[method]outgoing-response.body`: gives a response its body; an error the second time.
pub fn response_body(state: &mut State, response: &Response) -> NewBody {
    let response = state.table().get_mut(response)?;
    if response.body.is_some() {
        return Ok(Err(()));
    }
    let Ok((writer, outgoing)) = new_body(&response.headers) else { return Ok(Err(())) };
    response.body = Some(outgoing);
    begin_body(state, writer, Message::Response)
}

/// `[method]outgoing-request.body`: gives a request its body; an error the second time.
pub fn request_body(state: &mut State, request: &Resource<HostOutgoingRequest>) -> NewBody {
    let HostOutgoingRequest { headers, body, .. } = state.table().get_mut(request)?;
    if body.is_some() {
        return Ok(Err(()));
    }
    let Ok((writer, outgoing)) = new_body(headers) else { return Ok(Err(())) };
    let outgoing = outgoing.map_err(|error| Error::InternalError(Some(error.to_string())));
    *body = Some(outgoing.boxed_unsync());
    begin_body(state, writer, Message::Request)
}

fn begin_body(state: &mut State, writer: BodyWriter, message: Message) -> NewBody {
    state.streams().begin_body(&writer);
    Ok(Ok(state.table().push(OutgoingBody { writer, message })?))
}

/// `[static]response-outparam.set`
pub fn set_response(
    state: &mut State,
    outparam: Resource<HostResponseOutparam>,
    outcome: Result<Response, ErrorCode>,
) -> wasmtime::Result<()> {
    let number = outparam.rep();
    state.table().delete(outparam)?;
    let response = match outcome {
        Ok(response) => {
            let OutgoingResponse { status, headers, body } = state.table().delete(response)?;
            let mut response = http::Response::new(body.unwrap_or_else(Outgoing::empty));
            *response.status_mut() = status;
            *response.headers_mut() = headers.into();
            Ok(Box::new(response))
        }
        Err(code) => Err(code.to_string()),
    };
    state.respond(number, response);
    Ok(())
}

/// `[method]outgoing-body.write`: gives the stream of a body; an error the second time.
pub fn write(state: &mut State, body: &Body) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
    let Some(stream) = state.table().get_mut(body)?.writer.take_stream() else { return Ok(Err(())) };
    let stream = Arc::new(stream);
    let output: DynOutputStream = Box::new(BodyOutput(Arc::clone(&stream)));
    let output = state.table().push_child(output, body)?;
    state.streams().add_body(output.rep(), &stream);
    Ok(Ok(output))
}

/// `wasi:http/outgoing-handler.handle`. The runtime's own leaves the options in the table, where a guest that has given them
/// away would still have them, and takes what is there of another type for no options.
pub fn send(
    state: &mut State,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Result<Resource<HostFutureIncomingResponse>, ErrorCode>> {
    let lent = options.as_ref().map(|options| Resource::new_own(options.rep()));
    if let Some(options) = &options {
        state.table().get(options)?;
    }
    let response = outgoing_handler::Host::handle(&mut state.http(), request, lent);
    if let Some(options) = options {
        state.table().delete(options)?;
    }
    Ok(match response {
        Ok(response) => Ok(response),
        Err(error) => Err(error.downcast()?),
    })
}

/// `[static]outgoing-body.finish`
pub fn finish(
    state: &mut State,
    body: Body,
    trailers: Option<Resource<FieldMap>>,
) -> wasmtime::Result<Result<(), ErrorCode>> {
    let table = state.table();
    let OutgoingBody { writer, message } = table.delete(body)?;
    let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?.map(HeaderMap::from);
    Ok(writer.finish(trailers).map_err(|WrongLength(written)| match message {
        Message::Request => ErrorCode::HttpRequestBodySize(Some(written)),
        Message::Response => ErrorCode::HttpResponseBodySize(Some(written)),
    }))
}

/// `[method]fields.has`, as the runtime's own, without a copy of the name.
pub fn has_field(
    state: &State,
    fields: &Resource<FieldMap>,
    name: &impl PassedName,
) -> wasmtime::Result<bool> {
    let name = name.to_valid()?;
    let fields = state.resources().get(fields)?;
    Ok(name.is_some_and(|name| fields.contains_key(&name)))
}

/// `[method]fields.get`, as the runtime's own, without a copy of the name.
pub fn field_values(
    state: &State,
    fields: &Resource<FieldMap>,
    name: &impl PassedName,
) -> wasmtime::Result<Vec<Vec<u8>>> {
    let name = name.to_valid()?;
    let fields = state.resources().get(fields)?;
    let Some(name) = name else { return Ok(Vec::new()) };
    Ok(fields.get_all(&name).iter().map(|value| value.as_bytes().to_owned()).collect())
}
