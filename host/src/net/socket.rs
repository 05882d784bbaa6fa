//! A socket that sends ranges of files by `sendfile`: their bytes go from the page cache to the network without
//! passing through this process.
//!
//! What the HTTP library writes is sent as it is, but for [placeholders](crate::body::Placeholder), in whose place the
//! next range of [`SocketFiles`] goes. The head, chunk sizes and other bytes before a range leave in one packet with its
//! first bytes.

use super::conn::Stream;
use super::hangup::Hangup;
use super::transport::Transport;
use super::unsent::Unsent;
use crate::body::{FileRange, Incomplete, SendError, SocketFiles, is_placeholder};
use rustix::buffer::spare_capacity;
use rustix::fs::sendfile;
use rustix::io::{Errno, pread};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tracing::error;

/// How much is read at a time from files that `sendfile` does not support, in bytes.
const COPY_MAX: usize = 64 * 1024;

/// A socket that sends files in the place of placeholders.
#[derive(Debug)]
pub struct Socket {
    stream: Arc<Transport>,
    files: SocketFiles,
    unsent: Unsent,
}

impl Socket {
    /// Takes a socket over.
    pub fn new(stream: impl Into<Transport>) -> Self {
        Self { stream: Arc::new(stream.into()), files: SocketFiles::default(), unsent: Unsent::default() }
    }

    /// Where the ranges go that it is to send.
    pub fn files(&self) -> SocketFiles {
        self.files.clone()
    }

    /// What tells when its client leaves.
    pub fn hangup(&self) -> Hangup {
        Hangup::new(Arc::clone(&self.stream))
    }

    /// Writes bytes by the calls for sockets, which take a thirtieth less than those for files.
    fn write(&self, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        let (socket, flags) = (self.stream.as_fd(), flags | SendFlags::NOSIGNAL);
        Ok(match slices {
            [slice] => send(socket, slice, flags)?,
            _ => sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?,
        })
    }

