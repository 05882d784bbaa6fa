//! `wasi:http/types`, as far as it is about answering requests: fields, requests, responses and the bodies of both.

use super::core::{Call, CallExt as _};
use super::error_code::Flat;
use super::memory::{
    R, borrow, bytes, handle, invalid_discriminant, is_some, list, own, owned_bytes, owned_lists, owned_text,
    word,
};
use super::streams::subscribe;
use super::values::Bytes;
use super::{Functions, Interface};
use crate::link::calls::messages as calls;
use http::HeaderMap;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::types::{
    HeaderError, HostFields, HostFutureTrailers, HostIncomingBody, HostIncomingRequest, HostResponseOutparam,
};

/// What a guest knows as `future-trailers`.
type FutureTrailers = wasmtime_wasi_http::p2::body::HostFutureTrailers;

pub(super) fn add(functions: &mut Functions) -> R<()> {
    let mut interface = functions.interface("wasi:http/types");
    add_fields(&mut interface)?;
    add_changes_of_fields(&mut interface)?;
    add_requests(&mut interface)?;
    add_incoming_bodies(&mut interface)?;
    add_responses(&mut interface)?;
    add_bodies(&mut interface)
}

/// The outcome of a change of fields, in the guest's terms.
fn outcome<T>(outcome: HeaderResult<T>) -> R<Result<T, HeaderError>> {
    Ok(match outcome {
        Ok(value) => Ok(value),
        Err(error) => Err(error.downcast()?),
    })
}

/// The fields of a list of names and values in the guest's memory, or the error that the guest gets.
pub(super) fn collect_fields(memory: &[u8], address: u32, count: u32) -> R<Result<HeaderMap, HeaderError>> {
    let entries = list::<16>(memory, address, count, 4)?.iter().map(|entry| {
        let name = calls::RawName(bytes(memory, word(entry, 0), word(entry, 4))?);
        Ok((name, bytes(memory, word(entry, 8), word(entry, 12))?))
    });
    calls::collect_fields(entries)
}

fn add_fields(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]fields", |mut call: Call<'_>, fields: u32| -> R<()> {
            HostFields::drop(&mut call.state()?.http(), own(fields)?)
        })?
        .plain("[constructor]fields", |mut call: Call<'_>| -> R<u32> {
            handle(&HostFields::new(&mut call.state()?.http())?)
        })?
        .plain("[static]fields.from-list", |mut call: Call<'_>, address: u32, count: u32, to: u32| {
            let (memory, state) = call.enter()?;
            let fields = calls::new_fields(state, collect_fields(memory, address, count)?)?;
            call.store(to, fields)
        })?
        .plain(
            "[method]fields.has",
            |mut call: Call<'_>, fields: u32, address: u32, length: u32| -> R<u32> {
                let (memory, state) = call.enter()?;
                let name = calls::RawName(bytes(memory, address, length)?);
                Ok(u32::from(calls::has_field(state, &borrow(fields)?, &name)?))
            },
        )?
        .allocating(
            "[method]fields.get",
            |mut call: Call<'_>, fields: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let name = calls::RawName(bytes(memory, address, length)?);
                let values = calls::field_values(state, &borrow(fields)?, &name)?;
                let values: Vec<_> = values.into_iter().map(Bytes).collect();
                call.allocate(to, values)
            },
        )?
        .allocating("[method]fields.entries", |mut call: Call<'_>, fields: u32, to: u32| {
            let entries = call.state()?.http().entries(borrow(fields)?)?;
            let entries: Vec<_> = entries.into_iter().map(|(name, value)| (name, Bytes(value))).collect();
            call.allocate(to, entries)
        })?
        .plain("[method]fields.clone", |mut call: Call<'_>, fields: u32| -> R<u32> {
            handle(&HostFields::clone(&mut call.state()?.http(), borrow(fields)?)?)
        })?;
    Ok(())
}

fn add_changes_of_fields(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain(
            "[method]fields.set",
            |mut call: Call<'_>, fields: u32, address: u32, length: u32, values: u32, count: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let name = owned_text(memory, address, length)?;
                let values = owned_lists(memory, values, count)?;
                let set = outcome(HostFields::set(&mut state.http(), borrow(fields)?, name, values))?;
                call.store(to, set)
            },
        )?
        .plain(
            "[method]fields.append",
            |mut call: Call<'_>,
             fields: u32,
             address: u32,
             length: u32,
             value: u32,
             value_length: u32,
             to: u32| {
                let (memory, state) = call.enter()?;
                let name = owned_text(memory, address, length)?;
                let value = owned_bytes(memory, value, value_length)?;
                let appended = outcome(state.http().append(borrow(fields)?, name, value))?;
                call.store(to, appended)
            },
        )?
        .plain(
            "[method]fields.delete",
            |mut call: Call<'_>, fields: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let name = owned_text(memory, address, length)?;
                let deleted = outcome(state.http().delete(borrow(fields)?, name))?;
                call.store(to, deleted)
            },
        )?;
    Ok(())
}

