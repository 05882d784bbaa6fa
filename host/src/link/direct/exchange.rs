//! Requests and answers as bytes in the guest's memory, for guests that know this form ([`guest::exchange`]): one call where
//! `wasi:http` takes some 25.
//!
//! What the guest gives is checked as what it passes to calls of WASI is. An answer that is not sent exactly as it stands, be it that
//! a field is invalid or the length is another one than its head says, is left to the handler of `wasi:http`, which the host calls then:
//! so what becomes of it is said in one place.

use super::core::Core;
use super::http::collect_fields;
use super::memory::{R, borrow, bytes, handle, out_of_bounds};
use crate::body::{FileSource, Outgoing, bytes_ahead};
use crate::instance::State;
use crate::link::calls::{directories, messages as calls};
use crate::wasi::messages::parse_length;
use ::guest::exchange::{Answer, Content, HEAD_MAX, HeadWriter};
use ::guest::request::{Method, Name};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode, request};
use std::sync::Arc;
use wasmtime::{Memory, Store, TypedFunc, bail};
use wasmtime_wasi::filesystem::Descriptor;

/// The function that takes the address and length of a head, and gives the address of an answer, or 0.
pub(super) type Function = TypedFunc<(u32, u32), u32>;

/// The function by which a guest allocates memory for its host (component model, `cabi_realloc`).
pub(super) type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// Has the guest allocate the place for heads, and gives its address.
pub(super) async fn allocate(store: &mut Store<Core>, realloc: &Realloc) -> R<u32> {
    let size = u32::try_from(HEAD_MAX)?;
    realloc.call_async(store, (0, 0, 1, size)).await
}

/// Writes what the guest reads of a request to its place, and gives how many bytes that takes; `None` if it is too long.
pub(super) fn write_head(
    memory: Memory,
    store: &mut Store<Core>,
    place: u32,
    request: &request::Parts,
) -> R<Option<u32>> {
    let (memory, core) = memory.data_and_store_mut(store);
    let start = place as usize;
    let Some(place) = memory.get_mut(start..start.saturating_add(HEAD_MAX)) else {
        bail!("the place for heads lies out of the bounds of the memory");
    };
    let target = request.uri.path_and_query().map_or("", |target| target.as_str());
    let method = match request.method {
        http::Method::GET => Method::Get,
        http::Method::HEAD => Method::Head,
        http::Method::OPTIONS => Method::Options,
        _ => Method::Other,
    };
    let directory = directories::first_directory(&mut core.state)?;
    let directory = directory.map_or(Ok(0), |directory| handle(&directory))?;
    let length = HeadWriter::new(place, directory, method, target)
        .and_then(|head| write_fields(head, &request.headers))
        .map(|head| head.length());
    // What does not fit is written as far as it does.
    core.written().note(start, length.unwrap_or(HEAD_MAX));
    Ok(length.map(u32::try_from).transpose()?)
}

/// Writes the fields that answers depend on; `None` if they do not fit.
fn write_fields<'a>(mut head: HeadWriter<'a>, fields: &HeaderMap) -> Option<HeadWriter<'a>> {
    for (name, value) in fields {
        if let Some(name) = Name::find(name.as_str()) {
            head.field(name, value.as_bytes())?;
        }
    }
    Some(head)
}

/// Reads the answer at an address; `None` where the handler of `wasi:http` has to send it.
pub(super) fn read_answer(
    memory: Memory,
    store: &mut Store<Core>,
    address: u32,
) -> R<Option<Box<Response<Outgoing>>>> {
    let (memory, core) = memory.data_and_store_mut(store);
    let memory = &*memory;
    let answer = memory.get(address as usize..).and_then(<[u8]>::first_chunk).ok_or_else(out_of_bounds)?;
    let Some(answer) = Answer::read(answer) else { bail!("what the guest gave as its answer is none") };
    let Ok(fields) = collect_fields(memory, answer.fields, answer.field_count)? else { return Ok(None) };
    let Ok(status) = StatusCode::from_u16(answer.status) else { return Ok(None) };
    if calls::has_forbidden(&mut core.state, &fields) {
        return Ok(None);
    }
    let Some(body) = body(memory, &mut core.state, answer.content, &fields)? else { return Ok(None) };
    let mut response = Box::new(Response::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    Ok(Some(response))
}

/// The body of an answer with these fields; `None` where it is not complete as it stands.
fn body(memory: &[u8], state: &mut State, content: Content, fields: &HeaderMap) -> R<Option<Outgoing>> {
    let promised = fields.get(CONTENT_LENGTH).map(|length| parse_length(length.as_bytes()));
    let is_promised = |length: u64| promised.is_none_or(|promised| promised == Some(length));
    Ok(match content {
        // The head may promise what HEAD would have got.
        Content::None => Some(Outgoing::empty()),
        Content::Bytes { address, length } => {
            let content = bytes(memory, address, length)?;
            let fits = content.len() <= bytes_ahead() && is_promised(length.into());
            fits.then(|| Outgoing::of_bytes(Bytes::copy_from_slice(content)))
        }
        Content::File { descriptor, offset, length } => {
            let descriptor = borrow(descriptor)?;
            let known = state.last_file().length(descriptor.rep());
            let Descriptor::File(file) = state.resources().get(&descriptor)? else { return Ok(None) };
            let source = FileSource::new(Arc::clone(&file.file), offset, known);
            let range = source.take_range(length).ok().flatten();
            range.filter(|range| range.length == length && is_promised(length)).map(Outgoing::of_file)
        }
    })
}
