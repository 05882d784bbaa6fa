//! `wasi:filesystem/types.descriptor` in a scratch directory ([`sandbox::scratch`](crate::sandbox::scratch)): the calls that write,
//! and those that the others answer from what they remember of files that do not change all the time.
//!
//! Paths are resolved by the runtime, which does not let them leave the directory. There are no links in it.

use super::files::{Opening, at_once, to_guest};
use crate::instance::State;
use crate::sandbox::scratch::Scratch;
use crate::wasi::LastFile;
use bytes::Bytes;
use rustix::fs::{fstat, ftruncate};
use rustix::io::{Errno, pwrite};
use std::fs::File;
use std::io;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::filesystem::{Descriptor, FsPerms, OpenMode};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorStat, ErrorCode, HostDescriptor as _, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

type Handle = Resource<Descriptor>;
type Outcome<T> = wasmtime::Result<Result<T, ErrorCode>>;

/// What a stream takes at a time.
pub const MAX_WRITE: usize = 1024 * 1024;

/// Whether a descriptor is of a scratch directory or of what is in it: nothing else may be written to.
pub fn is_in(state: &State, descriptor: &Handle) -> wasmtime::Result<bool> {
    Ok(match state.resources().get(descriptor)? {
        Descriptor::File(file) => file.perms == FsPerms::ReadWrite,
        Descriptor::Dir(directory) => directory.perms == FsPerms::ReadWrite,
    })
}

fn borrowed(descriptor: &Handle) -> Handle {
    Handle::new_borrow(descriptor.rep())
}

/// The scratch directory that a path below a descriptor is in, if an entry may be there.
fn holding(state: &State, descriptor: &Handle, path: &str) -> Outcome<Arc<Scratch>> {
    let Some(scratch) = state.scratch() else { return Ok(Err(ErrorCode::NotPermitted)) };
    Ok(match state.resources().get(descriptor)? {
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
        Descriptor::Dir(directory) if scratch.may_have(directory, path) => Ok(Arc::clone(scratch)),
        Descriptor::Dir(_) => Err(ErrorCode::NameTooLong),
    })
}

/// The open file of a descriptor, if it may be written to.
fn writable(state: &State, descriptor: &Handle) -> Outcome<(Arc<File>, Arc<Scratch>)> {
    let Some(scratch) = state.scratch() else { return Ok(Err(ErrorCode::NotPermitted)) };
    Ok(match state.resources().get(descriptor)? {
        Descriptor::File(file) if file.open_mode.contains(OpenMode::WRITE) => {
            Ok((Arc::clone(&file.file), Arc::clone(scratch)))
        }
        Descriptor::File(_) | Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor),
    })
}

/// `open-at`
pub fn open_at(state: &mut State, descriptor: &Handle, path: &str, how: Opening) -> Outcome<Handle> {
    let scratch = match holding(state, descriptor, path)? {
        Ok(scratch) => scratch,
        Err(code) => return Ok(Err(code)),
    };
    // The number of its descriptor may be that of the file that was opened last.
    *state.last_file() = LastFile::default();
    let entries = u64::from(how.open.contains(OpenFlags::CREATE));
    let (descriptor, own_path) = (borrowed(descriptor), path.to_owned());
    let opened = scratch.change(0, entries, || {
        at_once(state.files().open_at(descriptor, how.path, own_path, how.open, how.flags))
    });
    let Ok(opened) = opened else { return Ok(Err(ErrorCode::InsufficientSpace)) };
    let opened = to_guest(state, opened?)?;
    if how.open.contains(OpenFlags::TRUNCATE) {
        scratch.freed();
    }
    if let Ok(opened) = &opened
        && let Descriptor::File(file) = state.resources().get(opened)?
        && file.open_mode.contains(OpenMode::WRITE)
    {
        scratch.opened(&file.file);
    }
    Ok(opened)
}

/// `stat-at`
pub fn stat_at(
    state: &mut State,
    descriptor: &Handle,
    flags: PathFlags,
    path: &str,
) -> Outcome<DescriptorStat> {
    let outcome = at_once(state.files().stat_at(borrowed(descriptor), flags, path.to_owned()))?;
    to_guest(state, outcome)
}

/// `create-directory-at`
pub fn create_directory_at(state: &mut State, descriptor: &Handle, path: String) -> Outcome<()> {
    let scratch = match holding(state, descriptor, &path)? {
        Ok(scratch) => scratch,
        Err(code) => return Ok(Err(code)),
    };
    let descriptor = borrowed(descriptor);
    // A directory has a block of its own at least.
    let made = scratch.change(1, 1, || at_once(state.files().create_directory_at(descriptor, path)));
    let Ok(made) = made else { return Ok(Err(ErrorCode::InsufficientSpace)) };
    to_guest(state, made?)
}

/// `remove-directory-at`
pub fn remove_directory_at(state: &mut State, descriptor: &Handle, path: String) -> Outcome<()> {
    let outcome = at_once(state.files().remove_directory_at(borrowed(descriptor), path))?;
    freed(state);
    to_guest(state, outcome)
}

/// `unlink-file-at`
pub fn unlink_file_at(state: &mut State, descriptor: &Handle, path: String) -> Outcome<()> {
    let outcome = at_once(state.files().unlink_file_at(borrowed(descriptor), path))?;
    freed(state);
    to_guest(state, outcome)
}