fn add_requests(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]incoming-request", |mut call: Call<'_>, request: u32| -> R<()> {
            HostIncomingRequest::drop(&mut call.state()?.http(), own(request)?)
        })?
        .allocating("[method]incoming-request.method", |mut call: Call<'_>, request: u32, to: u32| {
            let method = HostIncomingRequest::method(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, method)
        })?
        .allocating(
            "[method]incoming-request.path-with-query",
            |mut call: Call<'_>, request: u32, to: u32| {
                let path = HostIncomingRequest::path_with_query(&mut call.state()?.http(), borrow(request)?)?;
                call.allocate(to, path)
            },
        )?
        .allocating("[method]incoming-request.scheme", |mut call: Call<'_>, request: u32, to: u32| {
            let scheme = HostIncomingRequest::scheme(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, scheme)
        })?
        .allocating("[method]incoming-request.authority", |mut call: Call<'_>, request: u32, to: u32| {
            let authority = HostIncomingRequest::authority(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, authority)
        })?
        .plain("[method]incoming-request.headers", |mut call: Call<'_>, request: u32| -> R<u32> {
            handle(&HostIncomingRequest::headers(&mut call.state()?.http(), borrow(request)?)?)
        })?
        .plain("[method]incoming-request.consume", |mut call: Call<'_>, request: u32, to: u32| {
            let body = HostIncomingRequest::consume(&mut call.state()?.http(), borrow(request)?)?;
            call.store(to, body)
        })?;
    Ok(())
}

fn add_incoming_bodies(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]incoming-body", |mut call: Call<'_>, body: u32| -> R<()> {
            HostIncomingBody::drop(&mut call.state()?.http(), own(body)?)
        })?
        .plain("[method]incoming-body.stream", |mut call: Call<'_>, body: u32, to: u32| {
            let stream = HostIncomingBody::stream(&mut call.state()?.http(), borrow(body)?)?;
            call.store(to, stream)
        })?
        .plain("[static]incoming-body.finish", |mut call: Call<'_>, body: u32| -> R<u32> {
            handle(&HostIncomingBody::finish(&mut call.state()?.http(), own(body)?)?)
        })?
        .plain("[resource-drop]future-trailers", |mut call: Call<'_>, trailers: u32| -> R<()> {
            HostFutureTrailers::drop(&mut call.state()?.http(), own(trailers)?)
        })?
        .plain("[method]future-trailers.subscribe", |mut call: Call<'_>, trailers: u32| -> R<u32> {
            subscribe::<FutureTrailers>(call.state()?, trailers)
        })?
        .allocating("[method]future-trailers.get", |mut call: Call<'_>, trailers: u32, to: u32| {
            let trailers = HostFutureTrailers::get(&mut call.state()?.http(), borrow(trailers)?)?;
            call.allocate(to, trailers)
        })?;
    Ok(())
}

#[allow(clippy::cast_possible_truncation, reason = "narrow numbers come in wide ones (canonical ABI)")]
fn add_responses(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]outgoing-response", |mut call: Call<'_>, response: u32| -> R<()> {
            calls::drop_response(call.state()?, own(response)?)
        })?
        .plain("[constructor]outgoing-response", |mut call: Call<'_>, headers: u32| -> R<u32> {
            handle(&calls::new_response(call.state()?, own(headers)?)?)
        })?
        .plain("[method]outgoing-response.status-code", |mut call: Call<'_>, response: u32| -> R<u32> {
            Ok(calls::status(call.state()?, &borrow(response)?)?.into())
        })?
        .plain(
            "[method]outgoing-response.set-status-code",
            |mut call: Call<'_>, response: u32, status: u32| -> R<u32> {
                let set = calls::set_status(call.state()?, &borrow(response)?, status as u16)?;
                Ok(u32::from(set.is_err()))
            },
        )?
        .plain("[method]outgoing-response.headers", |mut call: Call<'_>, response: u32| -> R<u32> {
            handle(&calls::headers(call.state()?, &borrow(response)?)?)
        })?
        .plain("[method]outgoing-response.body", |mut call: Call<'_>, response: u32, to: u32| {
            let body = calls::response_body(call.state()?, &borrow(response)?)?;
            call.store(to, body)
        })?
        .plain("[resource-drop]response-outparam", |mut call: Call<'_>, outparam: u32| -> R<()> {
            HostResponseOutparam::drop(&mut call.state()?.http(), own(outparam)?)
        })?
        .plain(
            "[static]response-outparam.set",
            // An error code has six values, of which the first is where a response would be.
            |mut call: Call<'_>,
             outparam: u32,
             case: u32,
             value: u32,
             first: u32,
             second: u64,
             third: u32,
             fourth: u32,
             fifth: u32,
             sixth: u32|
             -> R<()> {
                let (memory, state) = call.enter()?;
                let outcome = match case {
                    0 => Ok(own(value)?),
                    1 => {
                        let rest = [third, fourth, fifth, sixth];
                        Err(Flat { case: value, first, second, rest }.lift(memory)?)
                    }
                    _ => return Err(invalid_discriminant()),
                };
                calls::set_response(state, own(outparam)?, outcome)
            },
        )?;
    Ok(())
}

fn add_bodies(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]outgoing-body", |mut call: Call<'_>, body: u32| -> R<()> {
            calls::drop_body(call.state()?, own(body)?)
        })?
        .plain("[method]outgoing-body.write", |mut call: Call<'_>, body: u32, to: u32| {
            let stream = calls::write(call.state()?, &borrow(body)?)?;
            call.store(to, stream)
        })?
        .allocating(
            "[static]outgoing-body.finish",
            |mut call: Call<'_>, body: u32, case: u32, trailers: u32, to: u32| {
                let trailers = is_some(case)?.then(|| own(trailers)).transpose()?;
                let finished = calls::finish(call.state()?, own(body)?, trailers)?;
                call.allocate(to, finished)
            },
        )?;
    Ok(())
}
