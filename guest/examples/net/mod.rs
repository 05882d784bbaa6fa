//! What the TCP programs share: parsing addresses, waiting with a timeout, and errors as sentences.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use wasi::cli::{stderr, stdout};
use wasi::clocks::monotonic_clock;
use wasi::io::poll::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasi::sockets::tcp::{ShutdownType, TcpSocket};
use wasi::sockets::tcp_create_socket::create_tcp_socket;

/// The bindings of a program's world: generated code, and the only code that may be `unsafe`.
macro_rules! bindings {
    ($world:literal, $program:ident) => {
        #[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
        mod bindings {
            wit_bindgen::generate!({
                path: "../wit",
                world: $world,
                with: {
                    "wasi:cli/environment@0.2.12": wasi::cli::environment,
                    "wasi:cli/stderr@0.2.12": wasi::cli::stderr,
                    "wasi:cli/stdout@0.2.12": wasi::cli::stdout,
                    "wasi:clocks/monotonic-clock@0.2.12": wasi::clocks::monotonic_clock,
                    "wasi:io/error@0.2.12": wasi::io::error,
                    "wasi:io/poll@0.2.12": wasi::io::poll,
                    "wasi:io/streams@0.2.12": wasi::io::streams,
                    "wasi:sockets/instance-network@0.2.12": wasi::sockets::instance_network,
                    "wasi:sockets/network@0.2.12": wasi::sockets::network,
                    "wasi:sockets/tcp@0.2.12": wasi::sockets::tcp,
                    "wasi:sockets/tcp-create-socket@0.2.12": wasi::sockets::tcp_create_socket,
                },
            });

            export!($program with_types_in self);
            use super::$program;
        }
    };
}
pub(crate) use bindings;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The most bytes that one read returns.
const PIECE: u64 = 4 * 1024;

/// An error, as a sentence for the user.
pub struct Failure(pub String);

/// Prints a line to standard output. Errors are ignored: when the reader has gone, some hosts end the program, and
/// others let it continue.
pub fn say(line: &str) {
    let _ = stdout::get_stdout().blocking_write_and_flush(format!("{line}\n").as_bytes());
}

/// Ends a program: prints a failure to standard error and returns the exit status.
pub fn end(program: &str, outcome: Result<(), Failure>) -> Result<(), ()> {
    outcome.map_err(|Failure(sentence)| {
        let line = format!("{program}: {sentence}\n");
        let _ = stderr::get_stderr().blocking_write_and_flush(line.as_bytes());
    })
}

/// Parses an address, such as `127.0.0.1:8080` or `[::1]:8080`.
pub fn address(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        Failure(format!("`{text}` is not an address and a port, such as 127.0.0.1:8080 or [::1]:8080"))
    })
}

/// A socket that listens at an address.
pub struct Listener {
    /// The socket.
    pub socket: TcpSocket,
    /// Its address. The system has chosen the port if the program bound port 0.
    pub address: SocketAddr,
}

/// A connection: one socket, and its two directions.
pub struct Connection {
    /// Bytes from the peer.
    pub input: InputStream,
    /// Bytes to the peer.
    pub output: OutputStream,
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the peer.
    pub remote: SocketAddr,
    socket: TcpSocket,
}

/// Creates a socket for addresses of this family. It has no address yet.
pub fn create(address: SocketAddr) -> Result<TcpSocket, Failure> {
    let family = if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
    create_tcp_socket(family).map_err(|error| failure("create a socket", error))
}

/// Binds a socket to an address and returns it. For port 0, the system chooses a port.
pub fn bind(socket: &TcpSocket, address: SocketAddr) -> Result<SocketAddr, Failure> {
    let start = socket.start_bind(&instance_network(), to_wasi(address));
    start.and_then(|()| finish(socket, None, TcpSocket::finish_bind)).map_err(|error| match error {
        ErrorCode::AccessDenied => denied("listen at", "--allow-tcp-listen", address),
        ErrorCode::AddressInUse => Failure(format!(
            "cannot bind {address}: another program has it; stop that, or name another address as the argument"
        )),
        ErrorCode::AddressNotBindable => Failure(format!(
            "cannot bind {address}: it is no address of this machine; name another as the argument"
        )),
        error => failure(&format!("bind {address}"), error),
    })?;
    Ok(local(socket, address))
}

/// Starts to listen, so that the system accepts connections. The sandbox may allow a socket to bind an address that the
/// system chooses, and still refuse to let it listen there.
pub fn listen(socket: TcpSocket, address: SocketAddr) -> Result<Listener, Failure> {
    let start = socket.start_listen();
    start.and_then(|()| finish(&socket, None, TcpSocket::finish_listen)).map_err(|error| match error {
        ErrorCode::AccessDenied => {
            denied("listen at", "--allow-tcp-listen", SocketAddr::new(address.ip(), 0))
        }
        error => failure(&format!("listen at {address}"), error),
    })?;
    Ok(Listener { socket, address })
}

