//! The adapter to WASI 0.2: reads the request, opens files through the preopen, sends the plan.
//!
//! Nothing is decided here. In 0.2 every call blocks until it is done, so the futures of the pure modules are ready the
//! first time they are asked.

use crate::answer;
use crate::config::Settings;
use crate::path::RelativePath;
use crate::request::{Headers, Method, Request};
use crate::resolve::{Extent, Kind, Metadata, Names, Timestamp, Tree, TreeError};
use crate::response::{Body, Plan};
use anyhow::{Context as _, Result, anyhow};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasi::cli::{environment, stderr};
use wasi::clocks::wall_clock;
use wasi::filesystem::preopens;
use wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use wasi::http::types as http;
use wasi::io::streams::{OutputStream, StreamError};

/// The bindings of the world, the one place where code is generated and may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "file-server",
        with: {
            "wasi:cli/environment@0.2.12": wasi::cli::environment,
            "wasi:cli/stderr@0.2.12": wasi::cli::stderr,
            "wasi:clocks/monotonic-clock@0.2.12": wasi::clocks::monotonic_clock,
            "wasi:clocks/wall-clock@0.2.12": wasi::clocks::wall_clock,
            "wasi:filesystem/preopens@0.2.12": wasi::filesystem::preopens,
            "wasi:filesystem/types@0.2.12": wasi::filesystem::types,
            "wasi:http/types@0.2.12": wasi::http::types,
            "wasi:io/error@0.2.12": wasi::io::error,
            "wasi:io/poll@0.2.12": wasi::io::poll,
            "wasi:io/streams@0.2.12": wasi::io::streams,
        },
    });

    export!(FileServer with_types_in self);
    use super::FileServer;
}

struct FileServer;

impl bindings::exports::wasi::http::incoming_handler::Guest for FileServer {
    fn handle(request: http::IncomingRequest, outparam: http::ResponseOutparam) {
        let request = read_request(&request);
        let mut plan = match Settings::from_environment(&environment::get_environment()) {
            Ok(settings) => block_on(answer::respond(&Preopen::first(), &settings, &request, now)),
            Err(error) => answer::misconfigured(&error, &request),
        };
        if let Some(complaint) = plan.complaint.take() {
            complain(&complaint);
        }
        // Once the head is out there is nobody left to tell of an error: the body is dropped unfinished, and the
        // runtime closes the connection short of its Content-Length, which the client can tell.
        let _ = send(plan, outparam);
    }
}

/// Tells the operator what is wrong. Where that fails too, there is nobody left to tell.
fn complain(sentence: &str) {
    let _ = write_all(&stderr::get_stderr(), format!("{sentence}\n").as_bytes());
}

fn read_request(request: &http::IncomingRequest) -> Request {
    let method = match request.method() {
        http::Method::Get => Method::Get,
        http::Method::Head => Method::Head,
        http::Method::Options => Method::Options,
        _ => Method::Other,
    };
    Request {
        method,
        target: request.path_with_query().unwrap_or_default(),
        headers: Headers::new(request.headers().entries()),
    }
}

fn now() -> Timestamp {
    let now = wall_clock::now();
    Timestamp { seconds: now.seconds, nanoseconds: now.nanoseconds }
}

/// How many bytes of a file are read at a time: what runtimes give at most.
const PIECE: u64 = 64 * 1024;

/// The directory that is served: the first preopen, whatever its name. There may be none.
struct Preopen(Option<Descriptor>);

impl Preopen {
    fn first() -> Self {
        Self(preopens::get_directories().into_iter().next().map(|(directory, _)| directory))
    }

    fn directory(&self) -> Result<&Descriptor, TreeError> {
        self.0.as_ref().ok_or(TreeError::NotFound)
    }

    fn open_at(&self, path: &RelativePath, flags: OpenFlags) -> Result<Descriptor, TreeError> {
        let directory = self.directory()?;
        Ok(directory.open_at(PathFlags::SYMLINK_FOLLOW, written(path), flags, DescriptorFlags::READ)?)
    }
}

impl Tree for Preopen {
    type File = Descriptor;

    async fn stat(&self, path: &RelativePath) -> Result<Metadata, TreeError> {
        let stat = self.directory()?.stat_at(PathFlags::SYMLINK_FOLLOW, written(path))?;
        Ok(metadata(&stat))
    }

