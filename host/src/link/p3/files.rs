//! Links the calls of `wasi:filesystem/types.descriptor` that this host replaces, apart from [those that write](super::writes).

use super::outcome::Outcome;
use super::{codes, interface, writes};
use crate::body::{BodyStream, FileSource};
use crate::instance::State;
use crate::link::calls::files as calls;
use std::any::{Any, TypeId};
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, Linker, Resource, ResourceType, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types as v02;
use wasmtime_wasi::p3::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// Bytes of a file that are read at a time where they go to another stream.
const READ_MAX: usize = 64 * 1024;

type Own = Resource<Descriptor>;
type Returned<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:filesystem/types")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store, number| {
        calls::drop_descriptor(store.data_mut(), Own::new_own(number))
    })?;
    types.func_wrap_concurrent("[method]descriptor.stat", |store, (descriptor,): (Own,)| {
        at_once(store, |state| Ok(calls::stat(state, &descriptor)?.map(codes::stat)))
    })?;
    types.func_wrap_concurrent(
        "[method]descriptor.stat-at",
        |store, (descriptor, flags, path): (Own, PathFlags, String)| {
            at_once(store, |state| {
                let stat = calls::stat_at(state, &descriptor, codes::path_flags(flags), &path)?;
                Ok(stat.map(codes::stat))
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.open-at",
        |store,
         (descriptor, path_flags, path, open, flags): (
            Own,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            at_once(store, |state| {
                let how = calls::Opening {
                    path: codes::path_flags(path_flags),
                    open: codes::open_flags(open),
                    flags: codes::descriptor_flags(flags),
                };
                calls::open_at(state, &descriptor, &path, how)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |store: StoreContextMut<'_, State>, (descriptor, offset)| {
            Ok((read_via_stream(store, &descriptor, offset)?,))
        },
    )?;
    writes::add_to_linker(&mut types)
}

type Reading = (StreamReader<u8>, FutureReader<Result<(), ErrorCode>>);

/// `[method]descriptor.read-via-stream`
fn read_via_stream(
    mut store: StoreContextMut<'_, State>,
    descriptor: &Own,
    offset: u64,
) -> wasmtime::Result<Reading> {
    let state = store.data_mut();
    let file = match state.table().get(descriptor)? {
        Descriptor::File(file) => Some(Arc::clone(&file.file)),
        Descriptor::Dir(_) => None,
    };
    let length = state.last_file().length(descriptor.rep());
    let (mut outcome, future) = Outcome::new(&mut store, Ok(()))?;
    let stream = if let Some(file) = file {
        let source = FileSource::new(file, offset, length);
        StreamReader::new(&mut store, FileProducer { source: Some(source), outcome })?
    } else {
        outcome.say(Err(ErrorCode::IsDirectory));
        StreamReader::new(&mut store, std::iter::empty())?
    };
    Ok((stream, future))
}

/// A file, as a stream of its bytes. A response takes it out of the stream again.
pub(super) struct FileProducer {
    /// `None` once a response has taken it.
    source: Option<FileSource>,
    outcome: Outcome<Result<(), ErrorCode>>,
}

impl FileProducer {
    /// Has a body take the rest of the file, or as much of it as the body may have, without reading it. Gives whether that was
    /// possible: it is not for files whose length is unknown.
    pub(super) fn hand_over(&mut self, body: &BodyStream, length: Option<u64>) -> bool {
        let Some(source) = &self.source else { return false };
        if length == Some(0) {
            self.outcome.say(Ok(()));
            return true;
        }
        match source.take_range(length.unwrap_or(u64::MAX)) {
            Ok(Some(range)) => {
                // A connection that is gone does not want it.
                let _ = body.write_file(range);
                self.outcome.say(Ok(()));
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.outcome.say(Err(codes::code(error.into())));
                true
            }
        }
    }
}

impl StreamProducer<State> for FileProducer {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        let Some(source) = &this.source else { return Poll::Ready(Ok(StreamResult::Dropped)) };
        // A guest's own buffer is read into; otherwise the bytes go to another stream.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut destination = destination.as_direct(store, READ_MAX);
        let outcome = source.read_into(destination.remaining());
        Poll::Ready(Ok(match outcome {
            Ok(0) => {
                this.outcome.say(Ok(()));
                StreamResult::Dropped
            }
            Ok(read) => {
                destination.mark_written(read);
                StreamResult::Completed
            }
            Err(error) => {
                this.outcome.say(Err(codes::code(error.into())));
                StreamResult::Dropped
            }
        }))
    }

    fn try_into(mut this: Pin<Box<Self>>, wanted: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        if wanted != TypeId::of::<Self>() {
            return Err(this);
        }
        let producer = Self { source: this.source.take(), outcome: this.outcome.take() };
        Ok(Box::new(producer))
    }
}

pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = Returned<T>> + Send + 'a>>;

/// A call that is done when it returns: files are read on the thread that calls.
pub(super) fn at_once<T: Send + 'static>(
    store: &Accessor<State>,
    call: impl FnOnce(&mut State) -> wasmtime::Result<Result<T, v02::ErrorCode>>,
) -> Pending<'_, T> {
    let outcome = store.with(|mut store| call(store.get()));
    Box::pin(ready(outcome.map(|outcome| (outcome.map_err(codes::code),))))
}
