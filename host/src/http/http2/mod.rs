//! HTTP/2 on one connection: from its preface to its last stream, within time limits.
//!
//! Frames, streams and windows are those of h2, the library that hyper has for HTTP/2. It is used without hyper, which
//! reads a body before its stream has room for it, and ends the task of an answer before its last bytes have found room:
//! then a window that stays empty would hold memory, and could not be told from a client that is slow.
//!
//! 1. [`wire`] is what the library reads from and writes to. [`frames`] looks through what the client sends, and
//!    [`budget`] tells floods.
//! 2. All requests of a connection are answered in its task. [`stream`] is one of them: [`request`] puts it into the
//!    terms of HTTP/1.1, and [`incoming`] is its content.
//! 3. [`share`] is what one connection may take of the instances and files of all.
//! 4. [`watch`] closes connections that are idle or do not get on.

mod budget;
mod frames;
mod incoming;
mod request;
mod share;
mod stream;
mod watch;
mod wire;

use super::connection::{Connections, Room};
use super::shutdown::{Known, Phase, may_have_changed, reached};
use crate::allocator;
use crate::net::conn::{Conn, ConnInfo, Stream};
use crate::net::linger::{self, Patience};
use crate::report::metrics::{ConnectionCounts, Limit};
use crate::sandbox::may_hang;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use h2::server::{Builder, Connection};
use share::Share;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stream::Payload;
use tokio::sync::{Semaphore, watch as phases};
use tokio::task::block_in_place;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep};
use tracing::debug;
use watch::{Seen, TICK, Watch};
use wire::Wire;

/// Requests that a client may have in flight on a connection: what RFC 9113 §6.5.2 advises at least, and browsers use.
const MAX_STREAMS: u32 = 100;

/// Bytes of content that a client may send ahead of the guests, on a stream and on a connection. It is the window that
/// every connection begins with, and enough for uploads of some megabytes a second.
const RECEIVE_WINDOW: u32 = 65_535;

/// Bytes of a body that wait for the socket, for each stream. A frame has 16 KiB.
const SEND_BUFFER: usize = 64 * 1024;

/// The largest frame that is read, in bytes. It is the smallest limit that there may be, and larger frames would only
/// hold more memory until they are complete.
const MAX_FRAME: u32 = 16 * 1024;

/// Bytes of the table that a client may refer to in its heads: the size that every connection begins with.
const HEADER_TABLE: u32 = 4 * 1024;

/// Requests that were reset before they were looked at. More come from a client that opens streams in order to reset
/// them (CVE-2023-44487).
const MAX_RESETS_BEFORE_ACCEPT: usize = 20;

/// Streams of a connection that may be reset because of what the client sends on them. More come from a client that has
/// the server reset what it has begun (CVE-2025-8671).
const MAX_STREAM_ERRORS: usize = 100;

/// How long the last frame may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What connections of this version share.
#[derive(Clone)]
pub(super) struct Http2 {
    library: Builder,
    instances: u32,
    /// How long a request waits for an instance.
    queue: Duration,
    /// The most fields of a head.
    fields: usize,
    /// Requests in flight of all connections, beyond one for each.
    further: Arc<Semaphore>,
}

impl Http2 {
    /// Connections that have as many requests in flight together, beyond one for each, as there may be connections.
    pub(super) fn new(room: Room) -> Self {
        let mut library = Builder::new();
        library
            .max_concurrent_streams(MAX_STREAMS)
            .initial_window_size(RECEIVE_WINDOW)
            .initial_connection_window_size(RECEIVE_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(u32::try_from(room.head.size).unwrap_or(u32::MAX))
            .header_table_size(HEADER_TABLE)
            .max_pending_accept_reset_streams(MAX_RESETS_BEFORE_ACCEPT)
            .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS));
        let further = Arc::new(Semaphore::new(room.connections));
        Self { library, instances: room.instances, queue: room.queue, fields: room.head.fields, further }
    }
}

impl Connections {
    /// Serves a connection whose client speaks HTTP/2, of which `read` has been read already, until either side ends it.
    pub async fn serve_http2<S: Stream>(
        &self,
        conn: Conn<S>,
        read: Bytes,
        phase: &mut phases::Receiver<Phase>,
    ) {
        let Conn { stream, info } = conn;
        // Files go into frames, and the library reads at all times, so that it knows when the client leaves.
        let info = ConnInfo { files: None, hangup: None, ..info };
        let wire = Wire::new(stream, read);
        let handshake = self.http2.library.handshake(wire.clone());
        let connection = tokio::select! {
            connection = handshake => connection,
            () = sleep(self.times.head) => return,
            () = reached(phase, Phase::Draining) => return,
        };
        match connection {
            Ok(connection) => self.drive(connection, &wire, &info, phase).await,
            Err(error) => debug!("connection of {}: {error}", info.peer),
        }
        let patience =
            if *phase.borrow() >= Phase::Draining { Patience::WithUnread } else { Patience::WithAll };
        if *phase.borrow() < Phase::Cutting
            && let Some(stream) = wire.into_stream()
        {
            linger::close(stream, patience).await;
        }
    }

