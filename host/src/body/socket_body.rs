//! A body on its way to a socket that sends files by itself: ranges pass the HTTP library as placeholders.

use super::memory::Buffered;
use super::outgoing::{Part, READ_MAX};
use super::{Incomplete, MAX_PLACEHOLDER, Outgoing, Piece, Placeholder, SocketFiles};
use crate::report::Subject;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The shortest range that the socket sends by itself, in bytes: below, reading it and writing it along with the head
/// costs less than the system calls of sending it apart.
const SENDFILE_MIN: u64 = 32 * 1024;

/// A piece of a message, as the HTTP library has it.
#[derive(Debug)]
pub enum Data {
    /// Bytes.
    Bytes(Buffered),
    /// A range of a file that the socket sends. These bytes cannot be read.
    File(Placeholder),
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.remaining(),
            Self::File(placeholder) => placeholder.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.chunk(),
            Self::File(placeholder) => placeholder.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.chunks_vectored(slices),
            Self::File(placeholder) => placeholder.chunks_vectored(slices),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::File(placeholder) => placeholder.advance(count),
        }
    }
}

/// A body for a connection.
pub struct SocketBody {
    outgoing: Outgoing,
    files: Option<SocketFiles>,
    subject: Subject,
}

impl SocketBody {
    /// Sends `outgoing`, which answers `subject`. `files` belongs to the socket, where that sends files by itself.
    pub fn new(outgoing: Outgoing, files: Option<SocketFiles>, subject: Subject) -> Self {
        Self { outgoing, files, subject }
    }
}

impl SocketBody {
    /// The next part, for something that reads or sends files itself; `None` at the end. Of a file, at most `file_max` bytes.
    pub fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        self.outgoing.poll_part(context, file_max)
    }

    /// The body without its way to the socket.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }
}

impl Body for SocketBody {
    type Data = Data;
    type Error = Incomplete;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Incomplete>>> {
        let this = self.get_mut();
        // The access log counts what was taken: the client may be behind it by this much.
        let file_max = if this.files.is_some() { MAX_PLACEHOLDER } else { READ_MAX };
        let frame = ready!(this.outgoing.poll_part(context, file_max as u64)).map(|part| {
            let data = match (part?, &this.files) {
                (Part::Trailers(trailers), _) => return Ok(Frame::trailers(trailers)),
                (Part::Piece(Piece::Bytes(bytes)), _) => Data::Bytes(bytes),
                (Part::Piece(Piece::File(range)), Some(files)) if range.length >= SENDFILE_MIN => {
                    // A shorter range is the last one of its piece.
                    let is_whole = range.length == MAX_PLACEHOLDER as u64;
                    let after = if is_whole { this.outgoing.left() } else { None };
                    Data::File(files.add(range, after.unwrap_or(0), this.subject.clone()))
                }
                (Part::Piece(Piece::File(range)), _) => Data::Bytes(this.outgoing.read(range)?),
            };
            Ok(Frame::data(data))
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.outgoing.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.outgoing.size_hint()
    }
}