/// `rename-at`. Directories stay where they are: in another place, what is in them could be too deep.
pub fn rename_at(state: &mut State, from: (&Handle, String), to: (&Handle, String)) -> Outcome<()> {
    if !is_in(state, to.0)? {
        return Ok(Err(ErrorCode::NotPermitted));
    }
    let scratch = match holding(state, to.0, &to.1)? {
        Ok(scratch) => scratch,
        Err(code) => return Ok(Err(code)),
    };
    match state.resources().get(from.0)? {
        Descriptor::Dir(directory) if Scratch::is_directory(directory, &from.1) => {
            return Ok(Err(ErrorCode::NotPermitted));
        }
        _ => {}
    }
    let (old, new) = (borrowed(from.0), borrowed(to.0));
    let renamed = scratch.change(0, 1, || at_once(state.files().rename_at(old, from.1, new, to.1)));
    let Ok(renamed) = renamed else { return Ok(Err(ErrorCode::InsufficientSpace)) };
    scratch.freed();
    to_guest(state, renamed?)
}

/// `set-times-at`
pub fn set_times_at(
    state: &mut State,
    descriptor: &Handle,
    flags: PathFlags,
    path: String,
    (accessed, modified): (NewTimestamp, NewTimestamp),
) -> Outcome<()> {
    let descriptor = borrowed(descriptor);
    let outcome = at_once(state.files().set_times_at(descriptor, flags, path, accessed, modified))?;
    to_guest(state, outcome)
}

/// `set-times`
pub fn set_times(
    state: &mut State,
    descriptor: &Handle,
    (accessed, modified): (NewTimestamp, NewTimestamp),
) -> Outcome<()> {
    let outcome = at_once(state.files().set_times(borrowed(descriptor), accessed, modified))?;
    to_guest(state, outcome)
}

fn freed(state: &State) {
    if let Some(scratch) = state.scratch() {
        scratch.freed();
    }
}

/// `set-size`
pub fn set_size(state: &State, descriptor: &Handle, size: u64) -> Outcome<()> {
    let (file, scratch) = match writable(state, descriptor)? {
        Ok(found) => found,
        Err(code) => return Ok(Err(code)),
    };
    let outcome = length(&file).and_then(|length| {
        let resized = scratch.change(size.saturating_sub(length), 0, || ftruncate(&*file, size));
        resized.unwrap_or(Err(Errno::NOSPC))?;
        if size < length {
            scratch.freed();
        }
        Ok(())
    });
    Ok(outcome.map_err(|error| io::Error::from(error).into()))
}

/// `write`
pub fn write(state: &State, descriptor: &Handle, bytes: &[u8], offset: u64) -> Outcome<u64> {
    let (file, scratch) = match writable(state, descriptor)? {
        Ok(found) => found,
        Err(code) => return Ok(Err(code)),
    };
    let written = write_at(&scratch, &file, bytes, Some(offset));
    Ok(written.map(|written| written as u64).map_err(|error| io::Error::from(error).into()))
}

/// What writes to a file from an offset on, or to its end without one.
pub fn writer(state: &State, descriptor: &Handle, offset: Option<u64>) -> Outcome<Writer> {
    Ok(writable(state, descriptor)?.map(|(file, scratch)| Writer { file, scratch, offset }))
}

/// `write-via-stream` at an offset, and `append-via-stream` without one.
pub fn stream(
    state: &mut State,
    descriptor: &Handle,
    offset: Option<u64>,
) -> Outcome<Resource<DynOutputStream>> {
    let stream: DynOutputStream = match writer(state, descriptor, offset)? {
        Ok(writer) => Box::new(writer),
        Err(code) => return Ok(Err(code)),
    };
    Ok(Ok(state.table().push(stream)?))
}

fn length(file: &File) -> Result<u64, Errno> {
    fstat(file).map(|stat| stat.st_size.unsigned_abs())
}

/// Writes at an offset, or at the end, and returns how much was written.
fn write_at(scratch: &Scratch, file: &File, bytes: &[u8], offset: Option<u64>) -> Result<usize, Errno> {
    let count = bytes.len() as u64;
    let growth = match offset {
        // A hole counts as if it was filled.
        Some(offset) => {
            let end = offset.checked_add(count).ok_or(Errno::FBIG)?;
            end.saturating_sub(length(file)?).max(count)
        }
        None => count,
    };
    // Only one writes at a time, so that the end of the file stays where it is.
    let write = || pwrite(file, bytes, offset.map_or_else(|| length(file), Ok)?);
    scratch.change(growth, 0, write).unwrap_or(Err(Errno::NOSPC))
}

/// Writes to a file, one piece after another.
pub struct Writer {
    file: Arc<File>,
    scratch: Arc<Scratch>,
    /// Where the next bytes go; `None` is the end of the file.
    offset: Option<u64>,
}

impl Writer {
    /// Writes the beginning of a piece, and returns how much of it that was.
    pub fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(MAX_WRITE)];
        let written = write_at(&self.scratch, &self.file, bytes, self.offset)?;
        self.offset = self.offset.map(|offset| offset + written as u64);
        Ok(written)
    }
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut left = &bytes[..];
        while !left.is_empty() {
            let written =
                self.write_some(left).map_err(|error| StreamError::LastOperationFailed(error.into()))?;
            if written == 0 {
                return Err(StreamError::Closed);
            }
            left = &left[written..];
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}
