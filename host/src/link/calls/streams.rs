//! Streams of files, and splices: one from a file to a body hands over a range of the file
//! ([`wasi::Streams`](crate::wasi::Streams)), and all others are the runtime's.

use crate::body::{BodyStream, FileSource, FileStream, Taken};
use crate::instance::State;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::streams::{Host, HostOutputStream as _, StreamError as GuestError};

/// `[method]descriptor.read-via-stream`
pub fn read_via_stream(
    state: &mut State,
    descriptor: &Resource<Descriptor>,
    offset: u64,
) -> wasmtime::Result<Result<Resource<DynInputStream>, ErrorCode>> {
    let file = match state.table().get(descriptor)? {
        Descriptor::File(file) => Arc::clone(&file.file),
        Descriptor::Dir(_) => return Ok(Err(ErrorCode::IsDirectory)),
    };
    let length = state.last_file().length(descriptor.rep());
    let source = Arc::new(FileSource::new(file, offset, length));
    let input: DynInputStream = Box::new(FileStream(Arc::clone(&source)));
    let input = state.table().push(input)?;
    state.streams().add_file(input.rep(), &source);
    Ok(Ok(input))
}

type Spliced = wasmtime::Result<Result<u64, GuestError>>;

/// Hands over at most `most` bytes of a file to a body that has this much room.
fn hand_over(body: &BodyStream, file: &FileSource, most: u64, room: usize) -> StreamResult<u64> {
    if most == 0 || room == 0 {
        return Ok(0);
    }
    let taken = file.take(most, room).map_err(|error| StreamError::LastOperationFailed(error.into()))?;
    match taken {
        Taken::Range(range) => {
            let length = range.length;
            body.write_file(range).map(|()| length)
        }
        Taken::Bytes(bytes) => {
            let length = bytes.len() as u64;
            body.write(bytes).map(|()| length)
        }
        Taken::End => Err(StreamError::Closed),
    }
}

/// A splice of nothing returns before the runtime looks at the stream that it would read from.
fn ensure_input(state: &State, from: &Resource<DynInputStream>) -> wasmtime::Result<()> {
    state.resources().get(from)?;
    Ok(())
}

/// `[method]output-stream.splice`
pub fn splice(
    state: &mut State,
    to: Resource<DynOutputStream>,
    from: Resource<DynInputStream>,
    most: u64,
) -> Spliced {
    let outcome = if let Some((body, file)) = state.streams().ends(to.rep(), from.rep()) {
        body.room().and_then(|room| hand_over(&body, &file, most, room))
    } else {
        ensure_input(state, &from)?;
        state.table().splice(to, from, most)
    };
    to_guest(state, outcome)
}

/// `[method]output-stream.blocking-splice`
pub async fn blocking_splice(
    state: &mut State,
    to: Resource<DynOutputStream>,
    from: Resource<DynInputStream>,
    most: u64,
) -> Spliced {
    let outcome = if let Some((body, file)) = state.streams().ends(to.rep(), from.rep()) {
        body.ready().await;
        body.room().and_then(|room| hand_over(&body, &file, most, room))
    } else {
        ensure_input(state, &from)?;
        state.table().blocking_splice(to, from, most).await
    };
    to_guest(state, outcome)
}

/// The outcome of a call about a stream, in the guest's terms.
pub fn to_guest<T>(state: &mut State, outcome: StreamResult<T>) -> wasmtime::Result<Result<T, GuestError>> {
    Ok(match outcome {
        Ok(value) => Ok(value),
        Err(error) => Err(state.table().convert_stream_error(error)?),
    })
}
