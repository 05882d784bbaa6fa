//! Links the calls of `wasi:filesystem/types.descriptor` that write: in scratch directories they do, and elsewhere they are refused.

use super::Store;
use crate::instance::State;
use crate::link::calls::{files, scratch};
use wasmtime::component::{LinkerInstance, Resource, WasmList, WasmStr};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, NewTimestamp, PathFlags};

type Own = Resource<Descriptor>;
type Outcome<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn add_to_linker(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    add_paths(types)?;
    add_links(types)?;
    add_times(types)?;
    add_content(types)
}

/// Calls `write` with the path, or refuses it.
fn on_path(
    mut store: Store<'_>,
    (descriptor, path): (Own, WasmStr),
    write: impl FnOnce(&mut State, &Own, String) -> wasmtime::Result<Result<(), ErrorCode>>,
) -> Outcome<()> {
    let path = path.to_str(&store)?.into_owned();
    if scratch::is_in(store.data(), &descriptor)? {
        return Ok((write(store.data_mut(), &descriptor, path)?,));
    }
    Ok((files::refuse(store.data(), &descriptor, &path)?,))
}

/// Calls `write`, or refuses it.
fn on_file<T>(
    mut store: Store<'_>,
    descriptor: &Own,
    write: impl FnOnce(&mut State, &Own) -> wasmtime::Result<Result<T, ErrorCode>>,
) -> Outcome<T> {
    if scratch::is_in(store.data(), descriptor)? {
        return Ok((write(store.data_mut(), descriptor)?,));
    }
    Ok((files::refuse(store.data(), descriptor, "")?,))
}

fn add_paths(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types
        .func_wrap("[method]descriptor.create-directory-at", |store: Store<'_>, place: (Own, WasmStr)| {
            on_path(store, place, scratch::create_directory_at)
        })?;
    types
        .func_wrap("[method]descriptor.remove-directory-at", |store: Store<'_>, place: (Own, WasmStr)| {
            on_path(store, place, scratch::remove_directory_at)
        })?;
    types.func_wrap("[method]descriptor.unlink-file-at", |store: Store<'_>, place: (Own, WasmStr)| {
        on_path(store, place, scratch::unlink_file_at)
    })?;
    types.func_wrap(
        "[method]descriptor.rename-at",
        |store: Store<'_>, (descriptor, path, other, new): (Own, WasmStr, Own, WasmStr)| {
            let new = new.to_str(&store)?.into_owned();
            on_path(store, (descriptor, path), |state, descriptor, path| {
                scratch::rename_at(state, (descriptor, path), (&other, new))
            })
        },
    )
}

/// Links are made nowhere: paths in a scratch directory lead to what is in it, and each file has one name.
fn add_links(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    let refuse = |_: &mut State, _: &Own, _: String| Ok(Err(ErrorCode::NotPermitted));
    types.func_wrap(
        "[method]descriptor.link-at",
        move |store: Store<'_>, (descriptor, _, path, _, _): (Own, PathFlags, WasmStr, Own, WasmStr)| {
            on_path(store, (descriptor, path), refuse)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.symlink-at",
        move |store: Store<'_>, (descriptor, _, path): (Own, WasmStr, WasmStr)| {
            on_path(store, (descriptor, path), refuse)
        },
    )
}

fn add_times(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.set-times-at",
        |store: Store<'_>,
         (descriptor, flags, path, accessed, modified): (
            Own,
            PathFlags,
            WasmStr,
            NewTimestamp,
            NewTimestamp,
        )| {
            on_path(store, (descriptor, path), |state, descriptor, path| {
                scratch::set_times_at(state, descriptor, flags, path, (accessed, modified))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times",
        |store: Store<'_>, (descriptor, accessed, modified): (Own, NewTimestamp, NewTimestamp)| {
            on_file(store, &descriptor, |state, descriptor| {
                scratch::set_times(state, descriptor, (accessed, modified))
            })
        },
    )
}

fn add_content(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]descriptor.set-size",
        |store: Store<'_>, (descriptor, size): (Own, u64)| -> Outcome<()> {
            on_file(store, &descriptor, |state, descriptor| scratch::set_size(state, descriptor, size))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |store: Store<'_>, (descriptor, bytes, offset): (Own, WasmList<u8>, u64)| -> Outcome<u64> {
            // Only what may be written is copied.
            if !scratch::is_in(store.data(), &descriptor)? {
                return Ok((files::refuse(store.data(), &descriptor, "")?,));
            }
            let bytes = bytes.as_le_slice(&store);
            let bytes = bytes[..bytes.len().min(scratch::MAX_WRITE)].to_vec();
            Ok((scratch::write(store.data(), &descriptor, &bytes, offset)?,))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: Store<'_>, (descriptor, offset): (Own, u64)| -> Outcome<Resource<DynOutputStream>> {
            on_file(store, &descriptor, |state, descriptor| scratch::stream(state, descriptor, Some(offset)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |store: Store<'_>, (descriptor,): (Own,)| -> Outcome<Resource<DynOutputStream>> {
            on_file(store, &descriptor, |state, descriptor| scratch::stream(state, descriptor, None))
        },
    )
}
