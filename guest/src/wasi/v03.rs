//! The adapter to WASI 0.3: reads the request, opens files through the preopen, sends the plan.
//!
//! The handler returns a response as soon as its plan is made. A task that outlives it sends the body.

use super::{FIRST_READ_BYTES, NO_DIRECTORY, path_argument, prepared, refused_field, system_failure};
use crate::answer;
use crate::archive::{Cut, Sink};
use crate::path::RelativePath;
use crate::request::{Headers, Method, Request};
use crate::response::{Body, Plan};
use crate::tree::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use bindings::wasi::cli::{environment, stderr};
use bindings::wasi::clocks::system_clock::{self, Instant};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use bindings::wasi::http::types as http;
use bindings::{wit_future, wit_stream};
use wit_bindgen::{StreamResult, StreamWriter, spawn_local};

/// The bindings of the world, the one place where code is generated and may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "file-server-p3",
        ownership: Borrowing { duplicate_if_necessary: false },
        generate_all,
    });

    export!(FileServer with_types_in self);
    use super::FileServer;
}

struct FileServer;

impl bindings::exports::wasi::http::handler::Guest for FileServer {
    async fn handle(request: http::Request) -> Result<http::Response, http::ErrorCode> {
        // The list of spawned tasks lasts as long as the instance.
        let settings = &prepared::get_or_read(|| spawn_local(async {})).outcome;
        let is_bounded = settings.as_ref().is_ok_and(|settings| settings.bounded_streams);
        let request = read_request(&request);
        let preopen = Preopen::first();
        let mut plan = answer::handle(&preopen, settings.as_ref(), &request, now).await;
        if let Some(complaint) = plan.complaint.take() {
            complain(&complaint).await;
        }
        send(plan, preopen, is_bounded).await
    }
}

/// The environment, for the settings.
pub(super) fn environment() -> Vec<(String, String)> {
    environment::get_environment()
}

/// Tells the operator what is wrong. Where that fails too, there is no other way.
async fn complain(sentence: &str) {
    let (mut writer, reader) = wit_stream::new();
    let result = stderr::write_via_stream(reader);
    let _ = writer.write_all(format!("{sentence}\n").into_bytes()).await;
    drop(writer);
    let _ = result.await;
}

/// Reads a request. One call for all fields takes less time than one for each of them.
fn read_request(request: &http::Request) -> Request {
    let method = match request.get_method() {
        http::Method::Get => Method::Get,
        http::Method::Head => Method::Head,
        http::Method::Options => Method::Options,
        _ => Method::Other,
    };
    Request {
        method,
        target: request.get_path_with_query().unwrap_or_default(),
        headers: Headers::new(request.get_headers().copy_all()),
    }
}

fn now() -> Timestamp {
    timestamp(system_clock::now()).unwrap_or(Timestamp { seconds: 0, nanoseconds: 0 })
}

/// A time since 1970; an earlier one has no form in HTTP that clients agree on.
fn timestamp(time: Instant) -> Option<Timestamp> {
    Some(Timestamp { seconds: u64::try_from(time.seconds).ok()?, nanoseconds: time.nanoseconds })
}

/// How many entries of a directory are read at a time. Runtimes allocate room for all of them beforehand, and few directories that
/// people look at are larger.
const ENTRIES_AT_ONCE: usize = 128;

/// How often a directory is read from the start because an entry was removed at the same time, which ends the stream of its
/// entries. After that, its listing is incomplete.
const DIRECTORY_READS_MAX: usize = 4;

/// The served directory: the first preopen, whatever its name. There may be none.
struct Preopen(Option<Descriptor>);

impl Preopen {
    fn first() -> Self {
        Self(preopens::get_directories().into_iter().next().map(|(directory, _)| directory))
    }

    fn directory(&self) -> Result<&Descriptor, TreeError> {
        self.0.as_ref().ok_or_else(|| TreeError::Failed(NO_DIRECTORY.to_owned()))
    }

    async fn open_at(&self, path: &RelativePath, flags: OpenFlags) -> Result<Descriptor, TreeError> {
        let argument = path_argument(path).to_owned();
        let directory = self.directory()?;
        let opened = directory.open_at(PathFlags::SYMLINK_FOLLOW, argument, flags, DescriptorFlags::READ);
        opened.await.map_err(|error| tree_error(path.as_str(), &error))
    }

    async fn stat_at(&self, path: &RelativePath, flags: PathFlags) -> Result<DescriptorStat, TreeError> {
        let stat = self.directory()?.stat_at(flags, path_argument(path).to_owned()).await;
        stat.map_err(|error| tree_error(path.as_str(), &error))
    }
}

