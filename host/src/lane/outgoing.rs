//! The connection's end of a body.

use super::{End, FileRange, Piece, Shared};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;

/// How much of a file is read at a time, in bytes. It is what a slow client holds in memory, and large enough for the
/// cost of the calls not to matter.
pub(super) const CHUNK: usize = 64 * 1024;

/// The body cannot be completed: the client is told by the connection being closed short of its end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Incomplete {
    /// The guest gave up, or was gone.
    #[error("the guest ended without finishing its response")]
    Guest,
    /// A file has become shorter than it was when it was handed over.
    #[error("a file has become shorter while it was sent")]
    Shrunk,
    /// A file can no longer be read.
    #[error("a file cannot be read any more")]
    Unreadable,
}

/// What a connection takes a body from. As it is, files are read as they are asked for; [`SocketBody`](super::SocketBody)
/// leaves that to the socket.
#[derive(Debug)]
pub struct Outgoing(Shared);

/// The next part of a body.
#[derive(Debug)]
pub(super) enum Part {
    /// Bytes, or a range of a file that nobody has read yet.
    Piece(Piece),
    /// The last part, where there is one.
    Trailers(HeaderMap),
}

impl Outgoing {
    pub(super) fn new(queue: Shared) -> Self {
        Self(queue)
    }

    /// A body without a byte.
    pub fn empty() -> Self {
        let queue = Shared::default();
        queue.lock().finish(End::Finished(None));
        Self(queue)
    }

    /// Bytes that are still to come, if the end is known and is as it should be.
    fn left(&self) -> Option<u64> {
        let queue = self.0.lock();
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(range) => range.length,
        };
        matches!(queue.end, Some(End::Finished(None))).then(|| queue.pieces.iter().map(length).sum())
    }

    /// The next part, with at most `most` bytes if it is of a file; `None` at the end.
    pub(super) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        most: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        let mut queue = self.0.lock();
        if let Some(Piece::File(range)) = queue.pieces.front_mut()
            && range.length > most
        {
            let part = FileRange { length: most, ..range.clone() };
            range.offset += most;
            range.length -= most;
            return Poll::Ready(Some(Ok(Part::Piece(Piece::File(part)))));
        }
        if let Some(piece) = queue.pieces.pop_front() {
            if let Piece::Bytes(bytes) = &piece {
                queue.buffered -= bytes.len();
            }
            if let Some(writer) = queue.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Part::Piece(piece))));
        }
        let Some(end) = queue.end.replace(End::Finished(None)) else {
            queue.end = None;
            queue.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(match end {
            End::Finished(trailers) => trailers.map(|trailers| Ok(Part::Trailers(trailers))),
            End::Unfinished => Some(Err(Incomplete::Guest)),
        })
    }

    /// Reads a range that was taken out. What a single call does not give comes next.
    pub(super) fn read(&mut self, range: FileRange) -> Result<Bytes, Incomplete> {
        let bytes = read(&range.file, range.offset, range.length)?;
        let read = bytes.len() as u64;
        if read < range.length {
            let rest = FileRange { offset: range.offset + read, length: range.length - read, ..range };
            self.0.lock().pieces.push_front(Piece::File(rest));
        }
        Ok(bytes)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_part(context, CHUNK as u64)).map(|part| match part? {
            Part::Piece(Piece::Bytes(bytes)) => Ok(Frame::data(bytes)),
            Part::Piece(Piece::File(range)) => this.read(range).map(Frame::data),
            Part::Trailers(trailers) => Ok(Frame::trailers(trailers)),
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        // Only an end that is known to come may be promised.
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.abandoned = true;
        queue.pieces.clear();
        if let Some(writer) = queue.writer.take() {
            writer.wake();
        }
    }
}