    /// Has the library read and write frames, and answers requests, until the connection is over.
    async fn drive<S: Stream>(
        &self,
        mut connection: Connection<Wire<S>, Payload>,
        wire: &Wire<S>,
        info: &ConnInfo,
        phase: &mut phases::Receiver<Phase>,
    ) {
        let share = Share::new(self.http2.instances, self.http2.queue, Arc::clone(&self.http2.further));
        let mut streams = FuturesUnordered::new();
        let (since, mut cut) = (phase.clone(), phase.clone());
        let mut cutting = pin!(unconstrained(reached(&mut cut, Phase::Cutting)));
        let mut draining = pin!(unconstrained(reached(phase, Phase::Draining)));
        let mut is_leaving = false;
        let mut is_draining = false;
        let mut closing = None;
        let mut known = Known::default();
        let mut tick = pin!(sleep(TICK));
        let mut watch = Watch::new(&self.times);
        let mut idle = self.counts.as_deref().map(ConnectionCounts::idle);
        poll_fn(|context| {
            let mut is_new = known.is_new(context);
            loop {
                let mut advance = |context: &mut Context<'_>| {
                    while let Poll::Ready(accepted) = connection.poll_accept(context) {
                        match accepted {
                            Some(Ok(_)) if closing.is_some() => {}
                            Some(Ok((request, respond))) => {
                                streams.push(self.answer_stream(request, respond, info, &share));
                            }
                            Some(Err(error)) => {
                                debug!("connection of {}: {error}", info.peer);
                                return Poll::Ready(());
                            }
                            None => return Poll::Ready(()),
                        }
                    }
                    while let Poll::Ready(Some(is_complete)) = streams.poll_next_unpin(context) {
                        if is_complete {
                            wire.note_answer();
                        } else {
                            allocator::note_release();
                        }
                    }
                    Poll::Pending
                };
                // Guests and files run in here. What may hang gets a thread of its own meanwhile.
                let advanced =
                    if may_hang() { block_in_place(|| advance(context)) } else { advance(context) };
                if advanced.is_ready() {
                    return Poll::Ready(());
                }
                let is_busy = !streams.is_empty() || connection.has_streams();
                let mut reason = wire.is_flooded().then_some(Reason::ENHANCE_YOUR_CALM);
                if is_new || may_have_changed(&since) {
                    if cutting.as_mut().poll(context).is_ready() {
                        return Poll::Ready(());
                    }
                    is_draining = is_draining || draining.as_mut().poll(context).is_ready();
                    if !is_leaving && *since.borrow() >= Phase::Leaving {
                        is_leaving = true;
                        // Requests that are under way to the server are answered. The client sends no others, once it
                        // has heard.
                        connection.graceful_shutdown();
                        if is_busy || !is_draining {
                            continue;
                        }
                    }
                }
                if is_draining && !is_busy {
                    // The client need not confirm that it has heard, because it learns which requests were answered.
                    reason = reason.or(Some(Reason::NO_ERROR));
                }
                let is_due = is_new || tick.is_elapsed();
                let ticked = is_due && pin!(unconstrained(tick.as_mut())).poll(context).is_ready();
                if ticked {
                    tick.as_mut().reset(Instant::now() + TICK);
                    // It has forgotten the waker.
                    is_new = true;
                    if let Some(idle) = &mut idle {
                        idle.set(!is_busy);
                    }
                    let (has_settings, open_head) = (wire.has_settings(), wire.open_head());
                    reason = reason.or(watch.look(Seen { is_busy, has_settings, open_head }));
                }
                match (closing, reason) {
                    (Some(since), _) if Instant::now() - since >= CLOSE_TIMEOUT => return Poll::Ready(()),
                    (None, Some(reason)) => {
                        match reason {
                            _ if wire.is_flooded() => Limit::Frames.hit(),
                            Reason::NO_ERROR => {}
                            _ => Limit::HeadTime.hit(),
                        }
                        closing = Some(Instant::now());
                        streams.clear();
                        connection.abrupt_shutdown(reason);
                    }
                    _ if ticked => {}
                    _ => return Poll::Pending,
                }
            }
        })
        .await;
        // For the connection, and for each stream that it still has.
        for _ in 0..=streams.len() {
            allocator::note_release();
        }
    }
}
