//! Links the calls of `wasi:filesystem/types.descriptor` that this host replaces.

use super::{Store, interface};
use crate::instance::State;
use crate::link::calls::files as calls;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList, WasmStr};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
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
    refuse_writes(&mut types)
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

/// Puts a refusal in the place of every call that writes.
fn refuse_writes(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for name in ["create-directory-at", "remove-directory-at", "unlink-file-at"] {
        types.func_wrap(
            &format!("[method]descriptor.{name}"),
            |store: Store<'_>, (descriptor, path): (Own, WasmStr)| {
                refuse::<()>(&store, &descriptor, Some(path))
            },
        )?;
    }
    types.func_wrap(
        "[method]descriptor.rename-at",
        |store: Store<'_>, (descriptor, path, _, _): (Own, WasmStr, Own, WasmStr)| {
            refuse::<()>(&store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.link-at",
        |store: Store<'_>, (descriptor, _, path, _, _): (Own, PathFlags, WasmStr, Own, WasmStr)| {
            refuse::<()>(&store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.symlink-at",
        |store: Store<'_>, (descriptor, _, path): (Own, WasmStr, WasmStr)| {
            refuse::<()>(&store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times-at",
        |store: Store<'_>,
         (descriptor, _, path, _, _): (Own, PathFlags, WasmStr, NewTimestamp, NewTimestamp)| {
            refuse::<()>(&store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times",
        |store: Store<'_>, (descriptor, _, _): (Own, NewTimestamp, NewTimestamp)| -> Outcome<()> {
            refuse(&store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-size",
        |store: Store<'_>, (descriptor, _): (Own, u64)| -> Outcome<()> { refuse(&store, &descriptor, None) },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |store: Store<'_>, (descriptor, _, _): (Own, WasmList<u8>, u64)| -> Outcome<u64> {
            refuse(&store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: Store<'_>, (descriptor, _): (Own, u64)| -> Outcome<Resource<DynOutputStream>> {
            refuse(&store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |store: Store<'_>, (descriptor,): (Own,)| -> Outcome<Resource<DynOutputStream>> {
            refuse(&store, &descriptor, None)
        },
    )
}

/// Refuses to write to a path below a descriptor, or to the descriptor itself.
fn refuse<T>(store: &Store<'_>, descriptor: &Own, path: Option<WasmStr>) -> Outcome<T> {
    let path = match path {
        Some(path) => path.to_str(store)?.into_owned(),
        None => String::new(),
    };
    Ok((calls::refuse(store.data(), descriptor, &path)?,))
}