/// The next bytes of a range.
fn read(file: &std::fs::File, offset: u64, length: u64) -> Result<Bytes, Incomplete> {
    let size = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
    let mut bytes = Vec::with_capacity(size);
    loop {
        match pread(file, spare_capacity(&mut bytes), offset) {
            Ok(0) => return Err(Incomplete::Shrunk),
            Ok(_) => {
                bytes.truncate(size);
                return Ok(bytes.into());
            }
            Err(Errno::INTR) => {}
            Err(_) => return Err(Incomplete::Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AHEAD, BodyOutput, Writer, body};
    use super::{CHUNK, Incomplete, Outgoing};
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::{Body, Frame};
    use std::io::Write as _;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use wasmtime_wasi::p2::{OutputStream as _, StreamError};

    fn next(outgoing: &mut Outgoing) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        Pin::new(outgoing).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    /// Everything up to the end, and how it ends.
    fn all(outgoing: &mut Outgoing) -> (Vec<u8>, Result<(), Incomplete>) {
        let mut bytes = Vec::new();
        loop {
            match next(outgoing) {
                Poll::Ready(Some(Ok(frame))) => bytes.extend(frame.into_data().unwrap()),
                Poll::Ready(Some(Err(error))) => return (bytes, Err(error)),
                Poll::Ready(None) => return (bytes, Ok(())),
                Poll::Pending => panic!("it has no end"),
            }
        }
    }

    fn file(content: &[u8]) -> Arc<std::fs::File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    fn stream(writer: &mut Writer) -> BodyOutput {
        BodyOutput(Arc::new(writer.take_stream().unwrap()))
    }

    fn write(writer: &mut Writer, text: &'static [u8]) -> BodyOutput {
        let mut stream = stream(writer);
        stream.write(Bytes::from_static(text)).unwrap();
        stream
    }

    #[test]
    fn pieces_come_in_their_order_and_files_in_chunks() {
        let content: Vec<u8> = (0..=250).cycle().take(CHUNK + 10).collect();
        let (mut writer, mut outgoing) = body(None);
        let mut stream = write(&mut writer, b"before ");
        stream.0.write_file(file(&content), 5, CHUNK as u64).unwrap();
        stream.write(Bytes::from_static(b" after")).unwrap();
        writer.finish(None).unwrap();
        let expected = [b"before ", &content[5..CHUNK + 5], b" after"].concat();
        assert_eq!(outgoing.size_hint().exact(), Some(expected.len() as u64));
        assert_eq!(all(&mut outgoing), (expected, Ok(())));
        assert!(outgoing.is_end_stream());
    }

    #[test]
    fn a_writer_that_is_gone_leaves_an_incomplete_body() {
        let (mut writer, mut outgoing) = body(None);
        write(&mut writer, b"half");
        assert_eq!(outgoing.size_hint().exact(), None);
        drop(writer);
        assert_eq!(outgoing.size_hint().exact(), None, "an end that does not come is not promised");
        assert_eq!(all(&mut outgoing), (b"half".to_vec(), Err(Incomplete::Guest)));
    }

    #[test]
    fn a_promised_length_is_kept_or_the_body_fails() {
        let (mut writer, mut outgoing) = body(Some(5));
        let mut stream = write(&mut writer, b"half");
        let more = stream.write(Bytes::from_static(b" too much"));
        assert!(matches!(more, Err(StreamError::LastOperationFailed(_))));
        assert!(writer.finish(None).is_err());
        assert_eq!(all(&mut outgoing), (b"half".to_vec(), Err(Incomplete::Guest)));

        let (mut writer, mut outgoing) = body(Some(5));
        write(&mut writer, b"short");
        writer.finish(None).unwrap();
        assert_eq!(all(&mut outgoing), (b"short".to_vec(), Ok(())));
    }

    #[test]
    fn a_file_that_has_become_shorter_is_not_made_up_for() {
        let (mut writer, mut outgoing) = body(None);
        let stream = stream(&mut writer);
        stream.0.write_file(file(b"0123456789"), 5, 100).unwrap();
        writer.finish(None).unwrap();
        assert_eq!(all(&mut outgoing), (b"56789".to_vec(), Err(Incomplete::Shrunk)));
    }

    #[test]
    fn a_guest_does_not_run_far_ahead_of_a_slow_client() {
        let (mut writer, mut outgoing) = body(None);
        let mut stream = stream(&mut writer);
        let mut written = 0;
        while let room @ 1.. = stream.check_write().unwrap() {
            written += room.min(4096);
            stream.write(Bytes::from(vec![0; room.min(4096)])).unwrap();
        }
        assert_eq!(written, AHEAD);
        assert!(matches!(stream.write(Bytes::from_static(b"x")), Err(StreamError::Trap(_))));
        assert!(matches!(next(&mut outgoing), Poll::Ready(Some(Ok(_)))));
        assert_eq!(stream.check_write().unwrap(), 4096);
        drop(outgoing);
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
    }

    #[test]
    fn trailers_come_last() {
        let (mut writer, mut outgoing) = body(None);
        write(&mut writer, b"x");
        let mut trailers = HeaderMap::new();
        trailers.insert("a", "b".parse().unwrap());
        writer.finish(Some(trailers.clone())).unwrap();
        assert!(matches!(next(&mut outgoing), Poll::Ready(Some(Ok(frame))) if frame.is_data()));
        let Poll::Ready(Some(Ok(frame))) = next(&mut outgoing) else { panic!("no trailers") };
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        assert!(matches!(next(&mut outgoing), Poll::Ready(None)));
    }
}
