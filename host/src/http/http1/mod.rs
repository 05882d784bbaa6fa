//! HTTP/1.1 on one connection: from its first byte to its last, within time limits.
//!
//! 1. It waits for a request, without the buffers of the HTTP library: most connections are idle most of the time.
//! 2. The library reads requests and writes answers, for as long as one follows the other. [`exchange`] is what it reads
//!    from and writes to.
//! 3. A [`head`] that cannot be read, or does not arrive in time, is answered here, in the host's own words; one that
//!    begins HTTP/2 goes on as such.
//! 4. The connection is closed so that the last answer arrives.

mod exchange;
mod head;

use super::client::{identify, subject};
use super::connection::{Answerer, Connections, Room};
use super::refusal::Refusal;
use super::shutdown::{FIRST_REQUEST_TIMEOUT, Known, Phase, may_have_changed, reached};
use crate::allocator;
use crate::app::{GuestBody, NoAnswer};
use crate::body::Data;
use crate::net::conn::{Conn, ConnInfo, Stream};
use crate::net::linger::{self, Patience};
use crate::net::proxy::header;
use crate::net::tls::handshake::{NO_TLS, is_client_hello};
use crate::report::metrics::ConnectionCounts;
use crate::report::{Recorded, for_site};
use crate::sandbox::may_hang;
use bytes::Bytes;
use exchange::{Exchange, Point, Progress};
use head::{as_http_1_1, begins_http_2, explain, first_line, stray_header};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::block_in_place;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

/// How often a connection that the library has is looked at. Its time limits are that exact, and an idle one gives its
/// buffers back after that.
const TICK: Duration = Duration::from_secs(1);

/// The fields that the library has room for on the stack.
const LIBRARY_FIELDS: usize = 100;

/// Connections that may read a head of more than 8 KiB at a time; others wait for their turn.
const MAX_LARGE_HEADS: usize = 2_048;

/// What connections of this version share.
#[derive(Clone)]
pub(super) struct Http1 {
    library: http1::Builder,
    large_heads: Arc<Semaphore>,
}

impl Http1 {
    pub(super) fn new(room: Room) -> Self {
        let mut library = http1::Builder::new();
        // Timed here, once a connection rather than once a request.
        library
            .header_read_timeout(None)
            .max_header_size(room.head.size)
            .max_buf_size(room.head.size)
            // A client that has finished sending still wants its answer. `Hangup` tells when it has left.
            .half_close(true)
            // Bytes are never copied together: those of placeholders cannot be read.
            .writev(true);
        // With another number, the library allocates room for them for each request.
        if room.head.fields != LIBRARY_FIELDS {
            library.max_headers(room.head.fields);
        }
        Self { library, large_heads: Arc::new(Semaphore::new(MAX_LARGE_HEADS)) }
    }
}

/// How the library has ended.
enum End {
    /// The connection is over.
    Over,
    /// The client has left, or an answer could not be completed.
    Failed,
    /// It is idle.
    Idle,
    /// The head of a request has not arrived in time.
    HeadTimeout,
    /// The head of a request cannot be read.
    Unreadable(hyper::Error),
}

