//! Closing a connection so that the last answer arrives.
//!
//! The kernel resets a socket that is closed while unread bytes lie in it, and a reset takes with it what the client has
//! not read yet: a client that is still sending when it is refused would never learn why. So the connection is closed
//! for writing first and then read to its end for a little while (RFC 9112 §9.6).

use super::conn::Stream;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

/// How long a client may take to notice that the connection has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are read and dropped meanwhile, at most.
const MAX_DRAINED: u64 = 1024 * 1024;

/// Which clients are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Those of which something was not read.
    WithUnread,
    /// All that have not ended the connection.
    WithAll,
}

/// Closes a stream: nothing more is written, and what still comes is read and dropped.
pub async fn close(mut stream: impl Stream, patience: Patience) {
    // Whatever comes of these steps, the next one is to drop the stream.
    let _ = stream.shutdown().await;
    if patience == Patience::WithUnread && !has_unread(&mut stream).await {
        return;
    }
    let mut rest = stream.take(MAX_DRAINED);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

/// Whether there is something to read at this moment.
async fn has_unread<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    let mut byte = [0];
    let mut read = pin!(stream.read(&mut byte));
    poll_fn(|context| Poll::Ready(matches!(read.as_mut().poll(context), Poll::Ready(Ok(1))))).await
}
