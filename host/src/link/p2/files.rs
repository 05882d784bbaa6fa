//! Links the calls of `wasi:filesystem/types.descriptor` that this host replaces, apart from [those that write](super::writes).

use super::{Store, interface, writes};
use crate::instance::State;
use crate::link::calls::files as calls;
use wasmtime::component::{Linker, Resource, ResourceType, WasmStr};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, ErrorCode, OpenFlags, PathFlags,
};

type Own = Resource<Descriptor>;
type Outcome<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:filesystem/types")?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |mut store, number| {
        calls::drop_descriptor(store.data_mut(), Own::new_own(number))
    })?;
    types.func_wrap("[method]descriptor.stat", |mut store: Store<'_>, (descriptor,): (Own,)| {
        Ok((calls::stat(store.data_mut(), &descriptor)?,))
    })?;
    types.func_wrap("[method]descriptor.stat-at", stat_at)?;
    types.func_wrap("[method]descriptor.open-at", open_at)?;
    types.func_wrap(
        "[method]descriptor.read",
        |store: Store<'_>, (descriptor, length, offset): (Own, u64, u64)| {
            Ok((calls::read(store.data(), &descriptor, length, offset)?,))
        },
    )?;
    writes::add_to_linker(&mut types)
}

fn stat_at(
    mut store: Store<'_>,
    (descriptor, flags, path): (Own, PathFlags, WasmStr),
) -> Outcome<DescriptorStat> {
    let path = path.to_str(&store)?.into_owned();
    Ok((calls::stat_at(store.data_mut(), &descriptor, flags, &path)?,))
}

type OpenArguments = (Own, PathFlags, WasmStr, OpenFlags, DescriptorFlags);

fn open_at(mut store: Store<'_>, (descriptor, path_flags, path, open, flags): OpenArguments) -> Outcome<Own> {
    let path = path.to_str(&store)?.into_owned();
    let how = calls::Opening { path: path_flags, open, flags };
    Ok((calls::open_at(store.data_mut(), &descriptor, &path, how)?,))
}
