//! `wasi:filesystem/types.descriptor`: the calls that every request for a file makes. They do what the runtime's own do,
//! with fewer system calls and no detour for calls that might wait on another thread; whatever is not plainly the
//! ordinary case is left to those.

use super::KnownFiles;
use crate::component::interface::IMPLEMENTED;
use crate::lane::{ALIKE, KnownLength};
use crate::sandbox::{BLOCK, State};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{Linker, Resource, WasmStr};
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi::filesystem::{self, Descriptor, Dir, FsPerms, OpenMode, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Host as _, HostDescriptor as _, OpenFlags,
    PathFlags,
};

/// What is known of the file that an instance has looked at or opened last.
#[derive(Debug, Default)]
pub struct LastFile {
    /// The file that was looked at, until it is opened.
    found: Option<Found>,
    /// The number of the descriptor that was opened; its metadata, and since when they are known, until they are asked for.
    opened: Option<(u32, Instant, Metadata)>,
    /// The number of the descriptor that the guest was last told about, and how long it was.
    length: Option<(u32, KnownLength)>,
}

/// A regular file that was opened when the guest looked at it.
#[derive(Debug)]
struct Found {
    /// What the path begins at.
    directory: Arc<File>,
    path: String,
    file: File,
    metadata: Metadata,
    since: Instant,
}

impl LastFile {
    /// How long a file is, as far as the guest knows, if it is the last that it has asked about.
    pub(super) fn length(&self, descriptor: u32) -> Option<KnownLength> {
        self.length.and_then(|(known, length)| (known == descriptor).then_some(length))
    }

    /// The file at this path, if the guest has looked at it just now.
    fn take_found(&mut self, directory: &Arc<File>, path: &str) -> Option<Found> {
        let found = self.found.take()?;
        (Arc::ptr_eq(&found.directory, directory) && found.path == path && found.since.elapsed() < ALIKE)
            .then_some(found)
    }

    /// What opening this descriptor has told, if that was just now.
    fn take_opened(&mut self, descriptor: u32) -> Option<(Metadata, Instant)> {
        let (_, since, metadata) = self.opened.take_if(|(known, ..)| *known == descriptor)?;
        (since.elapsed() < ALIKE).then_some((metadata, since))
    }
}

type Store<'a> = StoreContextMut<'a, State>;
type Own = Resource<Descriptor>;

/// Puts these in the place of the runtime's own implementations.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut files = linker.instance(&format!("wasi:filesystem/types@{IMPLEMENTED}"))?;
    files.func_wrap("[method]descriptor.stat", stat)?;
    files.func_wrap("[method]descriptor.stat-at", stat_at)?;
    files.func_wrap("[method]descriptor.open-at", open_at)
}

fn stat(
    mut store: Store<'_>,
    (descriptor,): (Own,),
) -> wasmtime::Result<(Result<DescriptorStat, ErrorCode>,)> {
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
            state.last_file().length = Some((number, KnownLength(metadata.len(), since)));
            Ok(described(&metadata))
        }
        Err(error) => Err(error.into()),
    },))
}

type StatArguments = (Own, PathFlags, WasmStr);

fn stat_at(
    mut store: Store<'_>,
    (descriptor, flags, path): StatArguments,
) -> wasmtime::Result<(Result<DescriptorStat, ErrorCode>,)> {
    store.data_mut().last_file().found = None;
    let path = path.to_str(&store)?;
    if flags == PathFlags::SYMLINK_FOLLOW
        && let Descriptor::Dir(directory) = store.data().resources().get(&descriptor)?
        && let Some(outcome) = look(directory, &path, store.data().known_files())
    {
        let directory = Arc::clone(&directory.dir);
        return Ok((match outcome {
            Ok((file, metadata)) => {
                let stat = described(&metadata);
                let path = path.into_owned();
                store.data_mut().last_file().found =
                    file.map(|file| Found { directory, path, file, metadata, since: Instant::now() });
                Ok(stat)
            }
            Err(error) => Err(error.into()),
        },));
    }
    let path = path.into_owned();
    let mut files = store.data_mut().filesystem();
    let outcome = at_once(files.stat_at(descriptor, flags, path))?;
    Ok((to_guest(store.data_mut(), outcome)?,))
}

type OpenArguments = (Own, PathFlags, WasmStr, OpenFlags, DescriptorFlags);