impl Connections {
    /// Serves a connection until either side ends it. Goes on with HTTP/2 when its client begins with that.
    pub(super) async fn serve_http1<S: Stream>(&self, conn: Conn<S>, phase: &mut watch::Receiver<Phase>) {
        let Conn { stream, info } = conn;
        let mut exchange = Exchange::new(stream, Arc::clone(&self.http1.large_heads));
        let mut patience = Patience::WithAll;
        let mut is_new = true;
        let mut idle = self.counts.as_deref().map(ConnectionCounts::idle);
        loop {
            if let Some(idle) = &mut idle {
                idle.set(true);
            }
            tokio::select! {
                // A request that is there is answered, also by a server that stops.
                biased;
                () = exchange.readable() => {}
                () = sleep(self.times.idle) => break,
                () = reached(phase, Phase::Draining) => {
                    // The first request of a new connection is under way. Otherwise, a server that stops does not wait for
                    // clients that have sent nothing.
                    let first = async { timeout(FIRST_REQUEST_TIMEOUT, exchange.readable()).await.is_ok() };
                    // In memory of its own, which other connections do without.
                    if !(is_new && Box::pin(first).await) {
                        patience = Patience::WithUnread;
                        break;
                    }
                }
            }
            is_new = false;
            if let Some(idle) = &mut idle {
                idle.set(false);
            }
            let state = Shared {
                info: &info,
                progress: exchange.progress(),
                needs_reset: AtomicBool::new(false),
                is_leaving: AtomicBool::new(false),
            };
            let (returned, unread, end) = self.exchange(exchange, &state, phase).await;
            exchange = returned;
            let refusal = match end {
                End::Idle => {
                    allocator::note_release();
                    exchange.put_back(&unread);
                    continue;
                }
                End::Failed if state.needs_reset.load(Ordering::Relaxed) => {
                    // Not by way of `linger`, which begins with an orderly end.
                    exchange.reset_on_close();
                    return;
                }
                End::Over | End::Failed => {
                    if matches!(end, End::Failed) {
                        exchange.cut_short();
                    }
                    if *phase.borrow() >= Phase::Draining {
                        patience = Patience::WithUnread;
                    }
                    break;
                }
                End::HeadTimeout => Refusal::HeadTimeout,
                End::Unreadable(_) if state.progress.is_at_first_head() && begins_http_2(&unread) => {
                    let Some(stream) = exchange.into_stream() else { return };
                    let read = Bytes::copy_from_slice(&unread);
                    // In memory of its own: connections with HTTP/1.1 need none of it.
                    return Box::pin(self.serve_http2(Conn { stream, info }, read, phase)).await;
                }
                End::Unreadable(error) => {
                    if let Some(head) = as_http_1_1(&unread) {
                        exchange.put_back(&head);
                        continue;
                    }
                    if is_client_hello(&unread) {
                        // Such a client reads no HTTP, and what it has sent is nothing to be logged.
                        let status = Refusal::NeedsTls.status().as_u16();
                        self.report.record_unreadable(info.via(), b"", status, 0);
                        write_unasked(&mut exchange, &NO_TLS).await;
                        break;
                    }
                    if header::is_meant(&unread) { stray_header(&info) } else { explain(&error, &unread) }
                }
            };
            self.refuse(&mut exchange, &refusal, first_line(&unread), &info).await;
            break;
        }
        if let Some(stream) = exchange.into_stream() {
            linger::close(stream, patience).await;
        }
    }

    /// Has the HTTP library read requests and write answers. Gives the connection back, with what was read and not
    /// understood.
    async fn exchange<S: Stream>(
        &self,
        exchange: Exchange<S>,
        state: &Shared<'_>,
        phase: &mut watch::Receiver<Phase>,
    ) -> (Exchange<S>, Bytes, End) {
        let service = service_fn(|request| self.answer(request, state));
        let mut connection = Box::new(self.http1.library.serve_connection(TokioIo::new(exchange), service));
        let since = phase.clone();
        let mut draining = pin!(unconstrained(reached(phase, Phase::Draining)));
        let mut is_draining = false;
        let mut known = Known::default();
        let mut tick = pin!(sleep(TICK));
        let mut watch = Watch { steps: state.progress.steps(), since: 0, head_timeout: self.times.head };
        let outcome = poll_fn(|context| {
            let mut is_new = known.is_new(context);
            loop {
                // Looked at first, so that the answers of this poll know. What changes meanwhile wakes this task.
                let is_due = is_new || may_have_changed(&since);
                if is_due && *since.borrow() >= Phase::Leaving {
                    state.is_leaving.store(true, Ordering::Relaxed);
                }
                let mut poll = || Pin::new(&mut *connection).poll(context);
                // Guests and files run in here. What may hang gets a thread of its own meanwhile, which costs some
                // microseconds.
                let polled = if may_hang() { block_in_place(poll) } else { poll() };
                if let Poll::Ready(outcome) = polled {
                    return Poll::Ready(Err(outcome));
                }
                if !is_draining && is_due && draining.as_mut().poll(context).is_ready() {
                    is_draining = true;
                    Pin::new(&mut *connection).graceful_shutdown();
                    continue;
                }
                let is_due = is_new || tick.is_elapsed();
                if !is_due || pin!(unconstrained(tick.as_mut())).poll(context).is_pending() {
                    return Poll::Pending;
                }
                if let Some(end) = watch.look(&state.progress) {
                    return Poll::Ready(Ok(end));
                }
                tick.as_mut().reset(Instant::now() + TICK);
                // It has forgotten the waker.
                is_new = true;
            }
        })
        .await;
        let parts = connection.into_parts();
        let exchange = parts.io.into_inner();
        let end = match outcome {
            Ok(end) => end,
            // What the library would have said was withheld, or it says nothing to this version of HTTP.
            Err(Err(error)) if exchange.has_withheld() || error.is_parse_version_h2() => {
                End::Unreadable(error)
            }
            Err(Err(error)) => {
                // A client that leaves is no failure of the server.
                debug!("connection of {}: {error}", state.info.peer);
                End::Failed
            }
            Err(Ok(())) => End::Over,
        };
        (exchange, parts.read_buf, end)
    }