/// Connects to an address, with a timeout in seconds.
pub fn connect(socket: TcpSocket, address: SocketAddr, seconds: u64) -> Result<Connection, Failure> {
    let start = socket.start_connect(&instance_network(), to_wasi(address));
    let streams = start.and_then(|()| finish(&socket, Some(seconds), TcpSocket::finish_connect));
    let (input, output) = streams.map_err(|error| match error {
        ErrorCode::AccessDenied => denied("connect to", "--allow-tcp-connect", address),
        ErrorCode::ConnectionRefused => Failure(format!(
            "refused by {address}: nobody listens there, and its system says so at once (with RST); start the server \
             first"
        )),
        ErrorCode::Timeout => Failure(format!(
            "timed out: {address} has not answered in {seconds} s, neither yes nor no; the server is too busy to accept, \
             or what we send is lost on the way"
        )),
        ErrorCode::ConnectionReset => Failure(format!(
            "reset by {address}: it had accepted, and then dropped the connection (with RST) before a byte was sent"
        )),
        error => failure(&format!("connect to {address}"), error),
    })?;
    let local = local(&socket, address);
    Ok(Connection { input, output, local, remote: address, socket })
}

impl Listener {
    /// Waits until a client has connected.
    pub fn accept(&self) -> Result<Connection, Failure> {
        let (socket, input, output) = loop {
            match finish(&self.socket, None, TcpSocket::accept) {
                // The client disconnected before it was accepted.
                Err(ErrorCode::ConnectionAborted) => {}
                accepted => break accepted.map_err(|error| failure("accept a connection", error))?,
            }
        };
        let remote = socket.remote_address().map_or(self.address, from_wasi);
        Ok(Connection { input, output, local: local(&socket, self.address), remote, socket })
    }
}

impl Connection {
    /// Waits for bytes and returns them; `None` when the peer has shut down and sends no more.
    pub fn receive(&self, patience: &Patience) -> Result<Option<Vec<u8>>, Failure> {
        let remote = self.remote;
        while patience.wait(&self.input) {
            match self.input.read(PIECE) {
                // The stream became ready without any bytes: wait again.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                Err(StreamError::Closed) => return Ok(None),
                Err(error) => return Err(lost(remote, &error)),
            }
        }
        let seconds = patience.seconds;
        Err(Failure(format!("timed out: {remote} is still connected, but has sent nothing for {seconds} s")))
    }

    /// Sends all of these bytes.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        for piece in bytes.chunks(4096) {
            self.output.blocking_write_and_flush(piece).map_err(|error| lost(self.remote, &error))?;
        }
        Ok(())
    }

    /// Tells the peer that no more bytes will follow (with FIN). Its own bytes can still be received.
    pub fn shut_down(&self) -> Result<(), Failure> {
        match self.socket.shutdown(ShutdownType::Send) {
            // The connection is closed already, which tells the peer the same.
            Ok(()) | Err(ErrorCode::InvalidState) => Ok(()),
            Err(error) => Err(failure("shut the connection down", error)),
        }
    }
}

/// A timeout.
pub struct Patience {
    seconds: u64,
    end: u64,
}

impl Patience {
    /// A timeout that ends this many seconds from now.
    pub fn of(seconds: u64) -> Self {
        Self { seconds, end: monotonic_clock::now() + seconds * SECOND }
    }

    /// Waits until a stream has bytes or is at its end; `false` if the timeout ends first.
    fn wait(&self, stream: &InputStream) -> bool {
        let ready = poll(&[&stream.subscribe(), &monotonic_clock::subscribe_instant(self.end)]);
        // The timeout counts even if the stream is ready too, or a peer that never stops sending could extend it.
        !ready.contains(&1)
    }
}

/// Finishes an operation that was started: waits and retries until the socket no longer answers `would-block`.
fn finish<T>(
    socket: &TcpSocket,
    seconds: Option<u64>,
    step: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    let end = seconds.map(|seconds| monotonic_clock::now() + seconds * SECOND);
    loop {
        match step(socket) {
            Err(ErrorCode::WouldBlock) => {}
            outcome => return outcome,
        }
        match end {
            None => socket.subscribe().block(),
            Some(end) => {
                let ready = poll(&[&socket.subscribe(), &monotonic_clock::subscribe_instant(end)]);
                if !ready.contains(&0) {
                    return Err(ErrorCode::Timeout);
                }
            }
        }
    }
}

fn denied(what: &str, flag: &str, address: SocketAddr) -> Failure {
    Failure(format!(
        "may not {what} {address}: the sandbox has no such access; `wasi-httpd run` gives it with {flag} {address}, \
         `wasmtime run` with -Sinherit-network"
    ))
}

fn failure(what: &str, error: ErrorCode) -> Failure {
    // The lines after the first are for C programmers.
    let message = error.message();
    Failure(format!("cannot {what}: {}", message.lines().next().unwrap_or(error.name())))
}

/// The failure of a connection that can no longer be read or written. The stream reports its cause only as text.
fn lost(remote: SocketAddr, error: &StreamError) -> Failure {
    match error {
        StreamError::LastOperationFailed(error) if !error.to_debug_string().contains("Reset") => {
            Failure(format!("lost the connection to {remote}: {}", error.to_debug_string()))
        }
        StreamError::Closed => {
            Failure(format!("cannot send to {remote} any more: it has closed the connection"))
        }
        StreamError::LastOperationFailed(_) => Failure(format!(
            "reset by {remote}: it dropped the connection (with RST), and what was under way is lost"
        )),
    }
}

fn local(socket: &TcpSocket, otherwise: SocketAddr) -> SocketAddr {
    socket.local_address().map_or(otherwise, from_wasi)
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: address.port(),
                flow_info: address.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: address.scope_id(),
            })
        }
    }
}

fn from_wasi(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
            SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()
        }
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }) => {
            let (a, b, c, d, e, f, g, h) = address;
            SocketAddrV6::new(Ipv6Addr::new(a, b, c, d, e, f, g, h), port, flow_info, scope_id).into()
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <-> {}", self.local, self.remote)
    }
}