fn open_at(
    mut store: Store<'_>,
    (descriptor, path_flags, path, open_flags, flags): OpenArguments,
) -> wasmtime::Result<(Result<Own, ErrorCode>,)> {
    let path = path.to_str(&store)?.into_owned();
    let ordinary = path_flags == PathFlags::SYMLINK_FOLLOW
        && open_flags == OpenFlags::empty()
        && flags == DescriptorFlags::READ;
    let state = store.data_mut();
    let mut last = std::mem::take(state.last_file());
    if ordinary && let Descriptor::Dir(directory) = state.resources().get(&descriptor)? {
        let perms = directory.perms;
        let outcome = match last.take_found(&directory.dir, &path) {
            Some(Found { file, metadata, since, .. }) => Some(Ok((file, metadata, since))),
            None => beneath(directory, &path, Purpose::Read)
                .map(|outcome| outcome.map(|(file, metadata)| (file, metadata, Instant::now()))),
        };
        match outcome {
            Some(Ok((file, metadata, since))) => {
                return Ok((Ok(opened(state, file, perms, metadata, since)?),));
            }
            Some(Err(error)) => return Ok((Err(error.into()),)),
            None => {}
        }
    }
    let outcome = at_once(state.filesystem().open_at(descriptor, path_flags, path, open_flags, flags))?;
    Ok((to_guest(state, outcome)?,))
}

/// A descriptor for what was opened, with the permissions of the directory that it is in.
fn opened(
    state: &mut State,
    file: File,
    perms: FsPerms,
    metadata: Metadata,
    since: Instant,
) -> wasmtime::Result<Own> {
    let descriptor = if metadata.is_dir() {
        Descriptor::Dir(Dir::new(file, perms, OpenMode::READ, BLOCK))
    } else {
        Descriptor::File(filesystem::File::new(file, perms, OpenMode::READ, BLOCK))
    };
    let descriptor = state.table().push(descriptor)?;
    state.last_file().opened = Some((descriptor.rep(), since, metadata));
    Ok(descriptor)
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be read.
    Read,
    /// To be read if it is a regular file, as is expected; if it is something else, that must not be waited for.
    Try,
    /// Only to know what it is, which neither waits for anything nor needs permission to read it.
    Look,
}

/// What a guest is told that a path below a directory leads to, and the file, opened, if it led to a regular one when it
/// was last looked at: guests look at what they open, for a FIFO would be waited for. To open what is no file might have
/// an effect on it, so that whatever else may be there is only looked at.
fn look(directory: &Dir, path: &str, known: &KnownFiles) -> Option<io::Result<(Option<File>, Metadata)>> {
    let number = directory.dir.as_raw_fd();
    if known.has(number, path)
        && let Some(Ok((file, metadata))) = beneath(directory, path, Purpose::Try)
        && metadata.is_file()
    {
        return Some(Ok((Some(file), metadata)));
    }
    let outcome = beneath(directory, path, Purpose::Look)?.map(|(_, metadata)| (None, metadata));
    known.set(number, path, outcome.as_ref().is_ok_and(|(_, metadata)| metadata.is_file()));
    Some(outcome)
}

/// What a path below a directory leads to, symbolic links followed as long as they stay below. `None` where the system
/// has another answer than that, or that there is nothing: what it means, and what else may be tried, the runtime knows.
#[cfg(target_os = "linux")]
fn beneath(directory: &Dir, path: &str, purpose: Purpose) -> Option<io::Result<(File, Metadata)>> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    let flags = match purpose {
        Purpose::Read => OFlags::RDONLY,
        Purpose::Try => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
        Purpose::Look => OFlags::PATH,
    };
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(&*directory.dir, path, flags | OFlags::CLOEXEC, Mode::empty(), within) {
        Ok(file) => {
            let file = File::from(file);
            Some(file.metadata().map(|metadata| (file, metadata)))
        }
        Err(error @ (Errno::NOENT | Errno::NOTDIR)) => Some(Err(error.into())),
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn beneath(_: &Dir, _: &str, _: Purpose) -> Option<io::Result<(File, Metadata)>> {
    None
}

/// Metadata as the guest has them. Times that its clock does not know are not told.
fn described(metadata: &Metadata) -> DescriptorStat {
    let kind = metadata.file_type();
    let type_ = if kind.is_file() {
        DescriptorType::RegularFile
    } else if kind.is_dir() {
        DescriptorType::Directory
    } else if kind.is_symlink() {
        DescriptorType::SymbolicLink
    } else if kind.is_block_device() {
        DescriptorType::BlockDevice
    } else if kind.is_char_device() {
        DescriptorType::CharacterDevice
    } else {
        DescriptorType::Unknown
    };
    let moment = |time: io::Result<SystemTime>| {
        let since = time.ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
    };
    DescriptorStat {
        type_,
        link_count: metadata.nlink(),
        size: metadata.len(),
        data_access_timestamp: moment(metadata.accessed()),
        data_modification_timestamp: moment(metadata.modified()),
        status_change_timestamp: moment(metadata.created()),
    }
}

/// What comes of a call of the runtime's, which blocks where it has to wait, as every context is told to
/// ([`BLOCK`]).
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
