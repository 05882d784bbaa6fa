//! Bodies on their way between guests and connections, outside of the guests.
//!
//! A guest writes a body into a queue with a [`BodyWriter`], and the connection takes it out at the other end, as
//! [`Outgoing`]. The queue holds bytes and, where a guest hands over a file with one `splice`, [`FileRange`]s, of which
//! nothing is read before the connection asks. So a guest that serves a file has ended before its first byte is sent,
//! and a slow client holds no instance.
//!
//! A plain TCP socket sends ranges of files by `sendfile`: a [`SocketBody`] hands them to it through [`SocketFiles`],
//! beside the HTTP library, which sees [`Placeholder`]s. With HTTP/2, a range is read as the window of its stream allows.
//! Elsewhere, and where a range is small, it is read into memory.
//!
//! - [`writer`]: the guest's end; [`outgoing`]: the connection's end, which may have the body of another component in it
//! - [`gzip`]: a body that is compressed between the two
//! - [`source`]: files as guests read them through streams
//! - [`socket_body`], [`socket_files`]: the way to the socket
//! - [`memory`]: how many bytes of bodies are in memory at a time, in all
//! - [`incoming`]: the body of a request

mod gzip;
mod incoming;
mod memory;
mod outgoing;
mod socket_body;
mod socket_files;
mod source;
mod writer;

pub use gzip::Gzip;
pub use incoming::{IncomingEnd, RequestBody, TooSlow, request_body};
pub use memory::{Buffered, scarcity};
pub use outgoing::{Incomplete, Outgoing, OutgoingEnd, Part, READ_MAX, Source, read_some};
pub use socket_body::{Data, SocketBody};
pub use socket_files::{MAX_PLACEHOLDER, Placeholder, SendError, SocketFiles, is_placeholder};
pub use source::{FileSource, FileStream, METADATA_TTL, Taken, TimedLength};
pub use writer::{BodyOutput, BodyStream, BodyWriter, WrongLength};

use http::HeaderMap;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use tokio::sync::oneshot;

/// Bytes that a guest may write ahead of the connection. Most bodies that guests write themselves (pages, listings) are
/// shorter, so that the guest need not wait for the client.
const MAX_AHEAD: usize = 64 * 1024;

/// Pieces that may be in a queue, so that many small ones cost no more memory than few large ones.
const MAX_PIECES: usize = 1_024;

/// Ranges of files that may be in a queue, because each holds an open file. A response has up to 16 ranges of one file; an archive has
/// one of each of its files.
const MAX_RANGES: usize = 32;

/// A range of a file, sent with the content that it has at that moment.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file.
    pub file: Arc<File>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// A piece of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Bytes(Buffered),
    /// A range of a file, of which nothing was read yet.
    File(FileRange),
}

/// How a body ends.
#[derive(Debug)]
enum End {
    /// Completely, perhaps with trailers.
    Finished(Option<HeaderMap>),
    /// Short of its end: the guest gave up, or ended before it had finished the body.
    Unfinished,
}

/// What the two ends share.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes in the queue, without those of files.
    buffered: usize,
    /// Ranges of files in the queue.
    ranges: usize,
    /// `None` while more may come.
    end: Option<End>,
    /// Whether the connection's end is gone.
    abandoned: bool,
    /// Waits for a piece or the end.
    reader: Option<Waker>,
    /// Waits for room.
    writer: Option<Waker>,
    /// Waits for the end, or for the connection's end to go.
    watcher: Option<Waker>,
    /// Takes whether the connection's end has taken all of it.
    sent: Option<oneshot::Sender<bool>>,
}

/// A queue that both ends refer to.
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
        if self.pieces.len() < MAX_PIECES && self.ranges < MAX_RANGES {
            bytes_ahead().saturating_sub(self.buffered)
        } else {
            0
        }
    }

    fn push(&mut self, piece: Piece) {
        self.count(&piece);
        self.pieces.push_back(piece);
        self.wake_reader();
    }

    /// Puts back what was taken last.
    fn put_back(&mut self, piece: Piece) {
        self.count(&piece);
        self.pieces.push_front(piece);
    }

    /// Takes the first piece.
    fn pop(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        match &piece {
            Piece::Bytes(bytes) => self.buffered -= bytes.len(),
            Piece::File(_) => self.ranges -= 1,
        }
        self.wake_writer();
        Some(piece)
    }

    fn count(&mut self, piece: &Piece) {
        match piece {
            Piece::Bytes(bytes) => self.buffered += bytes.len(),
            Piece::File(_) => self.ranges += 1,
        }
    }

    /// Ends the body, unless it has ended already.
    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.wake_reader();
            self.wake_watcher();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wake_watcher(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    fn tell_sent(&mut self, is_complete: bool) {
        if let Some(sent) = self.sent.take() {
            // The receiver may be gone.
            let _ = sent.send(is_complete);
        }
    }
}

/// Bytes that a guest may write ahead of the connection now.
pub fn bytes_ahead() -> usize {
    memory::allowance(MAX_AHEAD)
}

/// A new body: the end where a guest writes, and the end where a connection takes. With a length, the body is complete
/// when it has exactly that many bytes.
pub fn body(length: Option<u64>) -> (BodyWriter, Outgoing) {
    let queue = Shared::default();
    (BodyWriter::new(queue.clone(), length), Outgoing::new(queue))
}
