//! Clients that speak HTTP/2: [`Http2`] by a library, and [`Frames`] by hand, for what no library sends.

use crate::Response;
use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::runtime::{self, Runtime};

/// How long a read or write may block. Without a limit, a failing test would hang.
const IO_TIMEOUT: Duration = Duration::from_mins(1);

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames (RFC 9113 §6).
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// A flag of DATA and HEADERS: the sender's last frame on the stream.
pub const END_STREAM: u8 = 1;
/// A flag of HEADERS and CONTINUATION: the last frame of the head.
pub const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
pub mod code {
    #![allow(missing_docs)]
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const SETTINGS_TIMEOUT: u32 = 4;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// A setting: the window that each stream begins with.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream that it is about; 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `RST_STREAM` or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status of a head, as far as it has a place in the table of HPACK (RFC 7541, appendix A).
    pub fn status(&self) -> u16 {
        assert_eq!(self.kind, kind::HEADERS);
        // A change of the size of the table may come first.
        let first = self.payload.iter().find(|&&byte| byte >> 5 != 1).unwrap();
        match first {
            0x88 => 200,
            0x89 => 204,
            0x8a => 206,
            0x8b => 304,
            0x8c => 400,
            0x8d => 404,
            0x8e => 500,
            // `:status` with another value, of three digits, by Huffman's code or not.
            _ => 0,
        }
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head without compression: each field is a literal that is not indexed.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.bytes());
        }
    }
    block
}

/// A length of HPACK, with a prefix of seven bits (RFC 7541 §5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else { return block.push(u8::try_from(value).unwrap()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// The head of a GET.
pub fn get(path: &str) -> Vec<u8> {
    head(&[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)])
}

/// A connection on which frames are sent and read as they are.
#[derive(Debug)]
pub struct Frames {
    stream: BufReader<TcpStream>,
}

impl Frames {
    /// Connects, and sends nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(IO_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(IO_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Connects, and sends the preface with these settings.
    pub fn begin(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self::connect(address);
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        connection.send(PREFACE).send(frame(kind::SETTINGS, 0, 0, &payload));
        connection
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends bytes again and again, until the server takes no more or has taken them this often.
    pub fn flood(&mut self, bytes: &[u8], times: usize) {
        let many = bytes.repeat(times.min(1_000));
        for _ in 0..times.div_ceil(1_000) {
            if self.stream.get_mut().write_all(&many).is_err() {
                return;
            }
        }
    }

    /// Sends a request without a body.
    pub fn request(&mut self, stream: u32, path: &str) -> &mut Self {
        self.send(frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get(path)))
    }

    /// The next frame; `None` at the end of the connection.
    pub fn frame(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.read(&mut header)?;
        let [high, middle, low, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.read(&mut payload)?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of this kind.
    pub fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().expect("another frame");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next frame about this stream, and its kind.
    pub fn next_on(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.frame().expect("another frame");
            if frame.stream == stream {
                return frame;
            }
        }
    }

    /// The error code of the GOAWAY with which the server closes the connection. `None` where the connection was reset before
    /// it could be read.
    pub fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame() {
            if frame.kind == kind::GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
                None
            }
        }
    }
}

/// A connection by a library. It makes progress while a request waits for its answer.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl Http2 {
    /// Connects to a server.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request without content, with these fields, and reads its answer.
    pub fn request(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        self.send(request(method, &format!("http://localhost{path}"), fields), None)
    }

    /// Sends a request without content, or with this content and these trailers, and reads its answer.
    pub fn send(
        &mut self,
        request: http::Request<()>,
        content: Option<(&'static [u8], HeaderMap)>,
    ) -> Response {
        let mut sender = self.sender.clone();
        self.runtime.block_on(async move {
            let (response, mut stream) = sender.send_request(request, content.is_none()).unwrap();
            if let Some((content, trailers)) = content {
                stream.send_data(Bytes::from_static(content), trailers.is_empty()).unwrap();
                if !trailers.is_empty() {
                    stream.send_trailers(trailers).unwrap();
                }
            }
            read(response).await
        })
    }

    /// Sends a GET for each of these paths at once, and reads the answers.
    pub fn get_all(&mut self, paths: &[&str]) -> Vec<Response> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for path in paths {
                let request = request("GET", &format!("http://localhost{path}"), &[]);
                let mut sender = sender.clone().ready().await.unwrap();
                let (response, _) = sender.send_request(request, true).unwrap();
                tasks.push(tokio::spawn(read(response)));
            }
            let mut responses = Vec::new();
            for task in tasks {
                responses.push(task.await.unwrap());
            }
            responses
        })
    }
}

/// A request for a URL, with these fields.
pub fn request(method: &str, url: &str, fields: &[(&str, &str)]) -> http::Request<()> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Reads an answer. Its trailers are added to its fields.
async fn read(response: h2::client::ResponseFuture) -> Response {
    let (head, mut content) = response.await.unwrap().into_parts();
    let mut headers = fields(&head.headers);
    let (mut body, mut complete) = (Vec::new(), true);
    while let Some(data) = content.data().await {
        let Ok(data) = data else {
            complete = false;
            break;
        };
        content.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    if complete && let Some(trailers) = content.trailers().await.unwrap() {
        headers.extend(fields(&trailers));
    }
    Response { status: head.status.as_u16(), headers, body, complete }
}

fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}
