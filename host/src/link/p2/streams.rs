//! Links streams of files, and splices.

use super::{Store, interface};
use crate::instance::State;
use crate::link::calls::streams as calls;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

type Splice = (Resource<DynOutputStream>, Resource<DynInputStream>, u64);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut files = interface(linker, "wasi:filesystem/types")?;
    files.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: Store<'_>, (descriptor, offset): (Resource<Descriptor>, u64)| {
            Ok((calls::read_via_stream(store.data_mut(), &descriptor, offset)?,))
        },
    )?;
    let mut streams = interface(linker, "wasi:io/streams")?;
    streams.func_wrap("[method]output-stream.splice", |mut store: Store<'_>, (to, from, most): Splice| {
        Ok((calls::splice(store.data_mut(), to, from, most)?,))
    })?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-splice",
        |mut store: Store<'_>, (to, from, most): Splice| {
            Box::new(async move { Ok((calls::blocking_splice(store.data_mut(), to, from, most).await?,)) })
        },
    )
}