    /// Writes what stands before a placeholder, and then of the range that it stands for at most `most` bytes.
    fn write_with_file(&self, before: &[IoSlice<'_>], most: usize) -> io::Result<usize> {
        let length: usize = before.iter().map(|slice| slice.len()).sum();
        let written = if length > 0 { self.write(before, SendFlags::MORE)? } else { 0 };
        if written < length {
            return Ok(written);
        }
        match self.send_from_files(most) {
            Ok(sent) => Ok(written + sent),
            // The next write reports it.
            Err(_) if written > 0 => Ok(written),
            Err(error) => Err(error),
        }
    }

    /// Sends from the next range, at most `most` bytes. An error other than `WouldBlock` ends the connection.
    fn send_from_files(&self, most: usize) -> io::Result<usize> {
        let outcome = self.files.send(|range, left| {
            let most = usize::try_from(range.length).unwrap_or(most).min(most);
            self.unsent.before(&*self.stream, left);
            loop {
                match send_range(self.stream.as_fd(), range, most) {
                    Ok(0) => return Err(Broken::File(Incomplete::Shrunk)),
                    Ok(sent) => {
                        self.unsent.after();
                        return Ok(sent);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) if is_of_socket(error) => return Err(Broken::Socket(error)),
                    Err(_) => return Err(Broken::File(Incomplete::Unreadable)),
                }
            }
        });
        outcome.map_err(|failure| match failure {
            SendError::Disagreement(what) => io::Error::other(what),
            SendError::Failed(_, Broken::Socket(error)) => error.into(),
            SendError::Failed(subject, Broken::File(incomplete)) => {
                error!("the response to {subject} was cut short: {incomplete}");
                self.files.break_off();
                io::Error::other(incomplete)
            }
        })
    }
}

/// Which end of a transfer failed.
#[derive(Debug)]
enum Broken {
    Socket(Errno),
    File(Incomplete),
}

/// Whether an error speaks of the socket, rather than of the file.
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

/// Sends from a range, at most `most` bytes; 0 at the end of the file.
fn send_range(socket: BorrowedFd<'_>, range: &FileRange, most: usize) -> rustix::io::Result<usize> {
    match sendfile(socket, &range.file, Some(&mut range.offset.clone()), most) {
        // Some file systems do not support it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => copy_range(socket, range, most),
        outcome => outcome,
    }
}

/// Reads from a range and writes what was read, at most `most` bytes; 0 at the end of the file.
fn copy_range(socket: BorrowedFd<'_>, range: &FileRange, most: usize) -> rustix::io::Result<usize> {
    let mut bytes = Vec::with_capacity(most.min(COPY_MAX));
    // `EAGAIN` from a file must not be taken for a full socket: no event would follow.
    let read = pread(&range.file, spare_capacity(&mut bytes), range.offset);
    if read.map_err(|error| if error == Errno::AGAIN { Errno::IO } else { error })? == 0 {
        return Ok(0);
    }
    bytes.truncate(most);
    send(socket, &bytes, SendFlags::NOSIGNAL)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for Socket {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>> {
        self.stream.poll_peek(context)
    }

    fn reset_on_close(&self) {
        // Where this fails, the close is an ordinary one. So it is on a unix socket, which knows no reset.
        let _ = set_socket_linger(&*self.stream, Some(Duration::ZERO));
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let mut is_done = false;
            let outcome = self.stream.try_io(Interest::READABLE, || {
                let read = self.stream.try_read_buf(buffer)?;
                is_done = true;
                // Fewer bytes than there was room for: the socket is empty. `WouldBlock` makes tokio wait for an event
                // before the next read, which saves a system call that would fail.
                if read > 0 && buffer.remaining() > 0 {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match outcome {
                _ if is_done => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let placeholder = slices.iter().position(|slice| is_placeholder(slice));
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let outcome = match placeholder {
                None => self.stream.try_io(Interest::WRITABLE, || self.write(slices, SendFlags::empty())),
                Some(at) => {
                    let write = || self.write_with_file(&slices[..at], slices[at].len());
                    self.stream.try_io(Interest::WRITABLE, write)
                }
            };
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write).map_err(io::Error::from),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Socket, copy_range};
    use crate::body::{FileRange, MAX_PLACEHOLDER};
    use crate::report::Subject;
    use bytes::{Buf as _, Bytes};
    use http::Method;
    use std::io::{IoSlice, Write as _};
    use std::os::fd::AsFd as _;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::new(listener.accept().await.unwrap().0), client)
    }

    fn subject() -> Subject {
        Subject::new(&Method::GET, &"/".parse().unwrap())
    }

    fn content(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    fn range(content: &[u8], offset: u64, length: u64) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRange { file: Arc::new(file), offset, length }
    }

    /// Writes as the HTTP library does: all that there is, and then the rest of it.
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
        let (mut socket, mut client) = pair().await;
        let files = socket.files();
        let content = content(MAX_PLACEHOLDER * 2 + 10);
        let long = files.add(range(&content, 3, content.len() as u64 - 5), 0, subject());
        let short = files.add(range(&content, 7, 1), 0, subject());
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
        let (mut socket, mut client) = pair().await;
        let placeholder = socket.files().add(range(b"file", 0, 4), 0, subject());
        write(&mut socket, &mut Bytes::from_static(b"head ").chain(placeholder)).await.unwrap();
        let mut received = [0; 16];
        // If the head left alone, it would be all that there is to read.
        assert_eq!(client.read(&mut received).await.unwrap(), 9);
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error() {
        let (mut socket, mut client) = pair().await;
        let placeholder = socket.files().add(range(b"0123456789", 5, 100), 0, subject());
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
        let (mut socket, _client) = pair().await;
        let files = socket.files();
        drop(files.add(range(b"one", 0, 3), 0, subject()));
        let mut next = files.add(range(b"two", 0, 3), 0, subject());
        let error = write(&mut socket, &mut next).await.unwrap_err();
        assert!(error.to_string().contains("not sent in full"), "{error}");
    }

    #[tokio::test]
    async fn files_that_the_kernel_cannot_send_from_are_copied() {
        let (socket, mut client) = pair().await;
        let range = range(b"0123456789", 2, 7);
        for (most, expected) in [(3, "234"), (100, "23456789")] {
            assert_eq!(copy_range(socket.as_fd(), &range, most), Ok(expected.len()));
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).await.unwrap();
            assert_eq!(received, expected.as_bytes());
        }
        assert_eq!(copy_range(socket.as_fd(), &FileRange { offset: 10, ..range }, 1), Ok(0));
    }

    #[tokio::test]
    async fn what_is_read_in_pieces_is_read_whole() {
        let (mut socket, mut client) = pair().await;
        let content = content(100_000);
        let expected = content.clone();
        let sending = tokio::spawn(async move {
            for piece in content.chunks(777) {
                client.write_all(piece).await.unwrap();
            }
        });
        let mut received = Vec::new();
        socket.read_to_end(&mut received).await.unwrap();
        sending.await.unwrap();
        assert!(received == expected);
    }
}
