//! `wasi:http/types.outgoing-body`, and files that are spliced into it: both by way of the [`lane`].
//!
//! Streams of WASI 0.2 do not tell what is behind them. So each instance's [`Streams`] remember by their numbers which
//! of its streams are files and which are bodies; a splice from one to the other hands over a range of the file. All
//! others go the runtime's own way.

use crate::component::interface::IMPLEMENTED;
use crate::lane::{self, BodyOutput, BodyStream, FileSource, FileStream, Outgoing, Writer};
use crate::sandbox::State;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use std::sync::{Arc, Weak};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode as FileError;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamError, StreamResult};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode as HttpError;
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{Error, FieldMap};
use wasmtime_wasi_io::bindings::wasi::io::streams::{Host, HostOutputStream as _, StreamError as GuestError};

/// What an instance's streams are, by their numbers. A number that was given to another stream since is known by the
/// first one being gone.
#[derive(Debug, Default)]
pub struct Streams {
    files: Vec<(u32, Weak<FileSource>)>,
    bodies: Vec<(u32, Weak<BodyStream>)>,
}

/// Remembers a stream, and forgets those that are gone, so that the list is never longer than the instance has streams.
fn remember<T>(list: &mut Vec<(u32, Weak<T>)>, number: u32, stream: Weak<T>) {
    list.retain(|(_, known)| known.strong_count() > 0);
    list.push((number, stream));
}

fn find<T>(list: &[(u32, Weak<T>)], number: u32) -> Option<Arc<T>> {
    list.iter().find_map(|(known, stream)| (*known == number).then(|| stream.upgrade()).flatten())
}

