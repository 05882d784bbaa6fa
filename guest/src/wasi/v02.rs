//! The adapter to WASI 0.2: reads the request, opens files through the preopen, sends the plan.
//!
//! Every call of WASI 0.2 blocks until it is done, so the futures of the pure modules are ready when they are first polled.

use super::{
    FIRST_READ_BYTES, NO_DIRECTORY, exchange, path_argument, prepared, refused_field, system_failure,
};
use crate::answer;
use crate::archive::{Archive, Cut, Sink};
use crate::path::RelativePath;
use crate::request::{Headers, Lines, Lookup, Method, Name, Request};
use crate::response::{Body, Plan};
use crate::tree::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use bindings::wasi::cli::{environment, stderr};
use bindings::wasi::clocks::wall_clock::{self, Datetime};
use bindings::wasi::filesystem::preopens;
use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use bindings::wasi::http::types as http;
use bindings::wasi::io::streams::OutputStream;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The bindings of the world, the one place where code is generated and may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "file-server",
        ownership: Borrowing { duplicate_if_necessary: false },
        generate_all,
    });

    export!(FileServer with_types_in self);
    use super::FileServer;
}

struct FileServer;

impl bindings::exports::wasi::http::incoming_handler::Guest for FileServer {
    fn handle(request: http::IncomingRequest, outparam: http::ResponseOutparam) {
        let preopen = Preopen::first();
        let plan;
        let plan = match exchange::decided() {
            Some(decided) => decided,
            None => {
                let request = read_request(&request, prepared::get_or_read(|| {}).is_by_host);
                plan = decide(&preopen, &request);
                &plan
            }
        };
        // An error after the head cannot be reported: the body is dropped unfinished, and the runtime closes the connection
        // short of its Content-Length, which the client can tell.
        let _ = send(plan, &preopen, outparam);
    }
}

/// An opened file.
pub(super) type File = Descriptor;

/// Decides the answer to a request, and tells the operator what is wrong with the site, if something is.
pub(super) fn decide(preopen: &Preopen, request: &Request) -> Plan<Descriptor> {
    let settings = &prepared::get_or_read(|| {}).outcome;
    let mut plan = block_on(answer::handle(preopen, settings.as_ref(), request, now));
    if let Some(complaint) = plan.complaint.take() {
        complain(&complaint);
    }
    plan
}

/// The environment, for the settings.
pub(super) fn environment() -> Vec<(String, String)> {
    environment::get_environment()
}

/// Tells the operator what is wrong. Where that fails too, there is no other way.
fn complain(sentence: &str) {
    let _ = write_all(&stderr::get_stderr(), format!("{sentence}\n").as_bytes());
}

/// The fields of a message, each read when it is asked for.
impl Lookup for http::Headers {
    fn lines(&self, name: Name) -> Lines {
        // The fields of conditions and ranges are rare, and this call copies nothing.
        if !name.is_usual() && !self.has(name.as_str()) {
            return Lines::new();
        }
        self.get(name.as_str())
    }
}

/// Reads a request. A host that has the settings [`prepared`] also has cheap calls, so that fields are looked up by name. Elsewhere, one call
/// for all fields takes less time than one for each of them.
fn read_request(request: &http::IncomingRequest, is_prepared: bool) -> Request {
    let method = match request.method() {
        http::Method::Get => Method::Get,
        http::Method::Head => Method::Head,
        http::Method::Options => Method::Options,
        _ => Method::Other,
    };
    let fields = request.headers();
    Request {
        method,
        target: request.path_with_query().unwrap_or_default(),
        headers: if is_prepared { Headers::new(fields) } else { Headers::new(fields.entries()) },
    }
}

fn now() -> Timestamp {
    timestamp(wall_clock::now())
}

