//! Clients that leave while nothing is read from them.
//!
//! While a guest answers, the HTTP library reads nothing, so it does not see that the client is gone. The kernel does: a
//! reset is an error of the socket, and an orderly end (FIN) closes the reading side. A FIN alone is ambiguous. It may
//! come from a client that has closed its socket, or from one that has finished sending and waits for its answer.

use super::transport::Transport;
use std::sync::Arc;
use tokio::io::Interest;

/// How a client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The connection was reset, or has timed out.
    Reset,
    /// The client sends nothing more, and may still read.
    Finished,
}

/// Notices that the client of a connection leaves. It reads nothing.
#[derive(Clone, Debug)]
pub struct Hangup(Arc<Transport>);

impl Hangup {
    /// Watches a socket.
    pub(super) fn new(stream: Arc<Transport>) -> Self {
        Self(stream)
    }

    /// Waits until the client has finished sending or the connection is broken.
    pub async fn left(&self) -> Left {
        // Of tokio's interests, PRIORITY is the one that completes when the reading side closes, and not when there is
        // something to read.
        match self.0.ready(Interest::PRIORITY | Interest::ERROR).await {
            Ok(ready) if !ready.is_error() => Left::Finished,
            _ => Left::Reset,
        }
    }

    /// Waits until the connection is broken.
    pub async fn reset(&self) {
        let _ = self.0.ready(Interest::ERROR).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Hangup, Left};
    use rustix::net::sockopt::set_socket_linger;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    async fn pair() -> (Hangup, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Hangup::new(Arc::new(listener.accept().await.unwrap().0.into())), client)
    }

    #[tokio::test]
    async fn a_client_that_closes_and_one_that_resets_are_told_apart() {
        let (hangup, mut client) = pair().await;
        // What is there to be read is not taken for a sign.
        client.write_all(b"another request").await.unwrap();
        drop(client);
        assert_eq!(hangup.left().await, Left::Finished);
        assert_eq!(hangup.left().await, Left::Finished, "it does not come back");

        let (hangup, client) = pair().await;
        set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(hangup.left().await, Left::Reset);
    }

    #[tokio::test]
    async fn a_reset_is_noticed_after_the_end_too() {
        let (hangup, mut client) = pair().await;
        client.shutdown().await.unwrap();
        assert_eq!(hangup.left().await, Left::Finished);
        set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        hangup.reset().await;
    }

    #[tokio::test]
    async fn a_client_of_a_unix_socket_that_closes_is_noticed() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let hangup = Hangup::new(Arc::new(server.into()));
        client.write_all(b"another request").await.unwrap();
        drop(client);
        assert_eq!(hangup.left().await, Left::Finished);
    }
}
