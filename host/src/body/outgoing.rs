//! The connection's end of a body.

use super::memory::{self, Buffered};
use super::{End, FileRange, Piece, Queue, Shared};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use thiserror::Error;

/// How much of a file is read at a time, in bytes: what a slow client holds in memory, and enough for the cost of the
/// system calls not to matter.
pub const READ_MAX: usize = 64 * 1024;

/// The body cannot be completed. The client learns of it by the connection ending short of the body's end.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Incomplete {
    /// The guest gave up, or has ended.
    #[error("the guest ended without finishing its response")]
    Guest,
    /// A file has become shorter since it was handed over.
    #[error("a file has become shorter while it was sent")]
    Shrunk,
    /// A file can no longer be read.
    #[error("a file cannot be read any more")]
    Unreadable,
    /// What compresses it has failed.
    #[error("it could not be compressed")]
    Compression,
    /// The component behind the guest, whose body this one sends on, did not complete it. It has been told why.
    #[error("the component behind the guest did not complete its response")]
    Behind,
}

/// What a guest is told that reads such a body.
impl From<Incomplete> for wasmtime_wasi_http::Error {
    fn from(_: Incomplete) -> Self {
        Self::HttpResponseIncomplete
    }
}

/// The end from which a connection takes a body. As a [`Body`] it reads files when they are asked for;
/// [`SocketBody`](super::SocketBody) leaves that to the socket.
#[derive(Debug)]
pub struct Outgoing {
    content: Content,
    /// A body that is sent on, before the content.
    inner: Option<Box<Inner>>,
}

/// Where the pieces of a body are.
#[derive(Debug)]
enum Content {
    /// In the queue that its guest writes to.
    Queue(Shared),
    /// Here: all of it was known from the start, and this is left.
    Whole(Option<Piece>),
}

/// Where the parts of a body that is sent on come from.
pub trait Source: fmt::Debug + Send {
    /// The next part; `None` at the end. Of a file, at most `file_max` bytes.
    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>>;

    /// Bytes that are still to come, if the body has ended completely and without trailers.
    fn left(&self) -> Option<u64>;

    /// What ends it from the outside, if the guest that sends it on writes it as well.
    fn end_handle(&self) -> Option<OutgoingEnd>;

    /// Whether an instance of another component still works for it.
    fn has_instance(&self) -> bool;
}

/// A body in a body.
#[derive(Debug)]
struct Inner {
    source: Box<dyn Source>,
    /// What was taken and not used.
    rest: Option<Piece>,
    /// Bytes that the new head promises and that were not taken, where it promises any.
    promised: Option<u64>,
    /// Whether its last part was taken.
    is_over: bool,
    trailers: Option<HeaderMap>,
}

