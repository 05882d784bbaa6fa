//! `wasi:filesystem/types.descriptor`: examining, opening and reading files as [`wasi::files`](crate::wasi::files) does, and
//! writing, which is refused before the runtime sees it.

use super::interface;
use crate::body::TimedLength;
use crate::instance::State;
use crate::sandbox::BLOCKING_FILE_CALLS;
use crate::sandbox::denials::Denial;
use crate::wasi::files::{self, Failure, OpenHow};
use crate::wasi::{Found, LastFile};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use wasmtime::component::{Linker, LinkerInstance, Resource, WasmList, WasmStr};
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi::filesystem::{self, Descriptor, Dir, FsPerms, OpenMode, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Host as _, HostDescriptor as _, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, FsResult};

type Store<'a> = StoreContextMut<'a, State>;
type Own = Resource<Descriptor>;
type Outcome<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:filesystem/types")?;
    types.func_wrap("[method]descriptor.stat", stat)?;
    types.func_wrap("[method]descriptor.stat-at", stat_at)?;
    types.func_wrap("[method]descriptor.open-at", open_at)?;
    types.func_wrap("[method]descriptor.read", read)?;
    refuse_writes(&mut types)
}

fn stat(mut store: Store<'_>, (descriptor,): (Own,)) -> Outcome<DescriptorStat> {
    let state = store.data_mut();
    let number = descriptor.rep();
    let known = state.last_file().take_opened(number);
    let metadata = match (known, state.table().get(&descriptor)?) {
        (Some(known), _) => Ok(known),
        (None, Descriptor::File(file)) => file.file.metadata().map(|metadata| (metadata, Instant::now())),
        (None, Descriptor::Dir(directory)) => {
            directory.dir.metadata().map(|metadata| (metadata, Instant::now()))
        }
    };
    Ok((match metadata {
        Ok((metadata, since)) => {
            state.last_file().tell_length(number, TimedLength(metadata.len(), since));
            Ok(files::describe(&metadata))
        }
        Err(error) => Err(error.into()),
    },))
}

fn stat_at(
    mut store: Store<'_>,
    (descriptor, flags, path): (Own, PathFlags, WasmStr),
) -> Outcome<DescriptorStat> {
    let path = path.to_str(&store)?;
    let state = store.data();
    let outcome = match state.resources().get(&descriptor)? {
        Descriptor::Dir(directory) => {
            let mut last = LastFile::default();
            let outcome = files::stat_at(directory, &path, flags, state.known_files(), &mut last);
            outcome.map(|stat| (stat, last))
        }
        Descriptor::File(_) => Err(Failure::Code(ErrorCode::NotDirectory)),
    };
    match outcome {
        Ok((stat, last)) => {
            *store.data_mut().last_file() = last;
            Ok((Ok(stat),))
        }
        Err(Failure::Unsupported) => {
            let path = path.into_owned();
            stat_at_by_runtime(store.data_mut(), descriptor, flags, path)
        }
        Err(failure) => {
            let path = path.into_owned();
            Ok((Err(denied(store.data_mut(), &failure, path)),))
        }
    }
}

fn read(mut store: Store<'_>, (descriptor, length, offset): (Own, u64, u64)) -> Outcome<(Vec<u8>, bool)> {
    Ok((match store.data_mut().resources().get(&descriptor)? {
        Descriptor::File(file) => files::read(&file.file, length, offset),
        Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor),
    },))
}

fn stat_at_by_runtime(
    state: &mut State,
    descriptor: Own,
    flags: PathFlags,
    path: String,
) -> Outcome<DescriptorStat> {
    let outcome = at_once(state.filesystem().stat_at(descriptor, flags, path.clone()))?;
    if outcome.as_ref().is_ok_and(|stat| stat.type_ == DescriptorType::RegularFile) {
        state.last_file().examine_regular(path);
    }
    Ok((to_guest(state, outcome)?,))
}

type OpenArguments = (Own, PathFlags, WasmStr, OpenFlags, DescriptorFlags);

fn open_at(mut store: Store<'_>, (descriptor, path_flags, path, open, flags): OpenArguments) -> Outcome<Own> {
    let path = path.to_str(&store)?.into_owned();
    let state = store.data_mut();
    let mut last = std::mem::take(state.last_file());
    let special_files = state.may_block();
    let how = OpenHow { path: path_flags, open, flags, special_files };
    let (outcome, perms) = match state.resources().get(&descriptor)? {
        Descriptor::Dir(directory) => {
            (files::open_at(directory, &path, how, state.known_files(), &mut last), directory.perms)
        }
        Descriptor::File(_) => return Ok((Err(ErrorCode::NotDirectory),)),
    };
    match outcome {
        Ok(found) => Ok((Ok(opened(state, found, perms)?),)),
        Err(Failure::Unsupported) => {
            let how = OpenHow { special_files: special_files || last.is_regular(&path), ..how };
            open_at_by_runtime(state, descriptor, path, how)
        }
        Err(failure) => Ok((Err(denied(state, &failure, path)),)),
    }
}