impl Tree for Preopen {
    type File = Descriptor;
    type Directory = Descriptor;

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        self.stat_at(path, PathFlags::SYMLINK_FOLLOW).await.map(metadata)
    }

    async fn exists(&self, path: &RelativePath) -> Result<bool, TreeError> {
        match self.stat_at(path, PathFlags::empty()).await {
            Ok(_) => Ok(true),
            Err(TreeError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn is_link(&self, path: &RelativePath) -> Result<bool, TreeError> {
        let stat = self.stat_at(path, PathFlags::empty()).await?;
        Ok(matches!(stat.type_, DescriptorType::SymbolicLink))
    }

    async fn open(&self, path: &RelativePath) -> Result<(Descriptor, Metadata), TreeError> {
        let file = self.open_at(path, OpenFlags::empty()).await?;
        let stat = file.stat().await.map_err(|error| tree_error(path.as_str(), &error))?;
        Ok((file, metadata(stat)))
    }

    async fn read_start(&self, path: &RelativePath, limit: usize) -> Result<Vec<u8>, TreeError> {
        let file = self.open_at(path, OpenFlags::empty()).await?;
        let (mut stream, result) = file.read_via_stream(0);
        let mut bytes = Vec::with_capacity(FIRST_READ_BYTES.min(limit));
        while bytes.len() < limit {
            if bytes.len() == bytes.capacity() {
                bytes.reserve_exact(bytes.len().min(limit - bytes.len()));
            }
            let status;
            (status, bytes) = stream.read(bytes).await;
            if let StreamResult::Complete(_) = status {
                continue;
            }
            return match result.await {
                Ok(()) => Ok(bytes),
                Err(error) => Err(tree_error(path.as_str(), &error)),
            };
        }
        bytes.truncate(limit);
        Ok(bytes)
    }

    async fn open_directory(&self, path: &RelativePath) -> Result<Descriptor, TreeError> {
        self.open_at(path, OpenFlags::DIRECTORY).await
    }

    async fn names(&self, directory: &Descriptor, limit: Extent) -> Result<Names, TreeError> {
        for _ in 1..DIRECTORY_READS_MAX {
            match read_names(directory, limit).await {
                // An entry has gone since, and the rest has not been read.
                (_, Err(ErrorCode::NoEntry)) => {}
                (names, result) => return checked_names(names, result),
            }
        }
        let (names, result) = read_names(directory, limit).await;
        checked_names(names, result)
    }

    async fn stat_in(&self, directory: &Descriptor, name: &str) -> Result<Metadata, TreeError> {
        let stat = directory.stat_at(PathFlags::SYMLINK_FOLLOW, name.to_owned()).await;
        stat.map(metadata).map_err(|error| tree_error(name, &error))
    }
}

/// Reads the names in a directory, up to `limit` or to the first error.
async fn read_names(directory: &Descriptor, limit: Extent) -> (Names, Result<(), ErrorCode>) {
    let (mut stream, result) = directory.read_directory();
    let mut names = Names::default();
    let mut entries = Vec::with_capacity(ENTRIES_AT_ONCE);
    loop {
        let status;
        (status, entries) = stream.read(entries).await;
        for entry in entries.drain(..) {
            if !names.push(entry.name, kind(&entry.type_), limit) {
                return (names, Ok(()));
            }
        }
        if !matches!(status, StreamResult::Complete(_)) {
            return (names, result.await);
        }
    }
}

/// The names that were read before an error. Streams end at the first error, so that a name that is not UTF-8 hides those behind it.
fn checked_names(mut names: Names, result: Result<(), ErrorCode>) -> Result<Names, TreeError> {
    match result {
        Ok(()) => {}
        Err(ErrorCode::IllegalByteSequence) => (names.unreadable, names.is_truncated) = (1, true),
        Err(ErrorCode::NoEntry) => names.is_truncated = true,
        Err(error) => return Err(tree_error("", &error)),
    }
    Ok(names)
}

/// What an entry is, where its own type tells.
fn kind(type_: &DescriptorType) -> Option<Kind> {
    match type_ {
        DescriptorType::RegularFile => Some(Kind::File),
        DescriptorType::Directory => Some(Kind::Directory),
        DescriptorType::SymbolicLink | DescriptorType::Other(_) => None,
        _ => Some(Kind::Other),
    }
}

fn metadata(stat: DescriptorStat) -> Metadata {
    Metadata {
        kind: kind(&stat.type_).unwrap_or(Kind::Other),
        length: stat.size,
        modified: stat.data_modification_timestamp.and_then(timestamp),
        changed: stat.status_change_timestamp.and_then(timestamp),
    }
}

/// What an error says about a path. Errors about the path itself are all "not found"; the others are failures of the
/// system.
fn tree_error(path: &str, error: &ErrorCode) -> TreeError {
    match error {
        ErrorCode::Access
        | ErrorCode::BadDescriptor
        | ErrorCode::IllegalByteSequence
        | ErrorCode::Invalid
        | ErrorCode::IsDirectory
        | ErrorCode::Loop
        | ErrorCode::NameTooLong
        | ErrorCode::NoDevice
        | ErrorCode::NoEntry
        | ErrorCode::NotDirectory
        | ErrorCode::NotPermitted
        | ErrorCode::Unsupported => TreeError::NotFound,
        error => system_failure(path, &error.to_string()),
    }
}

/// Makes a response of a plan, and has its body sent. `is_bounded` tells whether the runtime sends no more of a file's stream than
/// the response's Content-Length.
async fn send(
    plan: Plan<Descriptor>,
    preopen: Preopen,
    is_bounded: bool,
) -> Result<http::Response, http::ErrorCode> {
    let Plan { status, headers, body, .. } = plan;
    let fields: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.as_bytes())).collect();
    let headers = match http::Fields::from_list(&fields) {
        Ok(headers) => headers,
        Err(error) => {
            complain(&refused_field(error)).await;
            return Err(http::ErrorCode::InternalError(None));
        }
    };
    // There are no trailers. This is written when the writer is dropped.
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let contents = match body {
        Body::Empty => {
            drop(trailers);
            None
        }
        Body::File { file, offset, .. } if is_bounded => {
            let (stream, result) = file.read_via_stream(offset);
            spawn_local(async move {
                // A runtime that reads the stream by itself may end the instance, and the stream with it, once no task is left.
                let _ = result.await;
                drop(trailers);
            });
            Some(stream)
        }
        body => {
            let (writer, reader) = wit_stream::new();
            spawn_local(async move {
                // An error after the head cannot be reported: the body ends short of its Content-Length, which the client can tell.
                let _ = copy(body, &preopen, writer).await;
                drop(trailers);
            });
            Some(reader)
        }
    };
    let (response, _) = http::Response::new(headers, contents, no_trailers);
    if status != 200 && response.set_status_code(status).is_err() {
        return Err(http::ErrorCode::InternalError(None));
    }
    Ok(response)
}

