//! A TCP socket that sends ranges of files itself, by `sendfile`: their bytes go from the system's cache to the network
//! and never come into this process.
//!
//! HTTP libraries write bytes. So what they are given for a range is a [`Placeholder`]: as many bytes, all of one piece of
//! memory that nothing else is in. The ranges themselves go to the socket by way of [`SocketFiles`], in the same order.
//! What the library then writes, the socket knows for a placeholder by its address, and sends the range in its place. Head,
//! chunk sizes and other bytes before it leave in one packet with its first bytes.
//!
//! A range that did not become what the library wrote would leave the two at odds, and the client with something else than
//! the file; so a placeholder that is dropped before it is sent in full breaks the socket.

use super::{FileRange, Incomplete};
use bytes::Buf;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tracing::error;

/// What placeholders show. It is as long as what one call sends at most, in bytes; nobody reads it, so that it takes no
/// memory.
static SHOWN: LazyLock<Box<[u8]>> = LazyLock::new(|| vec![0; 256 * 1024].into_boxed_slice());

/// How much is read at a time where the system cannot send from a file by itself, in bytes.
const COPIED: usize = 64 * 1024;

/// The ranges of files that a socket is to send.
#[derive(Clone, Debug, Default)]
pub struct SocketFiles(Arc<Mutex<Ranges>>);

#[derive(Default)]
struct Ranges {
    /// The one that is sent next at the front, and what is said if that fails.
    waiting: VecDeque<(FileRange, Arc<dyn Display + Send + Sync>)>,
    /// Whether a placeholder has gone before its range was sent.
    broken: bool,
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.waiting.iter().map(|(range, _)| range)).finish()
    }
}

impl SocketFiles {
    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a range, which is sent in the place of what this gives. It is part of the answer to `subject`.
    pub(super) fn add(&self, range: FileRange, subject: Arc<dyn Display + Send + Sync>) -> Placeholder {
        let left = range.length;
        self.lock().waiting.push_back((range, subject));
        Placeholder { left, files: self.clone() }
    }

    /// Sends from the range that is next, at most so many bytes. An error ends the connection.
    fn send(&self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let mut ranges = self.lock();
        if ranges.broken {
            return Err(io::Error::other("a range of a file was not sent in full"));
        }
        let Some((range, subject)) = ranges.waiting.front_mut() else {
            return Err(io::Error::other("there is no range of a file to be sent"));
        };
        let most = usize::try_from(range.length).unwrap_or(most).min(most);
        let sent = loop {
            match send_file(socket, range, most) {
                Ok(0) => break Err(Incomplete::Shrunk),
                Ok(sent) => break Ok(sent),
                Err(Errno::INTR) => {}
                Err(error) if is_of_socket(error) => return Err(error.into()),
                Err(_) => break Err(Incomplete::Unreadable),
            }
        };
        match sent {
            Ok(sent) => {
                range.offset += sent as u64;
                range.length -= sent as u64;
                if range.length == 0 {
                    ranges.waiting.pop_front();
                }
                Ok(sent)
            }
            Err(incomplete) => {
                error!("the response to {subject} was cut short: {incomplete}");
                ranges.broken = true;
                Err(io::Error::other(incomplete))
            }
        }
    }
}

/// Whether an error is what a socket says of itself, rather than a file.
fn is_of_socket(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN
            | Errno::PIPE
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::TIMEDOUT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NOBUFS
    )
}

/// Sends from a range, at most so many bytes; 0 where the file has none left.
fn send_file(socket: BorrowedFd<'_>, range: &FileRange, most: usize) -> rustix::io::Result<usize> {
    match system_send_file(socket, range, most) {
        // Not every kind of file can do it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => copy_file(socket, range, most),
        outcome => outcome,
    }
}

/// Reads from a range and writes what was read, at most so many bytes; 0 where the file has none left.
fn copy_file(socket: BorrowedFd<'_>, range: &FileRange, most: usize) -> rustix::io::Result<usize> {
    let mut bytes = Vec::with_capacity(most.min(COPIED));
    // A file that is not ready is no socket that is full: nobody would say when to try again.
    let read = pread(&range.file, spare_capacity(&mut bytes), range.offset);
    if read.map_err(|error| if error == Errno::AGAIN { Errno::IO } else { error })? == 0 {
        return Ok(0);
    }
    bytes.truncate(most);
    send(socket, &bytes, SendFlags::NOSIGNAL)
}

#[cfg(target_os = "linux")]
fn system_send_file(socket: BorrowedFd<'_>, range: &FileRange, most: usize) -> rustix::io::Result<usize> {
    rustix::fs::sendfile(socket, &range.file, Some(&mut range.offset.clone()), most)
}

#[cfg(not(target_os = "linux"))]
fn system_send_file(_: BorrowedFd<'_>, _: &FileRange, _: usize) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

/// What stands for a range of a file that a socket has. Its bytes mean nothing.
#[derive(Debug)]
pub struct Placeholder {
    left: u64,
    files: SocketFiles,
}

impl Buf for Placeholder {
    fn remaining(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &SHOWN[..self.remaining().min(SHOWN.len())]
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u64);
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        if self.left > 0 {
            self.files.lock().broken = true;
        }
    }
}