    async fn open(&self, path: &RelativePath) -> Result<(Descriptor, Metadata), TreeError> {
        let file = self.open_at(path, OpenFlags::empty())?;
        let metadata = metadata(&file.stat()?);
        Ok((file, metadata))
    }

    async fn read(&self, file: &Descriptor, offset: u64) -> Result<Vec<u8>, TreeError> {
        Ok(file.read(PIECE, offset)?.0)
    }

    async fn list(&self, path: &RelativePath, largest: Extent) -> Result<Names, TreeError> {
        let stream = self.open_at(path, OpenFlags::DIRECTORY)?.read_directory()?;
        let mut names = Names::default();
        loop {
            match stream.read_directory_entry() {
                Ok(Some(entry)) => names.push(entry.name, kind(entry.type_), largest)?,
                Ok(None) => return Ok(names),
                Err(ErrorCode::IllegalByteSequence) => names.unreadable += 1,
                // It has gone since.
                Err(ErrorCode::NoEntry) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A path as `wasi:filesystem` takes it: the root is not the empty one there.
fn written(path: &RelativePath) -> &str {
    if path.as_str().is_empty() { "." } else { path.as_str() }
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

fn metadata(stat: &DescriptorStat) -> Metadata {
    Metadata {
        kind: kind(stat.type_).unwrap_or(Kind::Other),
        length: stat.size,
        modified: stat
            .data_modification_timestamp
            .map(|time| Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }),
    }
}

impl From<ErrorCode> for TreeError {
    /// Whatever says something about the path is the same "not found"; the rest is a fault of the system.
    fn from(error: ErrorCode) -> Self {
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
            | ErrorCode::Unsupported => Self::NotFound,
            _ => Self::Failed,
        }
    }
}

/// Sends a plan. An error means that the response could not be made or that the body could not be sent in full.
fn send(plan: Plan<Descriptor>, outparam: http::ResponseOutparam) -> Result<()> {
    let Plan { status, headers, body, complaint: _ } = plan;
    let fields: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.into_owned(), value.into_bytes())).collect();
    let headers = http::Fields::from_list(&fields).map_err(|error| {
        complain(&format!(
            "the runtime refuses a header field of the answer ({error}); see FILES_HEADERS and _headers"
        ));
        anyhow!("a header field was refused")
    })?;
    let response = http::OutgoingResponse::new(headers);
    if status != 200 {
        response.set_status_code(status).map_err(|()| anyhow!("the status {status} was refused"))?;
    }
    // A response whose body was never asked for has none, and may keep the Content-Length that a HEAD must show.
    if let Body::Empty = body {
        http::ResponseOutparam::set(outparam, Ok(response));
        return Ok(());
    }
    let outgoing = response.body().map_err(|()| anyhow!("the body was refused"))?;
    let stream = outgoing.write().map_err(|()| anyhow!("the body's stream was refused"))?;
    http::ResponseOutparam::set(outparam, Ok(response));
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => write_all(&stream, &bytes)?,
        Body::File { file, offset, length } => splice(&stream, &file, offset, length)?,
        Body::Parts { file, parts, end } => {
            for (head, range) in parts {
                write_all(&stream, head.as_bytes())?;
                splice(&stream, &file, range.first, range.length())?;
            }
            write_all(&stream, end.as_bytes())?;
        }
    }
    drop(stream);
    http::OutgoingBody::finish(outgoing, None).context("the body does not have its promised length")
}

/// Writes bytes in pieces that `blocking-write-and-flush` takes: at most 4,096 at a time.
fn write_all(stream: &OutputStream, bytes: &[u8]) -> Result<(), StreamError> {
    bytes.chunks(4096).try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

/// Moves exactly `length` bytes of a file into the body; none of them enters the guest's memory. A file that has become
/// shorter ends it early with an error.
fn splice(stream: &OutputStream, file: &Descriptor, offset: u64, length: u64) -> Result<()> {
    let source = file.read_via_stream(offset)?;
    let mut remaining = length;
    while remaining > 0 {
        let moved = stream.blocking_splice(&source, remaining)?;
        remaining = remaining.checked_sub(moved).context("the runtime moved more than it was asked to")?;
    }
    Ok(())
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
