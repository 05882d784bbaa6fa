//! A body on its way to a [`Socket`](super::Socket): ranges of files pass the HTTP library as placeholders.

use super::outgoing::{CHUNK, Part};
use super::socket::Placeholder;
use super::{Incomplete, Outgoing, Piece, SocketFiles};
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::fmt::Display;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The smallest range that is left to the socket, in bytes: for fewer, the calls that it takes cost more than to read
/// them and to write them along with the head.
const LEAST: u64 = 32 * 1024;

/// How much of a range is left to the socket at a time, in bytes: what a client may be ahead of in the access log, and
/// enough for the cost of the calls not to matter.
const MOST: u64 = 256 * 1024;

/// A piece of a message, as the HTTP library has it.
#[derive(Debug)]
pub enum Data {
    /// Bytes.
    Bytes(Bytes),
    /// A range of a file, which the socket has: its bytes here mean nothing.
    File(Placeholder),
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
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

/// A body for a connection; with [`SocketFiles`], for one whose socket sends files.
pub struct SocketBody {
    outgoing: Outgoing,
    files: Option<SocketFiles>,
    /// What is said in the log if a file fails the socket.
    subject: Arc<dyn Display + Send + Sync>,
}

impl SocketBody {
    /// Sends `outgoing`, which answers `subject`.
    pub fn new(
        outgoing: Outgoing,
        files: Option<SocketFiles>,
        subject: Arc<dyn Display + Send + Sync>,
    ) -> Self {
        Self { outgoing, files, subject }
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
        let most = if this.files.is_some() { MOST } else { CHUNK as u64 };
        let frame = ready!(this.outgoing.poll_part(context, most)).map(|part| {
            let data = match (part?, &this.files) {
                (Part::Trailers(trailers), _) => return Ok(Frame::trailers(trailers)),
                (Part::Piece(Piece::Bytes(bytes)), _) => Data::Bytes(bytes),
                (Part::Piece(Piece::File(range)), Some(files)) if range.length >= LEAST => {
                    Data::File(files.add(range, Arc::clone(&this.subject)))
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