/// Opens a file where the kernel lacks `openat2`. What takes its place after it was examined is waited for.
fn open_at_by_runtime(state: &mut State, descriptor: Own, path: String, how: OpenHow) -> Outcome<Own> {
    if !how.special_files {
        let again = Own::new_borrow(descriptor.rep());
        let (stat,) = stat_at_by_runtime(state, again, how.path, path.clone())?;
        match stat.map(|stat| stat.type_) {
            Ok(DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink) => {}
            Ok(_) => return Ok((Err(denied(state, &Failure::SpecialFile, path)),)),
            Err(code) => return Ok((Err(code),)),
        }
    }
    let outcome = at_once(state.filesystem().open_at(descriptor, how.path, path, how.open, how.flags))?;
    Ok((to_guest(state, outcome)?,))
}

/// A descriptor for what was opened, with the permissions of the directory that it is in.
fn opened(state: &mut State, found: Found, perms: FsPerms) -> wasmtime::Result<Own> {
    let Found { file, metadata, since } = found;
    let descriptor = if metadata.is_dir() {
        Descriptor::Dir(Dir::new(file, perms, OpenMode::READ, BLOCKING_FILE_CALLS))
    } else {
        Descriptor::File(filesystem::File::new(file, perms, OpenMode::READ, BLOCKING_FILE_CALLS))
    };
    let descriptor = state.table().push(descriptor)?;
    state.last_file().open(descriptor.rep(), metadata, since);
    Ok(descriptor)
}

/// The code of a failure. What a guest may not do is told to the operator.
fn denied(state: &State, failure: &Failure, path: String) -> ErrorCode {
    let denial = match failure {
        Failure::Code(code) => return *code,
        Failure::Unsupported => return ErrorCode::Unsupported,
        Failure::Write => Denial::Write(path),
        Failure::SpecialFile => Denial::SpecialFile(path),
    };
    state.network().denials.note(&denial);
    ErrorCode::NotPermitted
}

/// Puts a refusal in the place of every call that writes.
fn refuse_writes(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for name in ["create-directory-at", "remove-directory-at", "unlink-file-at"] {
        types.func_wrap(
            &format!("[method]descriptor.{name}"),
            |store: Store<'_>, (descriptor, path): (Own, WasmStr)| {
                refuse::<()>(store, &descriptor, Some(path))
            },
        )?;
    }
    types.func_wrap(
        "[method]descriptor.rename-at",
        |store: Store<'_>, (descriptor, path, _, _): (Own, WasmStr, Own, WasmStr)| {
            refuse::<()>(store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.link-at",
        |store: Store<'_>, (descriptor, _, path, _, _): (Own, PathFlags, WasmStr, Own, WasmStr)| {
            refuse::<()>(store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.symlink-at",
        |store: Store<'_>, (descriptor, _, path): (Own, WasmStr, WasmStr)| {
            refuse::<()>(store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times-at",
        |store: Store<'_>,
         (descriptor, _, path, _, _): (Own, PathFlags, WasmStr, NewTimestamp, NewTimestamp)| {
            refuse::<()>(store, &descriptor, Some(path))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times",
        |store: Store<'_>, (descriptor, _, _): (Own, NewTimestamp, NewTimestamp)| -> Outcome<()> {
            refuse(store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-size",
        |store: Store<'_>, (descriptor, _): (Own, u64)| -> Outcome<()> { refuse(store, &descriptor, None) },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |store: Store<'_>, (descriptor, _, _): (Own, WasmList<u8>, u64)| -> Outcome<u64> {
            refuse(store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |store: Store<'_>, (descriptor, _): (Own, u64)| -> Outcome<Resource<DynOutputStream>> {
            refuse(store, &descriptor, None)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |store: Store<'_>, (descriptor,): (Own,)| -> Outcome<Resource<DynOutputStream>> {
            refuse(store, &descriptor, None)
        },
    )
}

/// Refuses to write to a path below a descriptor, or to the descriptor itself.
fn refuse<T>(mut store: Store<'_>, descriptor: &Own, path: Option<WasmStr>) -> Outcome<T> {
    let path = match path {
        Some(path) => path.to_str(&store)?.into_owned(),
        None => String::new(),
    };
    let state = store.data_mut();
    state.resources().get(descriptor)?;
    Ok((Err(denied(state, &Failure::Write, path)),))
}

/// The outcome of a call of the runtime's, which never waits: every context has [`BLOCKING_FILE_CALLS`].
fn at_once<T>(call: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => bail!("a call about a file did not return at once"),
    }
}

fn to_guest<T>(state: &mut State, outcome: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(state.filesystem().convert_error_code(error)?)),
    }
}
