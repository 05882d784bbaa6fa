//! A client on a raw socket, or over TLS: it sends bytes unchanged, and parses answers strictly by RFC 9112.

use crate::tls::{Clients, Secured};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a read or write may block. Without a limit, a failing test would hang.
const IO_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Transport>,
}

#[derive(Debug)]
enum Transport {
    Clear(TcpStream),
    Secured(Box<Secured>),
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Secured(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Secured(stream) => stream.flush(),
        }
    }
}

/// Connects to a server, with time limits.
pub fn connect(address: SocketAddr) -> TcpStream {
    limited(TcpStream::connect(address).unwrap())
}

/// A connection with time limits.
fn limited(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// An answer, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields in the order received, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; a chunked one is decoded.
    pub body: Vec<u8>,
    /// Whether the whole body was received, as the head or the last chunk says.
    pub complete: bool,
}

impl Response {
    /// The value of a field; `None` if it is absent. Panics if it is repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is repeated: {:?}", self.headers);
        first
    }

    /// The names of the fields, sorted, without the date, which every answer must have.
    pub fn header_names(&self) -> Vec<&str> {
        assert!(self.header("date").is_some(), "an answer without a date: {:?}", self.headers);
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.retain(|&name| name != "date");
        names.sort_unstable();
        names
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    /// Connects to a server.
    pub fn connect(address: SocketAddr) -> Self {
        Self { stream: BufReader::new(Transport::Clear(connect(address))) }
    }

    /// Connects to a server from this address of the machine, whose port may be 0.
    pub fn connect_from(local: SocketAddr, address: SocketAddr) -> Self {
        Self::connect_with(address, |socket| rustix::net::bind(socket, &local).unwrap())
    }

    /// Connects to a server. The kernel keeps about so many bytes that were received and not read.
    pub fn connect_with_receive_buffer(address: SocketAddr, bytes: usize) -> Self {
        Self::connect_with(address, |socket| set_socket_recv_buffer_size(socket, bytes).unwrap())
    }

    /// Connects to a server by a socket that `prepare` has had before.
    fn connect_with(address: SocketAddr, prepare: impl FnOnce(&OwnedFd)) -> Self {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        prepare(&socket);
        rustix::net::connect(&socket, &address).unwrap();
        Self { stream: BufReader::new(Transport::Clear(limited(socket.into()))) }
    }

    /// Connects to a server over TLS.
    pub fn connect_over_tls(address: SocketAddr, clients: &Clients) -> Self {
        Self::over_tls(clients.begin(connect(address)).expect("a handshake"))
    }

    /// A client on this connection.
    pub fn over_tls(secured: Secured) -> Self {
        Self { stream: BufReader::new(Transport::Secured(Box::new(secured))) }
    }

    /// Connects to a server at a unix socket.
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
        // Reading, writing and shutting down are the same for sockets of each family.
        Self { stream: BufReader::new(Transport::Clear(OwnedFd::from(stream).into())) }
    }

    /// Sends bytes unchanged.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()).unwrap();
        self
    }

    /// Sends bytes, and ignores it if the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let stream = self.stream.get_mut();
        let _ = stream.write_all(bytes.as_ref()).and_then(|()| stream.flush());
        self
    }

    /// Shuts down the sending direction.
    pub fn finish_sending(&mut self) -> &mut Self {
        if let Transport::Secured(stream) = self.stream.get_mut() {
            stream.finish_sending();
        }
        self.socket().shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Sends a request with a `Host` field and these fields, and reads its answer.
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        self.send(head);
        self.response(method)
    }

    /// Reads the answer to a request with this method.
    pub fn response(&mut self, method: &str) -> Response {
        let mut response = self.head();
        let bodiless = method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304);
        if !bodiless {
            response.complete = self.read_body(&response.headers, &mut response.body);
        }
        response
    }

    /// Reads the head of an answer, and leaves its body unread.
    pub fn head(&mut self) -> Response {
        let status_line = self.line().expect("an answer");
        let status = status_line.strip_prefix("HTTP/1.1 ").or(status_line.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().expect("the end of the head");
            if line.is_empty() {
                return Response { status, headers, body: Vec::new(), complete: true };
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a field: {line:?}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Whether an answer begins. Otherwise the connection ends before its first byte.
    pub fn is_answered(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => !bytes.is_empty(),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                false
            }
            Err(error) => panic!("while waiting for an answer: {error}"),
        }
    }

    /// Reads this many bytes of a body, or fewer at the end of the connection.
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = (&mut self.stream).take(length as u64).read_to_end(&mut bytes);
        bytes
    }

    /// The reader of the connection, for bodies that are too long to collect.
    pub fn reader(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    /// The reader of a chunked body without trailers, for those that are too long to collect.
    pub fn chunks(&mut self) -> Chunks<'_> {
        Chunks { client: self, left: 0, is_over: false }
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Transport::Clear(stream) => stream,
            Transport::Secured(stream) => stream.socket(),
        }
    }

    /// Whether the server closes the connection without sending more bytes.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                true
            }
        }
    }

    fn read_body(&mut self, headers: &[(String, String)], body: &mut Vec<u8>) -> bool {
        let field = |name| headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        match (field("transfer-encoding"), field("content-length")) {
            (Some("chunked"), None) => self.chunks().read_to_end(body).is_ok(),
            (None, Some(length)) => {
                let length = length.parse().expect("a length");
                *body = self.read(length);
                body.len() == length
            }
            (None, None) => self.stream.read_to_end(body).is_ok(),
            framing => panic!("contradictory framing: {framing:?}"),
        }
    }

    /// A line without its line feed; `None` if the connection ends first.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(_) => {}
            // Without `close_notify`, the end of a connection over TLS is not an orderly one.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                eprintln!("the connection was reset");
                return None;
            }
            Err(error) => panic!("while reading an answer: {error}"),
        }
        let line = line.strip_suffix(b"\r\n")?;
        Some(String::from_utf8(line.to_vec()).expect("text"))
    }
}

/// A chunked body, decoded. It ends with an error if it is not complete.
#[derive(Debug)]
pub struct Chunks<'a> {
    client: &'a mut Client,
    /// Bytes of the chunk that are to come.
    left: usize,
    is_over: bool,
}

impl Chunks<'_> {
    /// Reads what follows the bytes of a chunk.
    fn end_chunk(&mut self) -> io::Result<()> {
        let line = self.client.line().ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let size = self.client.line().ok_or(ErrorKind::UnexpectedEof)?;
            self.left = usize::from_str_radix(&size, 16).map_err(|_| ErrorKind::InvalidData)?;
            if self.left == 0 {
                self.is_over = true;
                self.end_chunk()?;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.client.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            self.end_chunk()?;
        }
        Ok(read)
    }
}
