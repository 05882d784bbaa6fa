//! A connection on its way from a listener to HTTP, whatever carries it.

use super::hangup::Hangup;
use super::proxy::Forwarding;
use crate::body::SocketFiles;
use crate::report::{Peer, Via};
use http::uri::Scheme;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
#[derive(Debug)]
pub struct Conn<S> {
    /// Its bytes.
    pub stream: S,
    /// What answers on it need to know.
    pub info: ConnInfo,
}

/// What answers on a connection need to know about it.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// Who sends the requests.
    pub peer: Peer,
    /// The scheme of their URLs.
    pub scheme: Scheme,
    /// The version of TLS, such as `TLSv1.3`.
    pub tls: Option<&'static str>,
    /// Who can reach the listener.
    pub reach: Reach,
    /// Where ranges of files go, if the stream sends them by itself.
    pub files: Option<SocketFiles>,
    /// Tells when the client leaves, if HTTP itself does not.
    pub hangup: Option<Hangup>,
    /// How the peer says whose requests it sends, if it is a proxy that is believed.
    pub forwarding: Option<Forwarding>,
}

impl ConnInfo {
    /// How its requests come, for a report.
    pub fn via(&self) -> Via {
        let scheme = if self.scheme == Scheme::HTTPS { "https" } else { "http" };
        Via { peer: self.peer, scheme, tls: self.tls }
    }
}

/// Who can reach a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Programs on this machine, among them every web page that its users open.
    Loopback,
    /// Other machines.
    Network,
    /// Programs on this machine that may open the file of a unix socket. Web pages cannot, and usually one of them is a
    /// proxy.
    Unix,
}

/// The bytes of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether shutting it down tells the client something that the end of the socket does not, so that it is done even if
    /// the client has ended the connection.
    const CLOSES_IN_BAND: bool = false;

    /// Waits until something can be read, or the connection has ended, without taking anything. Gives the first byte, if
    /// there is one.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Option<u8>>;

    /// Makes the close that follows a reset: what was not delivered is dropped, and the client can tell that it was.
    fn reset_on_close(&self);

    /// Makes an end that follows one by which the client can tell that an answer is not complete, if the stream has two
    /// kinds of ends.
    fn cut_short(&mut self) {}
}

/// Waits until something can be read from a stream, and gives the first byte, which stays there; `None` at its end.
pub async fn readable<S: Stream>(stream: &mut S) -> Option<u8> {
    poll_fn(|context| stream.poll_readable(context)).await
}
