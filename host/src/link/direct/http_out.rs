//! `wasi:http/types` and `wasi:http/outgoing-handler`, as far as they are about asking other servers.

use super::core::{Call, CallExt as _};
use super::memory::{R, borrow, handle, invalid_discriminant, is_some, own, owned_text};
use super::streams::subscribe;
use super::{Functions, Interface};
use crate::link::calls::messages as calls;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::http::types::{
    Host as _, HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostRequestOptions,
    Method, Scheme,
};

/// What a guest knows as `future-incoming-response`.
type FutureResponse = wasmtime_wasi_http::p2::types::HostFutureIncomingResponse;

pub(super) fn add(functions: &mut Functions) -> R<()> {
    let mut interface = functions.interface("wasi:http/types");
    add_requests(&mut interface)?;
    add_changes_of_requests(&mut interface)?;
    add_options(&mut interface)?;
    add_responses(&mut interface)?;
    interface.allocating("http-error-code", |mut call: Call<'_>, error: u32, to: u32| {
        let code = call.state()?.http().http_error_code(borrow(error)?)?;
        call.allocate(to, code)
    })?;
    functions.interface("wasi:http/outgoing-handler").allocating(
        "handle",
        |mut call: Call<'_>, request: u32, case: u32, options: u32, to: u32| {
            let options = is_some(case)?.then(|| own(options)).transpose()?;
            let response = calls::send(call.state()?, own(request)?, options)?;
            call.allocate(to, response)
        },
    )?;
    Ok(())
}

/// A method, whose name is text where it is another than the usual ones.
fn method(memory: &[u8], case: u32, address: u32, length: u32) -> R<Method> {
    Ok(match case {
        0 => Method::Get,
        1 => Method::Head,
        2 => Method::Post,
        3 => Method::Put,
        4 => Method::Delete,
        5 => Method::Connect,
        6 => Method::Options,
        7 => Method::Trace,
        8 => Method::Patch,
        9 => Method::Other(owned_text(memory, address, length)?),
        _ => return Err(invalid_discriminant()),
    })
}

/// A scheme, whose name is text where it is another than the usual ones.
fn scheme(memory: &[u8], case: u32, address: u32, length: u32) -> R<Scheme> {
    Ok(match case {
        0 => Scheme::Http,
        1 => Scheme::Https,
        2 => Scheme::Other(owned_text(memory, address, length)?),
        _ => return Err(invalid_discriminant()),
    })
}

fn add_requests(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]outgoing-request", |mut call: Call<'_>, request: u32| -> R<()> {
            HostOutgoingRequest::drop(&mut call.state()?.http(), own(request)?)
        })?
        .plain("[constructor]outgoing-request", |mut call: Call<'_>, headers: u32| -> R<u32> {
            handle(&HostOutgoingRequest::new(&mut call.state()?.http(), own(headers)?)?)
        })?
        .plain("[method]outgoing-request.body", |mut call: Call<'_>, request: u32, to: u32| {
            let body = calls::request_body(call.state()?, &borrow(request)?)?;
            call.store(to, body)
        })?
        .allocating("[method]outgoing-request.method", |mut call: Call<'_>, request: u32, to: u32| {
            let method = HostOutgoingRequest::method(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, method)
        })?
        .allocating(
            "[method]outgoing-request.path-with-query",
            |mut call: Call<'_>, request: u32, to: u32| {
                let path = HostOutgoingRequest::path_with_query(&mut call.state()?.http(), borrow(request)?)?;
                call.allocate(to, path)
            },
        )?
        .allocating("[method]outgoing-request.scheme", |mut call: Call<'_>, request: u32, to: u32| {
            let scheme = HostOutgoingRequest::scheme(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, scheme)
        })?
        .allocating("[method]outgoing-request.authority", |mut call: Call<'_>, request: u32, to: u32| {
            let authority = HostOutgoingRequest::authority(&mut call.state()?.http(), borrow(request)?)?;
            call.allocate(to, authority)
        })?
        .plain("[method]outgoing-request.headers", |mut call: Call<'_>, request: u32| -> R<u32> {
            handle(&HostOutgoingRequest::headers(&mut call.state()?.http(), borrow(request)?)?)
        })?;
    Ok(())
}