fn timestamp(time: Datetime) -> Timestamp {
    Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

/// The served directory: the first preopen, whatever its name. There may be none.
pub(super) struct Preopen(Option<Descriptor>);

impl Preopen {
    /// The directory of this handle; none if it is 0.
    #[allow(unsafe_code, reason = "the generated function is as safe as the handle is valid")]
    pub(super) fn given(handle: u32) -> Self {
        // SAFETY: the host has just made the handle for the component to own.
        Self((handle != 0).then(|| unsafe { Descriptor::from_handle(handle) }))
    }

    fn first() -> Self {
        Self(preopens::get_directories().into_iter().next().map(|(directory, _)| directory))
    }

    fn directory(&self) -> Result<&Descriptor, TreeError> {
        self.0.as_ref().ok_or_else(|| TreeError::Failed(NO_DIRECTORY.to_owned()))
    }

    fn open_at(&self, path: &RelativePath, flags: OpenFlags) -> Result<Descriptor, TreeError> {
        let directory = self.directory()?;
        let opened =
            directory.open_at(PathFlags::SYMLINK_FOLLOW, path_argument(path), flags, DescriptorFlags::READ);
        opened.map_err(|error| tree_error(path.as_str(), error))
    }
}

impl Tree for Preopen {
    type File = Descriptor;
    type Directory = Descriptor;

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        let stat = self.directory()?.stat_at(PathFlags::SYMLINK_FOLLOW, path_argument(path));
        stat.map(metadata).map_err(|error| tree_error(path.as_str(), error))
    }

    async fn exists(&self, path: &RelativePath) -> Result<bool, TreeError> {
        match self.directory()?.stat_at(PathFlags::empty(), path_argument(path)) {
            Ok(_) => Ok(true),
            Err(error) => match tree_error(path.as_str(), error) {
                TreeError::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn is_link(&self, path: &RelativePath) -> Result<bool, TreeError> {
        let stat = self.directory()?.stat_at(PathFlags::empty(), path_argument(path));
        let stat = stat.map_err(|error| tree_error(path.as_str(), error))?;
        Ok(stat.type_ == DescriptorType::SymbolicLink)
    }

    async fn open(&self, path: &RelativePath) -> Result<(Descriptor, Metadata), TreeError> {
        let file = self.open_at(path, OpenFlags::empty())?;
        let stat = file.stat().map_err(|error| tree_error(path.as_str(), error))?;
        Ok((file, metadata(stat)))
    }

    async fn read_start(&self, path: &RelativePath, limit: usize) -> Result<Vec<u8>, TreeError> {
        let failed = |error| tree_error(path.as_str(), error);
        let file = self.open_at(path, OpenFlags::empty())?;
        let first = FIRST_READ_BYTES.min(limit);
        let (bytes, is_end) = file.read(first as u64, 0).map_err(failed)?;
        if is_end || bytes.len() < first {
            return Ok(bytes);
        }
        // A larger file is read again, whole: that takes less than putting its pieces together.
        let length = file.stat().map_err(failed)?.size.min(limit as u64);
        drop(bytes);
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let offset = bytes.len() as u64;
            let (mut piece, is_end) = file.read(length - offset, offset).map_err(failed)?;
            if bytes.is_empty() {
                bytes = piece;
            } else {
                bytes.append(&mut piece);
            }
            if is_end {
                break;
            }
        }
        Ok(bytes)
    }

    async fn open_directory(&self, path: &RelativePath) -> Result<Descriptor, TreeError> {
        self.open_at(path, OpenFlags::DIRECTORY)
    }

    async fn names(&self, directory: &Descriptor, limit: Extent) -> Result<Names, TreeError> {
        let stream = directory.read_directory().map_err(|error| tree_error("", error))?;
        let mut names = Names::default();
        loop {
            match stream.read_directory_entry() {
                Ok(Some(entry)) => {
                    if !names.push(entry.name, kind(entry.type_), limit) {
                        return Ok(names);
                    }
                }
                Ok(None) => return Ok(names),
                Err(ErrorCode::IllegalByteSequence) => names.unreadable += 1,
                // The entry has gone since.
                Err(ErrorCode::NoEntry) => {}
                Err(error) => return Err(tree_error("", error)),
            }
        }
    }

    async fn stat_in(&self, directory: &Descriptor, name: &str) -> Result<Metadata, TreeError> {
        let stat = directory.stat_at(PathFlags::SYMLINK_FOLLOW, name);
        stat.map(metadata).map_err(|error| tree_error(name, error))
    }
}

/// What an entry is, where its own type tells.
fn kind(type_: DescriptorType) -> Option<Kind> {
    match type_ {
        DescriptorType::RegularFile => Some(Kind::File),
        DescriptorType::Directory => Some(Kind::Directory),
        DescriptorType::SymbolicLink | DescriptorType::Unknown => None,
        _ => Some(Kind::Other),
    }
}

fn metadata(stat: DescriptorStat) -> Metadata {
    Metadata {
        kind: kind(stat.type_).unwrap_or(Kind::Other),
        length: stat.size,
        modified: stat.data_modification_timestamp.map(timestamp),
        changed: stat.status_change_timestamp.map(timestamp),
    }
}

/// What an error says about a path. Errors about the path itself are all "not found"; the others are failures of the
/// system.
fn tree_error(path: &str, error: ErrorCode) -> TreeError {
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
        _ => system_failure(path, error.name()),
    }
}

/// Sends a plan. `None` means that the response could not be made or that the body could not be sent in full.
fn send(plan: &Plan<Descriptor>, preopen: &Preopen, outparam: http::ResponseOutparam) -> Option<()> {
    let Plan { status, headers, body, .. } = plan;
    let fields: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.as_bytes())).collect();
    let headers = http::Fields::from_list(&fields);
    let headers = headers.map_err(|error| complain(&refused_field(error)));
    let response = http::OutgoingResponse::new(headers.ok()?);
    if *status != 200 {
        response.set_status_code(*status).ok()?;
    }
    // A response whose body is never taken has none, and may keep the Content-Length that a HEAD must show.
    if let Body::Empty = body {
        http::ResponseOutparam::set(outparam, Ok(response));
        return Some(());
    }
    let outgoing = response.body().ok()?;
    let stream = outgoing.write().ok()?;
    http::ResponseOutparam::set(outparam, Ok(response));
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => write_all(&stream, bytes)?,
        Body::File { file, offset, length } => splice(&stream, file, *offset, *length)?,
        Body::Parts { file, parts, end } => {
            for (head, range) in parts {
                write_all(&stream, head.as_bytes())?;
                splice(&stream, file, range.first, range.length())?;
            }
            write_all(&stream, end.as_bytes())?;
        }
        Body::Archive(archive) => send_archive(archive, preopen, &stream)?,
    }
    drop(stream);
    http::OutgoingBody::finish(outgoing, None).ok()
}

