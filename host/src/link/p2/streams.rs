//! Streams of files, and splices: one from a file to a body hands over a range of the file
//! ([`wasi::Streams`](crate::wasi::Streams)), and all others are the runtime's.

use super::interface;
use crate::body::{BodyStream, FileSource, FileStream, Taken};
use crate::instance::State;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::streams::{Host, HostOutputStream as _, StreamError as GuestError};

type Store<'a> = StoreContextMut<'a, State>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut files = interface(linker, "wasi:filesystem/types")?;
    files.func_wrap("[method]descriptor.read-via-stream", read_via_stream)?;

    let mut streams = interface(linker, "wasi:io/streams")?;
    streams.func_wrap("[method]output-stream.splice", splice)?;
    streams.func_wrap_async("[method]output-stream.blocking-splice", |store, arguments| {
        Box::new(blocking_splice(store, arguments))
    })
}

fn read_via_stream(
    mut store: Store<'_>,
    (descriptor, offset): (Resource<Descriptor>, u64),
) -> wasmtime::Result<(Result<Resource<DynInputStream>, ErrorCode>,)> {
    let state = store.data_mut();
    let file = match state.table().get(&descriptor)? {
        Descriptor::File(file) => Arc::clone(&file.file),
        Descriptor::Dir(_) => return Ok((Err(ErrorCode::IsDirectory),)),
    };
    let length = state.last_file().length(descriptor.rep());
    let source = Arc::new(FileSource::new(file, offset, length));
    let input: DynInputStream = Box::new(FileStream(Arc::clone(&source)));
    let input = state.table().push(input)?;
    state.streams().add_file(input.rep(), &source);
    Ok((Ok(input),))
}

type SpliceArguments = (Resource<DynOutputStream>, Resource<DynInputStream>, u64);
type Spliced = (Result<u64, GuestError>,);

/// Hands over at most `most` bytes of a file to a body that has this much room.
fn hand_over(body: &BodyStream, file: &FileSource, most: u64, room: usize) -> StreamResult<u64> {
    if most == 0 || room == 0 {
        return Ok(0);
    }
    let taken = file.take(most, room).map_err(|error| StreamError::LastOperationFailed(error.into()))?;
    match taken {
        Taken::Range(file, offset, length) => body.write_file(file, offset, length).map(|()| length),
        Taken::Bytes(bytes) => {
            let length = bytes.len() as u64;
            body.write(bytes).map(|()| length)
        }
        Taken::End => Err(StreamError::Closed),
    }
}

fn splice(mut store: Store<'_>, (to, from, most): SpliceArguments) -> wasmtime::Result<Spliced> {
    let state = store.data_mut();
    let outcome = match state.streams().ends(to.rep(), from.rep()) {
        Some((body, file)) => body.room().and_then(|room| hand_over(&body, &file, most, room)),
        None => state.table().splice(to, from, most),
    };
    to_guest(state, outcome)
}

async fn blocking_splice(
    mut store: Store<'_>,
    (to, from, most): SpliceArguments,
) -> wasmtime::Result<Spliced> {
    let state = store.data_mut();
    let outcome = match state.streams().ends(to.rep(), from.rep()) {
        Some((body, file)) => {
            body.ready().await;
            body.room().and_then(|room| hand_over(&body, &file, most, room))
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
