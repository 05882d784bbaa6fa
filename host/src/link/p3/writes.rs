//! Links the calls of `wasi:filesystem/types.descriptor` that write: in scratch directories they do, and elsewhere they are refused.

use super::codes;
use super::files::{Pending, at_once};
use super::outcome::Outcome;
use crate::instance::State;
use crate::link::calls::files;
use crate::link::calls::scratch::{self, Writer};
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, FutureReader, LinkerInstance, Resource, Source, StreamConsumer, StreamReader, StreamResult,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types as v02;
use wasmtime_wasi::p3::bindings::filesystem::types::{ErrorCode, NewTimestamp, PathFlags};

type Own = Resource<Descriptor>;
type Written = wasmtime::Result<Result<(), v02::ErrorCode>>;

pub(super) fn add_to_linker(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    add_paths(types)?;
    add_links(types)?;
    add_times(types)?;
    types.func_wrap_concurrent("[method]descriptor.set-size", |store, (descriptor, size): (Own, u64)| {
        on(store, &descriptor, String::new(), |state, descriptor, _| {
            scratch::set_size(state, descriptor, size)
        })
    })?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: StoreContextMut<'_, State>, (descriptor, data, offset): (Own, StreamReader<u8>, u64)| {
            Ok((write_stream(store, &descriptor, data, Some(offset))?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |store: StoreContextMut<'_, State>, (descriptor, data): (Own, StreamReader<u8>)| {
            Ok((write_stream(store, &descriptor, data, None)?,))
        },
    )
}

/// Calls `write` with the path, which is empty for the descriptor itself, or refuses it.
fn on<'a>(
    store: &'a Accessor<State>,
    descriptor: &Own,
    path: String,
    write: impl FnOnce(&mut State, &Own, String) -> Written,
) -> Pending<'a, ()> {
    at_once(store, |state| {
        if scratch::is_in(state, descriptor)? {
            write(state, descriptor, path)
        } else {
            files::refuse(state, descriptor, &path)
        }
    })
}

fn add_paths(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap_concurrent(
        "[method]descriptor.create-directory-at",
        |store, (descriptor, path): (Own, String)| on(store, &descriptor, path, scratch::create_directory_at),
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.remove-directory-at",
        |store, (descriptor, path): (Own, String)| on(store, &descriptor, path, scratch::remove_directory_at),
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.unlink-file-at",
        |store, (descriptor, path): (Own, String)| on(store, &descriptor, path, scratch::unlink_file_at),
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.rename-at",
        |store, (descriptor, path, other, new): (Own, String, Own, String)| {
            on(store, &descriptor, path, |state, descriptor, path| {
                scratch::rename_at(state, (descriptor, path), (&other, new))
            })
        },
    )
}

/// Links are made nowhere: paths in a scratch directory lead to what is in it, and each file has one name.
fn add_links(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    let refuse = |_: &mut State, _: &Own, _: String| Ok(Err(v02::ErrorCode::NotPermitted));
    types.func_wrap_concurrent(
        "[method]descriptor.link-at",
        move |store, (descriptor, _, path, _, _): (Own, PathFlags, String, Own, String)| {
            on(store, &descriptor, path, refuse)
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.symlink-at",
        move |store, (descriptor, _, path): (Own, String, String)| on(store, &descriptor, path, refuse),
    )
}

fn add_times(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap_concurrent(
        "[method]descriptor.set-times-at",
        |store,
         (descriptor, flags, path, accessed, modified): (
            Own,
            PathFlags,
            String,
            NewTimestamp,
            NewTimestamp,
        )| {
            let times = (codes::timestamp(accessed), codes::timestamp(modified));
            on(store, &descriptor, path, |state, descriptor, path| {
                scratch::set_times_at(state, descriptor, codes::path_flags(flags), path, times)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]descriptor.set-times",
        |store, (descriptor, accessed, modified): (Own, NewTimestamp, NewTimestamp)| {
            let times = (codes::timestamp(accessed), codes::timestamp(modified));
            on(store, &descriptor, String::new(), |state, descriptor, _| {
                scratch::set_times(state, descriptor, times)
            })
        },
    )
}

/// Writes what comes by a stream from an offset on, or to the end without one.
fn write_stream(
    mut store: StoreContextMut<'_, State>,
    descriptor: &Own,
    mut data: StreamReader<u8>,
    offset: Option<u64>,
) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
    let writer = if scratch::is_in(store.data(), descriptor)? {
        scratch::writer(store.data(), descriptor, offset)?
    } else {
        files::refuse(store.data(), descriptor, "")?
    };
    match writer {
        Ok(writer) => {
            let (outcome, future) = Outcome::new(&mut store, Ok(()))?;
            data.pipe(&mut store, FileConsumer { writer, outcome })?;
            Ok(future)
        }
        Err(code) => {
            data.close(&mut store)?;
            FutureReader::new(&mut store, ready(wasmtime::error::Ok(Err(codes::code(code)))))
        }
    }
}

/// A file, to which a stream is written.
struct FileConsumer {
    writer: Writer,
    /// Takes why it could not be written to; it is dropped at the end of the stream.
    outcome: Outcome<Result<(), ErrorCode>>,
}

impl StreamConsumer<State> for FileConsumer {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, State>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        let mut source = source.as_direct(store);
        let result = match this.writer.write_some(source.remaining()) {
            Ok(written) => {
                source.mark_read(written);
                StreamResult::Completed
            }
            Err(error) => {
                this.outcome.say(Err(codes::code(error.into())));
                StreamResult::Dropped
            }
        };
        Poll::Ready(Ok(result))
    }
}
