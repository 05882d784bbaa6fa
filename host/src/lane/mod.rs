//! Bodies on their way from a guest to a connection, outside of the guest.
//!
//! A guest writes a body into a [queue](Writer), and the connection takes it out at the other end, as [`Outgoing`]. What
//! is in it are bytes and, where a guest hands a file over with one `splice`, [ranges of files](FileRange): nothing of
//! those is read before the connection asks for it. So a guest that serves files has ended before the first byte is
//! sent, and however slowly a client reads, it holds no instance.
//!
//! A [`Socket`] that nothing stands before, such as encryption, sends ranges of files by `sendfile`, without their bytes
//! ever being in this process: a [`SocketBody`] hands them over beside the HTTP library, which sees
//! [placeholders](Data). Elsewhere, and where ranges are small, they are read into buffers.
//!
//! The queue knows whether the guest has finished the body, or was gone before it could; a length that was promised is
//! kept or the body fails.

mod outgoing;
mod socket;
mod socket_body;
mod source;
mod writer;

pub use outgoing::{Incomplete, Outgoing};
pub use socket::{Socket, SocketFiles};
pub use socket_body::{Data, SocketBody};
pub use source::{ALIKE, FileSource, FileStream, KnownLength};
pub use writer::{BodyOutput, BodyStream, Writer, WrongLength};

use bytes::Bytes;
use http::HeaderMap;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Bytes that a guest may write ahead of the connection. Most bodies that guests write themselves (pages, listings) are
/// shorter, so that the guest need not wait for the client.
const AHEAD: usize = 64 * 1024;

/// Pieces that may be in a queue, so that many small ones cost no more than few large ones.
const MOST_PIECES: usize = 1_024;

/// A range of a file, to be sent as it is then.
#[derive(Clone, Debug)]
struct FileRange {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

/// A piece of a body.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Bytes),
    File(FileRange),
}

/// How a body ends.
#[derive(Debug)]
enum End {
    /// As it should, perhaps with trailers.
    Finished(Option<HeaderMap>),
    /// Short of its end: the guest gave up, or was gone.
    Unfinished,
}

/// What the two ends share.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes, not counting those of files.
    buffered: usize,
    /// `None` while more may come.
    end: Option<End>,
    /// Whether nobody takes anything out any more.
    abandoned: bool,
    /// Who waits for a piece or the end.
    reader: Option<Waker>,
    /// Who waits for room.
    writer: Option<Waker>,
}

/// Both ends' way to the queue.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Queue>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Bytes that may be written now.
    fn room(&self) -> usize {
        if self.pieces.len() < MOST_PIECES { AHEAD.saturating_sub(self.buffered) } else { 0 }
    }

    fn push(&mut self, piece: Piece) {
        if let Piece::Bytes(bytes) = &piece {
            self.buffered += bytes.len();
        }
        self.pieces.push_back(piece);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A new body: where a guest writes it, and where a connection takes it. With a length, exactly so many bytes make it
/// complete.
pub fn body(length: Option<u64>) -> (Writer, Outgoing) {
    let queue = Shared::default();
    (Writer::new(queue.clone(), length), Outgoing::new(queue))
}
