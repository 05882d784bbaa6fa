//! `wasi:filesystem/types.descriptor`: examining, opening and reading files as [`wasi::files`](crate::wasi::files) does, and
//! writing, which is refused before the runtime sees it.

use super::scratch;
use crate::body::TimedLength;
use crate::instance::{AboutFiles, State};
use crate::sandbox::denials::Denial;
use crate::wasi::files::{self, Failure, OpenHow};
use crate::wasi::{Found, LastFile};
use rustix::fs::fstat;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use wasmtime::bail;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, FsPerms};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Host as _, HostDescriptor as _, OpenFlags,
    PathFlags,
};

type File = Resource<Descriptor>;
type Outcome<T> = wasmtime::Result<Result<T, ErrorCode>>;

/// What a path is resolved for: the flags of `open-at`.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Whether a symbolic link at the end of the path is followed.
    pub path: PathFlags,
    /// What the path must lead to.
    pub open: OpenFlags,
    /// What the descriptor is for.
    pub flags: DescriptorFlags,
}

/// `[method]descriptor.stat`
pub fn stat(state: &mut State, descriptor: &File) -> Outcome<DescriptorStat> {
    let number = descriptor.rep();
    let AboutFiles { resources, last, sidecars, .. } = state.about_files();
    let outcome = match resources.get(descriptor)? {
        Descriptor::File(file) if file.perms == FsPerms::ReadWrite => {
            // It may change at any time.
            return Ok(fstat(&file.file)
                .map(|stat| files::describe(&stat))
                .map_err(|error| io::Error::from(error).into()));
        }
        descriptor => match (last.take_opened(number), descriptor) {
            (Some((stat, since)), _) => Ok((*stat, since)),
            (None, Descriptor::File(file)) => {
                let sidecar = sidecars.and_then(|sidecars| sidecars.stat(&file.file));
                sidecar.map_or_else(|| fstat(&file.file), Ok).map(|stat| (stat, Instant::now()))
            }
            (None, Descriptor::Dir(directory)) => fstat(&directory.dir).map(|stat| (stat, Instant::now())),
        },
    };
    Ok(match outcome {
        Ok((stat, since)) => {
            let stat = files::describe(&stat);
            last.tell_length(number, TimedLength(stat.size, since));
            Ok(stat)
        }
        Err(error) => Err(io::Error::from(error).into()),
    })
}

/// `[method]descriptor.stat-at`
pub fn stat_at(
    state: &mut State,
    descriptor: &File,
    flags: PathFlags,
    path: &str,
) -> Outcome<DescriptorStat> {
    let AboutFiles { resources, lately, last, sidecars } = state.about_files();
    let outcome = match resources.get(descriptor)? {
        Descriptor::Dir(directory) if directory.perms == FsPerms::ReadWrite => {
            return scratch::stat_at(state, descriptor, flags, path);
        }
        Descriptor::Dir(directory) => {
            let outcome = files::stat_at(directory, path, flags, lately, last);
            match sidecars {
                Some(sidecars) if flags.contains(PathFlags::SYMLINK_FOLLOW) => {
                    sidecars.stat_at(directory, path, outcome, last)
                }
                _ => outcome,
            }
        }
        Descriptor::File(_) => Err(Failure::Code(ErrorCode::NotDirectory)),
    };
    match outcome {
        Ok(stat) => Ok(Ok(files::describe(&stat))),
        Err(Failure::Unsupported) => stat_at_by_runtime(state, borrowed(descriptor), flags, path.to_owned()),
        Err(failure) => Ok(Err(denied(state, &failure, path))),
    }
}

/// `[resource-drop]descriptor`, as the runtime's own, without the runtime's context, which most requests do without.
pub fn drop_descriptor(state: &mut State, descriptor: File) -> wasmtime::Result<()> {
    state.table().delete(descriptor)?;
    Ok(())
}

/// `[method]descriptor.read`
pub fn read(state: &State, descriptor: &File, length: u64, offset: u64) -> Outcome<(Vec<u8>, bool)> {
    Ok(match state.resources().get(descriptor)? {
        Descriptor::File(file) => files::read(&file.file, length, offset),
        Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor),
    })
}