    /// Answers a request: by the app, or where it is not for a guest, by a refusal.
    async fn answer(
        &self,
        request: Request<Incoming>,
        state: &Shared<'_>,
    ) -> Result<Response<Answer>, NoAnswer> {
        // Passed on several times.
        let mut request = Box::new(request);
        state.progress.reach(Point::Request);
        let identified = identify(&mut request, state.info);
        let info = identified.as_deref().unwrap_or(state.info);
        let subject = subject(&request, info);
        let mut recorder = self.report.begin(|| info.via(), &mut request, &subject);
        let method = request.method().clone();
        let version = request.version();
        let answered = match self.check(&mut request, &identified) {
            Ok(Answerer::Site(app)) => {
                let subject = for_site(app.label(), app.metrics(), subject, &mut recorder);
                match app.respond(request, info, subject, recorder.as_mut()).await {
                    Ok(response) => Ok(response.map(Either::Left)),
                    Err(why) => Err(Refusal::instead(why)),
                }
            }
            Ok(Answerer::Host(response)) => Ok(response.map(|()| Either::Right(Full::default()))),
            Err(refusal) => Err(Ok(refusal)),
        };
        let mut response = match answered {
            Ok(response) => response,
            Err(Ok(refusal)) => refusal.response(&method).map(Either::Right),
            Err(Err(why)) => return Err(why),
        };
        if let Some(hsts) = &self.hsts {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if state.is_leaving.load(Ordering::Relaxed) {
            // The library sends it, and closes the connection after this answer.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // The end of the connection is all that tells the end of such a body, so an early end has to be a reset.
        let ends_with_connection =
            version == Version::HTTP_10 && !response.headers().contains_key(CONTENT_LENGTH);
        state.needs_reset.store(ends_with_connection, Ordering::Relaxed);
        let status = response.status().as_u16();
        let progress = state.progress.clone();
        Ok(response.map(|body| Answer { body: Recorded::new(body, recorder, status), progress }))
    }

    /// Answers what could not be read.
    async fn refuse<S: Stream>(
        &self,
        exchange: &mut Exchange<S>,
        refusal: &Refusal,
        line: &[u8],
        info: &ConnInfo,
    ) {
        let (message, body) = refusal.message(self.hsts.as_ref());
        self.report.record_unreadable(info.via(), line, refusal.status().as_u16(), body as u64);
        write_unasked(exchange, &message).await;
    }
}

/// Writes what answers no request that could be read.
async fn write_unasked<S: Stream>(exchange: &mut Exchange<S>, message: &[u8]) {
    exchange.progress().reach(Point::Request);
    // A client that has left reads no answer.
    let _ = exchange.write_all(message).await;
}

/// What the answers on a connection share.
struct Shared<'a> {
    info: &'a ConnInfo,
    progress: Progress,
    /// Whether an answer that ends early has to end by a reset.
    needs_reset: AtomicBool,
    /// Whether the next answer is the last one on this connection, because the server will stop.
    is_leaving: AtomicBool,
}

/// Looks once in each [`TICK`] whether a connection goes on.
struct Watch {
    steps: u32,
    /// Ticks since the last step.
    since: u32,
    head_timeout: Duration,
}

impl Watch {
    fn look(&mut self, progress: &Progress) -> Option<End> {
        if std::mem::replace(&mut self.steps, progress.steps()) != progress.steps() {
            self.since = 0;
            return None;
        }
        self.since += 1;
        match progress.point() {
            Point::Idle => Some(End::Idle),
            Point::Head if TICK * self.since >= self.head_timeout => Some(End::HeadTimeout),
            _ => None,
        }
    }
}

/// The body of an answer, a guest's or the host's own. When it is dropped, the library has all of it.
struct Answer {
    body: Recorded<Either<Box<GuestBody>, Full<Data>>>,
    progress: Progress,
}

impl Body for Answer {
    type Data = Data;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.reach(Point::Answered);
    }
}