/// Sends an archive. It has a function of its own, so that those of other bodies need no room for it on the stack.
#[inline(never)]
fn send_archive(archive: &Archive, preopen: &Preopen, stream: &OutputStream) -> Option<()> {
    match block_on(archive.send(preopen, &mut Output(stream))) {
        Ok(()) => Some(()),
        Err(Cut::Changed(sentence)) => {
            complain(&sentence);
            None
        }
        Err(Cut::Closed) => None,
    }
}

/// A body, as something that takes an archive.
struct Output<'a>(&'a OutputStream);

impl Sink<Descriptor> for Output<'_> {
    async fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        write_all(self.0, bytes)
    }

    async fn file(&mut self, file: Descriptor, length: u64) -> Option<()> {
        splice(self.0, &file, 0, length)
    }
}

/// How many bytes `blocking-write-and-flush` takes at a time.
const WRITE_MAX_BYTES: usize = 4096;

/// Writes bytes. Each function that a component imports costs an instance a thousand instructions, so this one does for the
/// short texts that the server writes and for its listings.
fn write_all(stream: &OutputStream, bytes: &[u8]) -> Option<()> {
    bytes.chunks(WRITE_MAX_BYTES).try_for_each(|piece| stream.blocking_write_and_flush(piece).ok())
}

/// Moves exactly `length` bytes of a file into the body, without a copy in the guest's memory. A file that became shorter ends
/// it early with an error.
fn splice(stream: &OutputStream, file: &Descriptor, offset: u64, length: u64) -> Option<()> {
    let source = file.read_via_stream(offset).ok()?;
    let mut remaining = length;
    while remaining > 0 {
        let moved = stream.blocking_splice(&source, remaining).ok()?;
        // A runtime that moves more than it was asked to has broken the body's length.
        remaining = remaining.checked_sub(moved)?;
    }
    Some(())
}

/// The result of a future that never waits.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        // Every call of WASI 0.2 has returned by now, so this is one turn.
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