/// Puts these in the place of the runtime's own implementations.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("wasi:http/types@{IMPLEMENTED}"))?;
    types.resource("outgoing-body", ResourceType::host::<Writer>(), |mut store, number| {
        store.data_mut().table().delete::<Writer>(Resource::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap("[method]outgoing-request.body", request_body)?;
    types.func_wrap("[method]outgoing-body.write", write)?;
    types.func_wrap("[static]outgoing-body.finish", finish)?;

    let mut files = linker.instance(&format!("wasi:filesystem/types@{IMPLEMENTED}"))?;
    files.func_wrap("[method]descriptor.read-via-stream", read_via_stream)?;

    let mut streams = linker.instance(&format!("wasi:io/streams@{IMPLEMENTED}"))?;
    streams.func_wrap("[method]output-stream.splice", splice)?;
    streams.func_wrap_async("[method]output-stream.blocking-splice", |store, arguments| {
        Box::new(blocking_splice(store, arguments))
    })
}

/// A new body for a message with these fields; `Err` where they do not say how long it is in a way that makes sense.
pub(super) fn new_body(headers: &FieldMap) -> Result<(Writer, Outgoing), ()> {
    let headers: &HeaderMap = headers;
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => Some(parse_length(length.as_bytes()).ok_or(())?),
        (Some(_), Some(_)) => return Err(()),
    };
    Ok(lane::body(length))
}

/// A Content-Length (RFC 9110 §8.6), which is digits and nothing else.
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

type BodyResult = (Result<Resource<Writer>, ()>,);

/// Gives a request its body, which is given once.
fn request_body(
    mut store: StoreContextMut<'_, State>,
    (request,): (Resource<HostOutgoingRequest>,),
) -> wasmtime::Result<BodyResult> {
    let table = store.data_mut().table();
    let HostOutgoingRequest { headers, body, .. } = table.get_mut(&request)?;
    if body.is_some() {
        return Ok((Err(()),));
    }
    let Ok((writer, outgoing)) = new_body(headers) else { return Ok((Err(()),)) };
    let outgoing = outgoing.map_err(|error| Error::InternalError(Some(error.to_string())));
    *body = Some(outgoing.boxed_unsync());
    Ok((Ok(table.push(writer)?),))
}

fn write(
    mut store: StoreContextMut<'_, State>,
    (body,): (Resource<Writer>,),
) -> wasmtime::Result<(Result<Resource<DynOutputStream>, ()>,)> {
    let state = store.data_mut();
    let Some(stream) = state.table().get_mut(&body)?.take_stream() else { return Ok((Err(()),)) };
    let stream = Arc::new(stream);
    let known = Arc::downgrade(&stream);
    let output: DynOutputStream = Box::new(BodyOutput(stream));
    let output = state.table().push_child(output, &body)?;
    remember(&mut state.streams().bodies, output.rep(), known);
    Ok((Ok(output),))
}

type FinishArguments = (Resource<Writer>, Option<Resource<FieldMap>>);

fn finish(
    mut store: StoreContextMut<'_, State>,
    (body, trailers): FinishArguments,
) -> wasmtime::Result<(Result<(), HttpError>,)> {
    let table = store.data_mut().table();
    let writer = table.delete(body)?;
    let trailers = trailers.map(|trailers| table.delete(trailers)).transpose()?.map(HeaderMap::from);
    Ok((writer
        .finish(trailers)
        .map_err(|lane::WrongLength(written)| HttpError::HttpResponseBodySize(Some(written))),))
}

fn read_via_stream(
    mut store: StoreContextMut<'_, State>,
    (descriptor, offset): (Resource<Descriptor>, u64),
) -> wasmtime::Result<(Result<Resource<DynInputStream>, FileError>,)> {
    let state = store.data_mut();
    let file = match state.table().get(&descriptor)? {
        Descriptor::File(file) => Arc::clone(&file.file),
        Descriptor::Dir(_) => return Ok((Err(FileError::IsDirectory),)),
    };
    let length = state.last_file().length(descriptor.rep());
    let source = Arc::new(FileSource::new(file, offset, length));
    let known = Arc::downgrade(&source);
    let input: DynInputStream = Box::new(FileStream(source));
    let input = state.table().push(input)?;
    remember(&mut state.streams().files, input.rep(), known);
    Ok((Ok(input),))
}

type SpliceArguments = (Resource<DynOutputStream>, Resource<DynInputStream>, u64);
type Spliced = (Result<u64, GuestError>,);

/// The body and the file that a splice is between, if it is between such.
fn ends(
    state: &mut State,
    to: &Resource<DynOutputStream>,
    from: &Resource<DynInputStream>,
) -> Option<(Arc<BodyStream>, Arc<FileSource>)> {
    let streams = state.streams();
    Some((find(&streams.bodies, to.rep())?, find(&streams.files, from.rep())?))
}

/// Hands over a range of a file, of which there is room for at least one.
fn hand_over(body: &BodyStream, file: &FileSource, most: u64) -> StreamResult<u64> {
    if most == 0 {
        return Ok(0);
    }
    let range = file.take(most).map_err(|error| StreamError::LastOperationFailed(error.into()))?;
    let (file, offset, length) = range.ok_or(StreamError::Closed)?;
    body.write_file(file, offset, length)?;
    Ok(length)
}

fn splice(
    mut store: StoreContextMut<'_, State>,
    (to, from, most): SpliceArguments,
) -> wasmtime::Result<Spliced> {
    let state = store.data_mut();
    let outcome = match ends(state, &to, &from) {
        Some((body, file)) => match body.room() {
            Ok(0) => Ok(0),
            Ok(_) => hand_over(&body, &file, most),
            Err(error) => Err(error),
        },
        None => state.table().splice(to, from, most),
    };
    to_guest(state, outcome)
}

async fn blocking_splice(
    mut store: StoreContextMut<'_, State>,
    (to, from, most): SpliceArguments,
) -> wasmtime::Result<Spliced> {
    let state = store.data_mut();
    let outcome = match ends(state, &to, &from) {
        Some((body, file)) => {
            body.ready().await;
            body.room().and_then(|_| hand_over(&body, &file, most))
        }
        None => state.table().blocking_splice(to, from, most).await,
    };
    to_guest(state, outcome)
}

fn to_guest(state: &mut State, outcome: StreamResult<u64>) -> wasmtime::Result<Spliced> {
    Ok((match outcome {
        Ok(length) => Ok(length),
        Err(error) => Err(state.table().convert_stream_error(error)?),
    },))
}

#[cfg(test)]
mod tests {
    use super::{find, parse_length, remember};
    use std::sync::Arc;

    #[test]
    fn a_number_that_was_given_again_is_not_the_stream_that_had_it() {
        let mut list = Vec::new();
        let first = Arc::new(1);
        remember(&mut list, 7, Arc::downgrade(&first));
        assert_eq!(find(&list, 7).as_deref(), Some(&1));
        drop(first);
        assert_eq!(find(&list, 7), None);
        let second = Arc::new(2);
        remember(&mut list, 7, Arc::downgrade(&second));
        assert_eq!(find(&list, 7).as_deref(), Some(&2));
        assert_eq!(list.len(), 1, "those that are gone are forgotten");
    }

    #[test]
    fn a_length_is_digits() {
        assert_eq!(parse_length(b"10"), Some(10));
        for text in ["", "+10", "-1", " 10", "1e3", "99999999999999999999"] {
            assert_eq!(parse_length(text.as_bytes()), None, "{text}");
        }
    }
}