fn add_changes_of_requests(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain(
            "[method]outgoing-request.set-method",
            |mut call: Call<'_>, request: u32, case: u32, address: u32, length: u32| -> R<u32> {
                let (memory, state) = call.enter()?;
                let method = method(memory, case, address, length)?;
                let set = HostOutgoingRequest::set_method(&mut state.http(), borrow(request)?, method)?;
                Ok(u32::from(set.is_err()))
            },
        )?
        .plain(
            "[method]outgoing-request.set-path-with-query",
            |mut call: Call<'_>, request: u32, case: u32, address: u32, length: u32| -> R<u32> {
                let (memory, state) = call.enter()?;
                let path = is_some(case)?.then(|| owned_text(memory, address, length)).transpose()?;
                let set =
                    HostOutgoingRequest::set_path_with_query(&mut state.http(), borrow(request)?, path)?;
                Ok(u32::from(set.is_err()))
            },
        )?
        .plain(
            "[method]outgoing-request.set-scheme",
            |mut call: Call<'_>, request: u32, case: u32, name: u32, address: u32, length: u32| -> R<u32> {
                let (memory, state) = call.enter()?;
                let scheme = is_some(case)?.then(|| scheme(memory, name, address, length)).transpose()?;
                let set = HostOutgoingRequest::set_scheme(&mut state.http(), borrow(request)?, scheme)?;
                Ok(u32::from(set.is_err()))
            },
        )?
        .plain(
            "[method]outgoing-request.set-authority",
            |mut call: Call<'_>, request: u32, case: u32, address: u32, length: u32| -> R<u32> {
                let (memory, state) = call.enter()?;
                let authority = is_some(case)?.then(|| owned_text(memory, address, length)).transpose()?;
                let set = HostOutgoingRequest::set_authority(&mut state.http(), borrow(request)?, authority)?;
                Ok(u32::from(set.is_err()))
            },
        )?;
    Ok(())
}

fn add_options(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]request-options", |mut call: Call<'_>, options: u32| -> R<()> {
            HostRequestOptions::drop(&mut call.state()?.http(), own(options)?)
        })?
        .plain("[constructor]request-options", |mut call: Call<'_>| -> R<u32> {
            handle(&HostRequestOptions::new(&mut call.state()?.http())?)
        })?
        .plain("[method]request-options.connect-timeout", |mut call: Call<'_>, options: u32, to: u32| {
            let time = HostRequestOptions::connect_timeout(&mut call.state()?.http(), borrow(options)?)?;
            call.store(to, time)
        })?
        .plain(
            "[method]request-options.set-connect-timeout",
            |mut call: Call<'_>, options: u32, case: u32, time: u64| -> R<u32> {
                let time = is_some(case)?.then_some(time);
                let mut http = call.state()?.http();
                Ok(u32::from(
                    HostRequestOptions::set_connect_timeout(&mut http, borrow(options)?, time)?.is_err(),
                ))
            },
        )?
        .plain("[method]request-options.first-byte-timeout", |mut call: Call<'_>, options: u32, to: u32| {
            let time = HostRequestOptions::first_byte_timeout(&mut call.state()?.http(), borrow(options)?)?;
            call.store(to, time)
        })?
        .plain(
            "[method]request-options.set-first-byte-timeout",
            |mut call: Call<'_>, options: u32, case: u32, time: u64| -> R<u32> {
                let time = is_some(case)?.then_some(time);
                let mut http = call.state()?.http();
                Ok(u32::from(
                    HostRequestOptions::set_first_byte_timeout(&mut http, borrow(options)?, time)?.is_err(),
                ))
            },
        )?
        .plain(
            "[method]request-options.between-bytes-timeout",
            |mut call: Call<'_>, options: u32, to: u32| {
                let mut http = call.state()?.http();
                let time = HostRequestOptions::between_bytes_timeout(&mut http, borrow(options)?)?;
                call.store(to, time)
            },
        )?
        .plain(
            "[method]request-options.set-between-bytes-timeout",
            |mut call: Call<'_>, options: u32, case: u32, time: u64| -> R<u32> {
                let time = is_some(case)?.then_some(time);
                let mut http = call.state()?.http();
                Ok(u32::from(
                    HostRequestOptions::set_between_bytes_timeout(&mut http, borrow(options)?, time)?
                        .is_err(),
                ))
            },
        )?;
    Ok(())
}

fn add_responses(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]future-incoming-response", |mut call: Call<'_>, future: u32| -> R<()> {
            HostFutureIncomingResponse::drop(&mut call.state()?.http(), own(future)?)
        })?
        .plain("[method]future-incoming-response.subscribe", |mut call: Call<'_>, future: u32| -> R<u32> {
            subscribe::<FutureResponse>(call.state()?, future)
        })?
        .allocating("[method]future-incoming-response.get", |mut call: Call<'_>, future: u32, to: u32| {
            let response = HostFutureIncomingResponse::get(&mut call.state()?.http(), borrow(future)?)?;
            call.allocate(to, response)
        })?
        .plain("[resource-drop]incoming-response", |mut call: Call<'_>, response: u32| -> R<()> {
            HostIncomingResponse::drop(&mut call.state()?.http(), own(response)?)
        })?
        .plain("[method]incoming-response.status", |mut call: Call<'_>, response: u32| -> R<u32> {
            Ok(HostIncomingResponse::status(&mut call.state()?.http(), borrow(response)?)?.into())
        })?
        .plain("[method]incoming-response.headers", |mut call: Call<'_>, response: u32| -> R<u32> {
            handle(&HostIncomingResponse::headers(&mut call.state()?.http(), borrow(response)?)?)
        })?
        .plain("[method]incoming-response.consume", |mut call: Call<'_>, response: u32, to: u32| {
            let body = HostIncomingResponse::consume(&mut call.state()?.http(), borrow(response)?)?;
            call.store(to, body)
        })?;
    Ok(())
}
