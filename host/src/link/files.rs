//! `wasi:filesystem/types.descriptor`: the calls that every request for a file makes. They do what the runtime's own do,
//! with fewer system calls and no detour for calls that might wait on another thread; whatever is not plainly the
//! ordinary case is left to those.

use crate::component::interface::IMPLEMENTED;
use crate::sandbox::{BLOCK, State};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{Linker, Resource, WasmStr};
use wasmtime::{StoreContextMut, bail};
use wasmtime_wasi::filesystem::{self, Descriptor, Dir, FsPerms, OpenMode, WasiFilesystemView as _};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Host as _, HostDescriptor as _, OpenFlags,
    PathFlags,
};

/// How long what was learned of a file by opening it is as good as asking again: the two calls of a guest that opens a
/// file and asks what it has opened come within microseconds.
const ALIKE: Duration = Duration::from_millis(1);

/// What is known of the descriptor that was opened last.
#[derive(Debug, Default)]
pub struct LastOpened {
    /// The number of the descriptor; its metadata, and since when they are known, until they are asked for.
    opened: Option<(u32, Instant, Metadata)>,
    /// The number of the descriptor, and how long it was when the guest was last told.
    length: Option<(u32, u64)>,
}

impl LastOpened {
    /// How long a file is, as far as the guest knows, if it has just asked.
    pub(super) fn length(&self, descriptor: u32) -> Option<u64> {
        self.length.and_then(|(known, length)| (known == descriptor).then_some(length))
    }

    /// What opening this descriptor has told, if that was just now.
    fn take(&mut self, descriptor: u32) -> Option<Metadata> {
        let (_, since, metadata) = self.opened.take_if(|(known, ..)| *known == descriptor)?;
        (since.elapsed() < ALIKE).then_some(metadata)
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
    let known = state.last_opened().take(number);
    let metadata = match (known, state.table().get(&descriptor)?) {
        (Some(metadata), _) => Ok(metadata),
        (None, Descriptor::File(file)) => file.file.metadata(),
        (None, Descriptor::Dir(directory)) => directory.dir.metadata(),
    };
    Ok((match metadata {
        Ok(metadata) => {
            state.last_opened().length = Some((number, metadata.len()));
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
    let path = path.to_str(&store)?;
    if flags == PathFlags::SYMLINK_FOLLOW
        && let Descriptor::Dir(directory) = store.data().resources().get(&descriptor)?
        && let Some(outcome) = beneath(directory, &path, Purpose::Look)
    {
        return Ok((outcome.map(|(_, metadata)| described(&metadata)).map_err(ErrorCode::from),));
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
    let path = path.to_str(&store)?;
    let ordinary = path_flags == PathFlags::SYMLINK_FOLLOW
        && open_flags == OpenFlags::empty()
        && flags == DescriptorFlags::READ;
    if ordinary
        && let Descriptor::Dir(directory) = store.data().resources().get(&descriptor)?
        && let Some(outcome) = beneath(directory, &path, Purpose::Read)
    {
        let perms = directory.perms;
        return Ok((match outcome {
            Ok((file, metadata)) => Ok(opened(store.data_mut(), file, perms, metadata)?),
            Err(error) => Err(error.into()),
        },));
    }
    let path = path.into_owned();
    let state = store.data_mut();
    *state.last_opened() = LastOpened::default();
    let outcome = at_once(state.filesystem().open_at(descriptor, path_flags, path, open_flags, flags))?;
    Ok((to_guest(state, outcome)?,))
}

/// A descriptor for what was opened, with the permissions of the directory that it is in.
fn opened(state: &mut State, file: File, perms: FsPerms, metadata: Metadata) -> wasmtime::Result<Own> {
    let descriptor = if metadata.is_dir() {
        Descriptor::Dir(Dir::new(file, perms, OpenMode::READ, BLOCK))
    } else {
        Descriptor::File(filesystem::File::new(file, perms, OpenMode::READ, BLOCK))
    };
    let descriptor = state.table().push(descriptor)?;
    let opened = Some((descriptor.rep(), Instant::now(), metadata));
    *state.last_opened() = LastOpened { opened, length: None };
    Ok(descriptor)
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be read.
    Read,
    /// Only to know what it is, which neither waits for anything nor needs permission to read it.
    Look,
}

/// What a path below a directory leads to, symbolic links followed as long as they stay below. `None` where the system
/// has another answer than that, or that there is nothing: what it means, and what else may be tried, the runtime knows.
#[cfg(target_os = "linux")]
fn beneath(directory: &Dir, path: &str, purpose: Purpose) -> Option<io::Result<(File, Metadata)>> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    let flags = match purpose {
        Purpose::Read => OFlags::RDONLY,
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