fn stat_at_by_runtime(
    state: &mut State,
    descriptor: File,
    flags: PathFlags,
    path: String,
) -> Outcome<DescriptorStat> {
    let outcome = at_once(state.files().stat_at(descriptor, flags, path.clone()))?;
    if outcome.as_ref().is_ok_and(|stat| stat.type_ == DescriptorType::RegularFile) {
        state.last_file().examine_regular(path);
    }
    to_guest(state, outcome)
}

/// `[method]descriptor.open-at`
pub fn open_at(state: &mut State, descriptor: &File, path: &str, how: Opening) -> Outcome<File> {
    let special_files = state.may_block();
    let AboutFiles { resources, lately, last, sidecars } = state.about_files();
    let outcome = match resources.get(descriptor)? {
        Descriptor::Dir(directory) if directory.perms == FsPerms::ReadWrite => {
            return scratch::open_at(state, descriptor, path, how);
        }
        Descriptor::Dir(directory) => {
            let how = OpenHow { path: how.path, open: how.open, flags: how.flags, special_files };
            let outcome = files::open_at(directory, path, how, lately, last);
            match sidecars {
                Some(sidecars) => sidecars.open_at(directory, path, how, outcome),
                None => outcome,
            }
        }
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    match outcome {
        Ok(found) => Ok(Ok(opened(state, found)?)),
        Err(Failure::Unsupported) => {
            let special_files = special_files || last.is_regular(path);
            // The number of its descriptor may be that of the file that was opened last.
            *last = LastFile::default();
            let how = OpenHow { path: how.path, open: how.open, flags: how.flags, special_files };
            open_at_by_runtime(state, descriptor, path, how)
        }
        Err(failure) => Ok(Err(denied(state, &failure, path))),
    }
}

/// Opens a file where the kernel lacks `openat2`. What takes its place after it was examined is waited for.
fn open_at_by_runtime(state: &mut State, descriptor: &File, path: &str, how: OpenHow) -> Outcome<File> {
    if !how.special_files {
        let stat = stat_at_by_runtime(state, borrowed(descriptor), how.path, path.to_owned())?;
        match stat.map(|stat| stat.type_) {
            Ok(DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink) => {}
            Ok(_) => return Ok(Err(denied(state, &Failure::SpecialFile, path))),
            Err(code) => return Ok(Err(code)),
        }
    }
    let (own_path, descriptor) = (path.to_owned(), borrowed(descriptor));
    let outcome = at_once(state.files().open_at(descriptor, how.path, own_path, how.open, how.flags))?;
    to_guest(state, outcome)
}

fn borrowed(descriptor: &File) -> File {
    File::new_borrow(descriptor.rep())
}

/// A descriptor for what was opened.
fn opened(state: &mut State, found: Found) -> wasmtime::Result<File> {
    let descriptor = state.table().push(found.descriptor)?;
    state.last_file().open(descriptor.rep(), found.stat, found.since);
    Ok(descriptor)
}

/// The code of a failure. What a guest may not do is told to the operator.
fn denied(state: &State, failure: &Failure, path: &str) -> ErrorCode {
    let denial = match failure {
        Failure::Code(code) => return *code,
        Failure::Unsupported => return ErrorCode::Unsupported,
        Failure::Write => Denial::Write(path.to_owned()),
        Failure::SpecialFile => Denial::SpecialFile(path.to_owned()),
    };
    state.network().denials.note(&denial);
    ErrorCode::NotPermitted
}

/// Every call that writes, to a path below a descriptor, or to the descriptor itself, whose path is empty.
pub fn refuse<T>(state: &State, descriptor: &File, path: &str) -> Outcome<T> {
    state.resources().get(descriptor)?;
    Ok(Err(denied(state, &Failure::Write, path)))
}

/// The outcome of a call of the runtime's, which never waits: every context has [`BLOCKING_FILE_CALLS`](crate::sandbox::BLOCKING_FILE_CALLS).
pub fn at_once<T>(call: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => bail!("a call about a file did not return at once"),
    }
}

pub fn to_guest<T>(state: &mut State, outcome: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(state.files().convert_error_code(error)?)),
    }
}