/// Whether these bytes are a placeholder's.
fn is_placeholder(bytes: &[u8]) -> bool {
    // Only the beginning is ever given away.
    std::ptr::eq(bytes.as_ptr(), SHOWN.as_ptr())
}

/// A TCP socket that puts files in the place of placeholders.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    files: SocketFiles,
}

impl Socket {
    /// Takes a socket over, and gives where the ranges go that are to be sent.
    pub fn new(stream: TcpStream) -> (Self, SocketFiles) {
        let files = SocketFiles::default();
        (Self { stream, files: files.clone() }, files)
    }

    /// Writes what stands before a placeholder, and from the range that it stands for.
    fn write_with_file(&self, before: &[IoSlice<'_>], most: usize) -> io::Result<usize> {
        let length: usize = before.iter().map(|slice| slice.len()).sum();
        let socket = self.stream.as_fd();
        let mut written = 0;
        if length > 0 {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            written = sendmsg(socket, before, &mut SendAncillaryBuffer::default(), flags)?;
        }
        if written < length {
            return Ok(written);
        }
        match self.files.send(socket, most) {
            Ok(sent) => Ok(written + sent),
            // It comes again.
            Err(_) if written > 0 => Ok(written),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(at) = slices.iter().position(|slice| is_placeholder(slice)) else {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        };
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let write = || self.write_with_file(&slices[..at], slices[at].len());
            match self.stream.try_io(Interest::WRITABLE, write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, Socket, SocketFiles, copy_file};
    use crate::lane::FileRange;
    use bytes::{Buf as _, Bytes};
    use std::io::{IoSlice, Write as _};
    use std::os::fd::AsFd as _;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Socket, SocketFiles, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, files) = Socket::new(listener.accept().await.unwrap().0);
        (socket, files, client)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    fn range(content: &[u8], offset: u64, length: u64) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRange { file: Arc::new(file), offset, length }
    }

    /// Writes as the HTTP library does: all that there is, and what is left of it again.
    async fn write(socket: &mut Socket, message: &mut (dyn bytes::Buf + Send)) -> std::io::Result<()> {
        while message.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = message.chunks_vectored(&mut slices);
            let written = socket.write_vectored(&slices[..count]).await?;
            message.advance(written);
        }
        Ok(())
    }

    #[tokio::test]
    async fn ranges_are_sent_in_the_place_of_their_placeholders() {
        let (mut socket, files, mut client) = pair().await;
        let content = content(SHOWN.len() * 2 + 10);
        let long = files.add(range(&content, 3, content.len() as u64 - 5), Arc::new("long"));
        let short = files.add(range(&content, 7, 1), Arc::new("short"));
        let mut message = Bytes::from_static(b"head ")
            .chain(long)
            .chain(Bytes::from_static(b" between "))
            .chain(short)
            .chain(Bytes::from_static(b" end"));
        let expected =
            [b"head ", &content[3..content.len() - 2], b" between ", &content[7..8], b" end"].concat();
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            received
        });
        write(&mut socket, &mut message).await.unwrap();
        drop((socket, message));
        assert!(receiving.await.unwrap() == expected);
    }

    #[tokio::test]
    async fn what_is_before_a_range_leaves_in_one_packet_with_it() {
        let (mut socket, files, mut client) = pair().await;
        let placeholder = files.add(range(b"file", 0, 4), Arc::new("file"));
        write(&mut socket, &mut Bytes::from_static(b"head ").chain(placeholder)).await.unwrap();
        let mut received = [0; 16];
        // A byte of the head alone would be all that there is to read.
        assert_eq!(client.read(&mut received).await.unwrap(), 9);
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error() {
        let (mut socket, files, mut client) = pair().await;
        let placeholder = files.add(range(b"0123456789", 5, 100), Arc::new("GET /"));
        let error =
            write(&mut socket, &mut Bytes::from_static(b"head ").chain(placeholder)).await.unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
        drop(socket);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"head 56789");
    }

    #[tokio::test]
    async fn a_placeholder_that_is_dropped_breaks_the_socket() {
        let (mut socket, files, _client) = pair().await;
        drop(files.add(range(b"one", 0, 3), Arc::new("one")));
        let mut next = files.add(range(b"two", 0, 3), Arc::new("two"));
        let error = write(&mut socket, &mut next).await.unwrap_err();
        assert!(error.to_string().contains("not sent in full"), "{error}");
    }

    #[tokio::test]
    async fn files_that_the_system_cannot_send_from_are_copied() {
        let (socket, _, mut client) = pair().await;
        let range = range(b"0123456789", 2, 7);
        for (most, expected) in [(3, "234"), (100, "23456789")] {
            assert_eq!(copy_file(socket.as_fd(), &range, most), Ok(expected.len()));
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).await.unwrap();
            assert_eq!(received, expected.as_bytes());
        }
        assert_eq!(copy_file(socket.as_fd(), &FileRange { offset: 10, ..range }, 1), Ok(0));
    }
}