/// How many bytes of a file are copied at a time, in bytes. wasmtime takes less than a fifth more processor time than with four times as
/// many, and an instance that answers several requests at once has a buffer for each.
const COPY_BYTES: u64 = 64 * 1024;

/// Writes a body. `None` means that it could not be sent in full.
async fn copy(body: Body<Descriptor>, preopen: &Preopen, mut writer: StreamWriter<u8>) -> Option<()> {
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => {
            write(&mut writer, bytes).await?;
        }
        Body::File { file, offset, length } => copy_piece(&mut writer, &file, offset, length).await?,
        Body::Parts { file, parts, end } => {
            for (head, range) in parts {
                write(&mut writer, head.into_bytes()).await?;
                copy_piece(&mut writer, &file, range.first, range.length()).await?;
            }
            write(&mut writer, end.into_bytes()).await?;
        }
        // Boxed, so that the tasks of other bodies stay small.
        Body::Archive(archive) => match Box::pin(archive.send(preopen, &mut Output(&mut writer))).await {
            Ok(()) => {}
            Err(Cut::Changed(sentence)) => {
                complain(&sentence).await;
                return None;
            }
            Err(Cut::Closed) => return None,
        },
    }
    Some(())
}

/// A body, as something that takes an archive.
struct Output<'a>(&'a mut StreamWriter<u8>);

impl Sink<Descriptor> for Output<'_> {
    async fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        write(self.0, bytes.to_owned()).await.map(drop)
    }

    async fn file(&mut self, file: Descriptor, length: u64) -> Option<()> {
        copy_piece(self.0, &file, 0, length).await
    }
}

/// Writes bytes, and returns the empty buffer.
async fn write(writer: &mut StreamWriter<u8>, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let rest = writer.write_all(bytes).await;
    rest.is_empty().then_some(rest)
}

/// Copies exactly `length` bytes of a file. A file that became shorter ends the body early with an error, and one that became longer
/// is cut.
async fn copy_piece(
    writer: &mut StreamWriter<u8>,
    file: &Descriptor,
    offset: u64,
    length: u64,
) -> Option<()> {
    let (mut stream, _) = file.read_via_stream(offset);
    let mut remaining = length;
    let mut buffer = Vec::new();
    while remaining > 0 {
        let wanted = remaining.min(COPY_BYTES) as usize;
        // No more than is wanted is read.
        if buffer.capacity() != wanted {
            buffer = Vec::with_capacity(wanted);
        }
        let (status, mut bytes) = stream.read(buffer).await;
        bytes.truncate(wanted);
        remaining -= bytes.len() as u64;
        if !matches!(status, StreamResult::Complete(_)) {
            return None;
        }
        buffer = write(writer, bytes).await?;
    }
    Some(())
}