impl Inner {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Piece, Incomplete>>> {
        if let Some(piece) = take(&mut self.rest, file_max) {
            return Poll::Ready(Some(Ok(piece)));
        }
        while !self.is_over {
            match ready!(self.source.poll_part(context, file_max)) {
                Some(Ok(Part::Piece(piece))) => {
                    if let Some(promised) = &mut self.promised {
                        let Some(left) = promised.checked_sub(piece.len()) else {
                            return Poll::Ready(Some(Err(Incomplete::Guest)));
                        };
                        *promised = left;
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Some(Ok(Part::Trailers(trailers))) => self.trailers = Some(trailers),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.is_over = true;
                    if self.promised.is_some_and(|left| left > 0) {
                        return Poll::Ready(Some(Err(Incomplete::Guest)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn left(&self) -> Option<u64> {
        let rest = self.rest.as_ref().map_or(0, Piece::len);
        let left = if self.is_over { 0 } else { self.source.left()? };
        self.trailers.is_none().then_some(rest + left)
    }
}

/// Ends a body that its guest has left open.
#[derive(Debug)]
pub struct OutgoingEnd {
    queue: Weak<Mutex<Queue>>,
    inner: Option<Box<OutgoingEnd>>,
}

impl OutgoingEnd {
    pub(super) fn new(queue: &Shared) -> Self {
        Self { queue: Arc::downgrade(&queue.0), inner: None }
    }

    /// The end of a body that was known from the start, which is there.
    fn of_whole() -> Self {
        Self { queue: Weak::new(), inner: None }
    }

    /// Ends the body as unfinished, unless it has ended.
    pub fn end(&self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.lock().unwrap_or_else(PoisonError::into_inner).finish(End::Unfinished);
        }
        if let Some(inner) = &self.inner {
            inner.end();
        }
    }

    /// Whether both ends of the body are gone.
    pub fn is_gone(&self) -> bool {
        self.queue.strong_count() == 0
    }

    /// Waits until the body has ended, or the connection does not want it any more. One task at a time may wait.
    pub async fn ended(&self) {
        let mut end = Some(self);
        while let Some(Self { queue, inner }) = end {
            poll_fn(|context| {
                let Some(queue) = queue.upgrade() else { return Poll::Ready(()) };
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.end.is_some() || queue.abandoned {
                    return Poll::Ready(());
                }
                queue.watcher = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
            end = inner.as_deref();
        }
    }
}

/// The next part of a body.
#[derive(Debug)]
pub enum Part {
    /// Bytes, or a range of a file.
    Piece(Piece),
    /// The last part, where there are trailers.
    Trailers(HeaderMap),
}

impl Outgoing {
    pub(super) fn new(queue: Shared) -> Self {
        Self { content: Content::Queue(queue), inner: None }
    }

    /// A body that another component has begun, sent on as it comes.
    pub fn of(source: Box<dyn Source>) -> Self {
        let mut outgoing = Self::empty();
        outgoing.send_on(source, None);
        outgoing
    }

    /// Sends another body before what is written to this one, and its trailers if none are given here. Where the head promises a
    /// length, the body has to have it.
    pub fn send_on(&mut self, source: Box<dyn Source>, promised: Option<u64>) {
        self.inner = Some(Box::new(Inner { source, rest: None, promised, is_over: false, trailers: None }));
    }

    /// Whether an instance of another component still works for it.
    pub fn has_instance(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.source.has_instance())
    }

    /// What ends this body from the outside.
    pub fn end_handle(&self) -> OutgoingEnd {
        let inner = self.inner.as_ref().and_then(|inner| inner.source.end_handle());
        let end = match &self.content {
            Content::Queue(queue) => OutgoingEnd::new(queue),
            Content::Whole(_) => OutgoingEnd::of_whole(),
        };
        OutgoingEnd { inner: inner.map(Box::new), ..end }
    }

    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::whole(None)
    }

    /// A body of these bytes.
    pub fn of_bytes(bytes: Bytes) -> Self {
        Self::whole((!bytes.is_empty()).then(|| Piece::Bytes(Buffered::counted(bytes))))
    }

    /// A body of this range of a file.
    pub fn of_file(range: FileRange) -> Self {
        Self::whole((range.length > 0).then(|| Piece::File(range)))
    }

    /// A body of one piece, or none.
    fn whole(piece: Option<Piece>) -> Self {
        Self { content: Content::Whole(piece), inner: None }
    }

    /// Bytes that are still to come, if the body has ended completely and without trailers.
    pub(super) fn left(&self) -> Option<u64> {
        let inner = match &self.inner {
            Some(inner) => inner.left()?,
            None => 0,
        };
        let queue = match &self.content {
            Content::Queue(queue) => queue.lock(),
            Content::Whole(piece) => return Some(inner + piece.as_ref().map_or(0, Piece::len)),
        };
        let is_finished = matches!(queue.end, Some(End::Finished(None)));
        is_finished.then(|| inner + queue.pieces.iter().map(Piece::len).sum::<u64>())
    }

    /// The next part; `None` at the end. Of a file, at most `file_max` bytes.
    pub(super) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        let mut trailers_of_inner = None;
        if let Some(inner) = &mut self.inner {
            match ready!(inner.poll_piece(context, file_max)) {
                Some(Ok(piece)) => return Poll::Ready(Some(Ok(Part::Piece(piece)))),
                Some(Err(error)) => {
                    self.inner = None;
                    match &mut self.content {
                        Content::Queue(queue) => {
                            let mut queue = queue.lock();
                            queue.tell_sent(false);
                            queue.end = Some(End::Finished(None));
                        }
                        Content::Whole(piece) => *piece = None,
                    }
                    return Poll::Ready(Some(Err(error)));
                }
                None => trailers_of_inner = inner.trailers.take(),
            }
        }
        let mut queue = match &mut self.content {
            Content::Queue(queue) => queue.lock(),
            Content::Whole(piece) => {
                let part = take(piece, file_max).map(Part::Piece);
                return Poll::Ready(part.or(trailers_of_inner.map(Part::Trailers)).map(Ok));
            }
        };
        if let Some(Piece::File(range)) = queue.pieces.front_mut()
            && range.length > file_max
        {
            let rest = range.split_off(file_max);
            let part = std::mem::replace(range, rest);
            return Poll::Ready(Some(Ok(Part::Piece(Piece::File(part)))));
        }
        if let Some(piece) = queue.pop() {
            return Poll::Ready(Some(Ok(Part::Piece(piece))));
        }
        match queue.end.take() {
            None => {
                queue.reader = Some(context.waker().clone());
                if let Some(inner) = &mut self.inner {
                    inner.trailers = trailers_of_inner;
                }
                Poll::Pending
            }
            Some(End::Finished(trailers)) => {
                queue.end = Some(End::Finished(None));
                queue.tell_sent(true);
                let trailers = trailers.or(trailers_of_inner);
                Poll::Ready(trailers.map(|trailers| Ok(Part::Trailers(trailers))))
            }
            Some(End::Unfinished) => {
                queue.end = Some(End::Finished(None));
                Poll::Ready(Some(Err(Incomplete::Guest)))
            }
        }
    }

    /// Puts the rest of the piece that was taken last back to the front.
    fn put_back(&mut self, rest: Piece) {
        match (&mut self.inner, &mut self.content) {
            (Some(inner), _) if !inner.is_over => inner.rest = Some(rest),
            (_, Content::Queue(queue)) => queue.lock().put_back(rest),
            (_, Content::Whole(piece)) => match piece.take() {
                None => *piece = Some(rest),
                Some(after) => {
                    let mut queue = Queue { end: Some(End::Finished(None)), ..Queue::default() };
                    queue.push(rest);
                    queue.push(after);
                    self.content = Content::Queue(Shared(Arc::new(Mutex::new(queue))));
                }
            },
        }
    }

    /// Puts back what was taken last and not used, in bytes.
    pub fn put_back_bytes(&mut self, rest: Bytes) {
        self.put_back(Piece::Bytes(Buffered::counted(rest)));
    }

    /// Reads a range that was taken out. What one call does not give goes back to the front.
    pub(super) fn read(&mut self, range: FileRange) -> Result<Buffered, Incomplete> {
        let bytes = read(&range.file, range.offset, range.length)?;
        let read = bytes.len() as u64;
        if read < range.length {
            let rest = FileRange { offset: range.offset + read, length: range.length - read, ..range };
            self.put_back(Piece::File(rest));
        }
        Ok(Buffered::counted(bytes))
    }
}

impl Source for Outgoing {
    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        Self::poll_part(self, context, file_max)
    }

    fn left(&self) -> Option<u64> {
        Self::left(self)
    }

    fn end_handle(&self) -> Option<OutgoingEnd> {
        Some(Self::end_handle(self))
    }

    fn has_instance(&self) -> bool {
        Self::has_instance(self)
    }
}

impl FileRange {
    /// Leaves so many bytes, and gives what follows them.
    fn split_off(&mut self, at: u64) -> Self {
        let rest = Self { offset: self.offset + at, length: self.length - at, ..self.clone() };
        self.length = at;
        rest
    }
}

impl Piece {
    /// Bytes that it has left.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(range) => range.length,
        }
    }

    /// Whether it has none left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes at most so many bytes from its beginning; those of a file are read now.
    pub fn take(&mut self, most: usize) -> Result<Buffered, Incomplete> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.take(most)),
            Self::File(range) => {
                let bytes = read(&range.file, range.offset, range.length.min(most as u64))?;
                range.offset += bytes.len() as u64;
                range.length -= bytes.len() as u64;
                Ok(Buffered::counted(bytes))
            }
        }
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
        let frame = ready!(this.poll_part(context, READ_MAX as u64)).map(|part| match part? {
            Part::Piece(Piece::Bytes(bytes)) => Ok(Frame::data(bytes.into_bytes())),
            Part::Piece(Piece::File(range)) => Ok(Frame::data(this.read(range)?.into_bytes())),
            Part::Trailers(trailers) => Ok(Frame::trailers(trailers)),
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        // A length is promised only where the end is known to come.
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let Content::Queue(queue) = &self.content else { return };
        let is_inner_complete = self.inner.as_ref().is_none_or(|inner| inner.left() == Some(0));
        let mut queue = queue.lock();
        // Where the length is known, the HTTP library does not poll after the last piece.
        let is_complete =
            is_inner_complete && queue.pieces.is_empty() && matches!(queue.end, Some(End::Finished(None)));
        queue.tell_sent(is_complete);
        queue.abandoned = true;
        queue.pieces.clear();
        queue.wake_writer();
        queue.wake_watcher();
    }
}

/// Takes a piece out; of a file, at most `file_max` bytes.
fn take(place: &mut Option<Piece>, file_max: u64) -> Option<Piece> {
    let mut piece = place.take()?;
    if let Piece::File(range) = &mut piece
        && range.length > file_max
    {
        *place = Some(Piece::File(range.split_off(file_max)));
    }
    Some(piece)
}

/// The first bytes of a range.
fn read(file: &std::fs::File, offset: u64, length: u64) -> Result<Bytes, Incomplete> {
    let most = memory::allowance(READ_MAX);
    let size = usize::try_from(length).unwrap_or(most).min(most);
    let mut bytes = Vec::with_capacity(size);
    read_some(|| pread(file, spare_capacity(&mut bytes), offset))?;
    // The allocator may have given more room than was asked for.
    bytes.truncate(size);
    Ok(bytes.into())
}

/// Has `pread` read from a file where it should have more content, and gives how many bytes there were.
pub fn read_some(mut pread: impl FnMut() -> rustix::io::Result<usize>) -> Result<usize, Incomplete> {
    loop {
        match pread() {
            Ok(0) => return Err(Incomplete::Shrunk),
            Ok(read) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(_) => return Err(Incomplete::Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BodyOutput, BodyWriter, FileRange, MAX_AHEAD, MAX_RANGES, Piece, body};
    use super::{Incomplete, Outgoing, READ_MAX};
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::{Body, Frame};
    use std::io::Write as _;
    use std::pin::{Pin, pin};
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

    fn range(content: &[u8], offset: u64, length: u64) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRange { file: Arc::new(file), offset, length }
    }

    fn stream(writer: &mut BodyWriter) -> BodyOutput {
        BodyOutput(Arc::new(writer.take_stream().unwrap()))
    }

    fn write(writer: &mut BodyWriter, text: &'static [u8]) -> BodyOutput {
        let mut stream = stream(writer);
        stream.write(Bytes::from_static(text)).unwrap();
        stream
    }

    #[test]
    fn pieces_come_in_their_order_and_files_in_chunks() {
        let content: Vec<u8> = (0..=250).cycle().take(READ_MAX + 10).collect();
        let (mut writer, mut outgoing) = body(None);
        let mut stream = write(&mut writer, b"before ");
        stream.0.write_file(range(&content, 5, READ_MAX as u64)).unwrap();
        stream.write(Bytes::from_static(b" after")).unwrap();
        writer.finish(None).unwrap();
        let expected = [b"before ", &content[5..READ_MAX + 5], b" after"].concat();
        assert_eq!(outgoing.size_hint().exact(), Some(expected.len() as u64));
        assert_eq!(all(&mut outgoing), (expected, Ok(())));
        assert!(outgoing.is_end_stream());
    }

    #[test]
    fn a_body_that_is_known_from_the_start_is_complete() {
        let content: Vec<u8> = (0..=250).cycle().take(READ_MAX + 20).collect();
        let mut file = Outgoing::of_file(range(&content, 5, READ_MAX as u64 + 10));
        let end = file.end_handle();
        // As a guest that has ended does.
        end.end();
        assert!(pin!(end.ended()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(file.size_hint().exact(), Some(READ_MAX as u64 + 10));
        let Poll::Ready(Some(Ok(first))) = next(&mut file) else { panic!("there is no first part") };
        let first = first.into_data().unwrap();
        file.put_back_bytes(first.slice(10..));
        assert!(all(&mut file) == (content[15..READ_MAX + 15].to_vec(), Ok(())));

        let mut bytes = Outgoing::of_bytes(Bytes::from_static(b"text"));
        assert!(!bytes.is_end_stream());
        assert_eq!(all(&mut bytes), (b"text".to_vec(), Ok(())));
        for mut empty in [Outgoing::empty(), Outgoing::of_bytes(Bytes::new())] {
            assert!(empty.is_end_stream());
            assert_eq!(all(&mut empty), (Vec::new(), Ok(())));
        }
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
    fn a_body_that_is_ended_from_outside_is_incomplete_unless_it_was_finished() {
        let (mut writer, mut outgoing) = body(None);
        let mut stream = write(&mut writer, b"half");
        writer.end_handle().end();
        assert!(matches!(stream.write(Bytes::from_static(b"x")), Err(StreamError::Closed)));
        assert_eq!(all(&mut outgoing), (b"half".to_vec(), Err(Incomplete::Guest)));

        let (mut writer, mut outgoing) = body(None);
        write(&mut writer, b"all");
        let end = writer.end_handle();
        writer.finish(None).unwrap();
        end.end();
        assert_eq!(all(&mut outgoing), (b"all".to_vec(), Ok(())));
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
    fn a_file_that_has_become_shorter_is_not_padded() {
        let (mut writer, mut outgoing) = body(None);
        let stream = stream(&mut writer);
        stream.0.write_file(range(b"0123456789", 5, 100)).unwrap();
        writer.finish(None).unwrap();
        assert_eq!(all(&mut outgoing), (b"56789".to_vec(), Err(Incomplete::Shrunk)));
    }

    #[test]
    fn few_files_are_open_for_a_slow_client() {
        let (mut writer, mut outgoing) = body(None);
        let mut stream = stream(&mut writer);
        let mut written = 0;
        while stream.check_write().unwrap() > 0 {
            stream.0.write_file(range(b"0123456789", 0, 10)).unwrap();
            written += 1;
        }
        assert_eq!(written, MAX_RANGES);
        let mut context = Context::from_waker(Waker::noop());
        // The half of a file that is left is still one.
        for (most, room) in [(5, false), (5, true)] {
            assert!(matches!(outgoing.poll_part(&mut context, most), Poll::Ready(Some(Ok(_)))));
            assert_eq!(stream.check_write().unwrap() > 0, room);
        }
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
        assert_eq!(written, MAX_AHEAD);
        assert!(matches!(stream.write(Bytes::from_static(b"x")), Err(StreamError::Trap(_))));
        assert!(matches!(next(&mut outgoing), Poll::Ready(Some(Ok(_)))));
        assert_eq!(stream.check_write().unwrap(), 4096);
        drop(outgoing);
        assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
    }

    #[test]
    fn a_piece_is_taken_as_far_as_there_is_room_for_it() {
        let file = range(b"0123456789", 2, 5);
        for mut piece in [Piece::File(file), Piece::Bytes(Bytes::from_static(b"23456").into())] {
            assert_eq!(piece.take(2).unwrap().into_bytes(), "23");
            assert_eq!(piece.len(), 3);
            assert_eq!(piece.take(100).unwrap().into_bytes(), "456");
            assert!(piece.is_empty());
        }
        let mut shrunk = Piece::File(range(b"0123", 4, 1));
        assert_eq!(shrunk.take(1).unwrap_err(), Incomplete::Shrunk);
    }

    #[test]
    fn whether_all_of_it_was_taken_is_told() {
        let (mut writer, mut outgoing) = body(Some(4));
        let sent = writer.when_sent();
        write(&mut writer, b"text");
        writer.finish(None).unwrap();
        assert!(matches!(next(&mut outgoing), Poll::Ready(Some(Ok(_)))));
        // The library does not ask again where the length is known.
        drop(outgoing);
        assert_eq!(sent.blocking_recv(), Ok(true));

        let (mut writer, outgoing) = body(Some(4));
        let sent = writer.when_sent();
        write(&mut writer, b"text");
        writer.finish(None).unwrap();
        drop(outgoing);
        assert_eq!(sent.blocking_recv(), Ok(false));
    }

    #[test]
    fn its_end_can_be_waited_for() {
        let mut context = Context::from_waker(Waker::noop());
        let (writer, outgoing) = body(None);
        let end = outgoing.end_handle();
        assert!(pin!(end.ended()).poll(&mut context).is_pending());
        writer.finish(None).unwrap();
        assert!(pin!(end.ended()).poll(&mut context).is_ready());

        let (_writer, outgoing) = body(None);
        let end = outgoing.end_handle();
        drop(outgoing);
        assert!(pin!(end.ended()).poll(&mut context).is_ready(), "the connection does not want it");
        assert!(!end.is_gone());
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
