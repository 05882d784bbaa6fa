//! One request and its answer, on a stream of their own.
//!
//! Nothing is read from a file before its stream has room for it, so that an answer that waits for a client's window costs
//! an open file and little memory. A stream whose window stays empty is reset, and the others live on. An answer that
//! cannot be completed is reset as well, so that its client can tell.

use super::incoming::{Asked, Incoming};
use super::request::into_http_1_1;
use super::share::{Permit, Share};
use crate::app::GuestBody;
use crate::body::{Buffered, Incomplete, Part, Piece, READ_MAX};
use crate::http::client::{identify, subject};
use crate::http::connection::{Answerer, Connections};
use crate::http::date;
use crate::http::refusal::Refusal;
use crate::net::ConnInfo;
use crate::report::metrics::Limit;
use crate::report::{Recorder, Subject, for_site};
use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::header::{HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use tracing::{debug, error};

/// Fields that are about a connection of HTTP/1.1 (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Bytes of a body in a frame, on their way to the socket.
pub(super) struct Payload {
    bytes: Buffered,
    /// `None` where there are no bytes.
    _permit: Option<Permit>,
    /// Counts what is on its way: all that refer to it, but for one.
    _on_the_way: Arc<()>,
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// What an answer consists of, apart from its head.
enum Content {
    Guest(Box<GuestBody>),
    /// The host's own words.
    Host(Bytes),
}

impl Content {
    fn is_empty(&self) -> bool {
        match self {
            Self::Guest(body) => body.is_end_stream(),
            Self::Host(bytes) => bytes.is_empty(),
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Guest(body) => body.size_hint().exact(),
            Self::Host(bytes) => Some(bytes.len() as u64),
        }
    }
}

/// An answer, and what goes with it to its end.
struct Answer {
    response: Response<Content>,
    subject: Subject,
    recorder: Option<Recorder>,
    /// The right to the instance that works for it.
    instance: Option<Permit>,
}

/// Why an answer was not sent to its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("its client has left")]
    Left,
    #[error("its client takes nothing more of it")]
    Stalled,
    #[error("too many requests are in flight")]
    Refused,
    #[error("its content ended early")]
    Incomplete,
    #[error(transparent)]
    Library(#[from] h2::Error),
}

impl Broken {
    /// What the client is told, unless it knows better.
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Left => None,
            Self::Stalled => Some(Reason::CANCEL),
            // The client may try again at once, on another connection.
            Self::Refused => Some(Reason::REFUSED_STREAM),
            Self::Incomplete | Self::Library(_) => Some(Reason::INTERNAL_ERROR),
        }
    }

    /// The limit that was reached, if it is one.
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::Stalled => Some(Limit::Stall),
            Self::Refused => Some(Limit::Streams),
            Self::Left | Self::Incomplete | Self::Library(_) => None,
        }
    }
}

impl Connections {
    /// Answers a request. Tells whether the answer was sent to its end.
    pub(super) async fn answer_stream(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Payload>,
        info: &ConnInfo,
        share: &Share,
    ) -> bool {
        // Held to the end, by refusals as well: they wait for room like other answers.
        let admission = share.admit();
        let (head, stream) = request.into_parts();
        let content = Incoming::new(stream, &head.headers);
        let request = Box::new(Request::from_parts(head, content));
        let method = request.method().clone();
        let continues = expects_continue(request.headers()).then(|| request.body().asked());
        // In memory of its own, which an answer that waits for its client no longer needs.
        let answer = Box::pin(self.answer_request(request, info, admission.as_ref().map(|_| share)));
        let outcome = match wait_for(answer, continues, &mut respond).await {
            Ok(answer) => self.send(answer, &method, &mut respond, share).await,
            Err(broken) => Err(broken),
        };
        if let Err(broken) = &outcome {
            debug!("a stream of {}: {broken}", info.peer);
            if let Some(limit) = broken.limit() {
                limit.hit();
            }
            if let Some(reason) = broken.reason() {
                respond.send_reset(reason);
            }
        }
        outcome.is_ok()
    }

    /// Has the app answer a request, or where it is not for a guest, refuses it. Without a share, it was not admitted.
    async fn answer_request(
        &self,
        mut request: Box<Request<Incoming>>,
        info: &ConnInfo,
        share: Option<&Share>,
    ) -> Result<Answer, Broken> {
        let rewritten = into_http_1_1(&mut request, &info.scheme, self.http2.fields);
        let identified = rewritten.and_then(|()| identify(&mut request, info));
        let info = identified.as_deref().unwrap_or(info);
        let mut subject = subject(&request, info);
        let mut recorder = self.report.begin(|| info.via(), &mut request, &subject);
        let Some(share) = share else {
            if let Some(recorder) = &mut recorder {
                recorder.set_status(StatusCode::SERVICE_UNAVAILABLE.as_u16());
            }
            return Err(Broken::Refused);
        };
        let method = request.method().clone();
        let refuse = |refusal: Refusal| refusal.answer(&method).map(Content::Host);
        let mut instance = None;
        let response = match self.check(&mut request, &identified) {
            Err(refusal) => refuse(refusal),
            Ok(Answerer::Host(response)) => response.map(|()| Content::Host(Bytes::new())),
            Ok(Answerer::Site(app)) => {
                subject = for_site(app.label(), app.metrics(), subject, &mut recorder);
                let answered = match share.instance().await {
                    Ok(permit) => {
                        instance = Some(permit);
                        app.respond(request, info, subject.clone(), recorder.as_mut()).await
                    }
                    Err(busy) => Err(busy),
                };
                match answered.map_err(Refusal::instead) {
                    Ok(response) => response.map(Content::Guest),
                    Err(Ok(refusal)) => refuse(refusal),
                    Err(Err(_)) => return Err(Broken::Left),
                }
            }
        };
        Ok(Answer { response, subject, recorder, instance })
    }

    /// Sends an answer.
    async fn send(
        &self,
        answer: Answer,
        method: &Method,
        respond: &mut SendResponse<Payload>,
        share: &Share,
    ) -> Result<(), Broken> {
        let Answer { response, subject, mut recorder, mut instance } = answer;
        let (mut head, content) = response.into_parts();
        let status = head.status;
        if let Some(recorder) = &mut recorder {
            recorder.begin_answer(status.as_u16());
        }
        let is_bodiless =
            *method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        complete(&mut head.headers, content.length().filter(|_| !is_bodiless));
        if let Some(hsts) = &self.hsts {
            head.headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        let is_empty = is_bodiless || content.is_empty();
        let stream = match respond.send_response(Response::from_parts(head, ()), is_empty) {
            Ok(stream) => stream,
            // The stream was reset meanwhile, perhaps by the library.
            Err(_) if has_reset(respond).await => return Err(Broken::Left),
            Err(error) => {
                error!("the response to {subject} cannot be sent: {error}");
                return Err(error.into());
            }
        };
        if is_empty {
            return Ok(());
        }
        let mut outgoing = Outgoing {
            stream,
            share,
            on_the_way: Arc::new(()),
            stall: self.times.stall,
            timer: None,
            subject,
            recorder,
        };
        let mut body = match content {
            Content::Guest(body) => body,
            Content::Host(bytes) => return outgoing.send(Piece::Bytes(bytes.into()), None).await,
        };
        loop {
            let part = outgoing.next_part(&mut body).await?;
            if !body.has_instance() {
                drop(instance.take());
            }
            match part {
                Some(Part::Piece(piece)) => {
                    outgoing.send(piece, Some(&mut body)).await?;
                    if body.is_end_stream() {
                        return Ok(());
                    }
                }
                Some(Part::Trailers(trailers)) => {
                    // Nothing more comes, so nothing of the connection's window is kept for it.
                    outgoing.stream.reserve_capacity(0);
                    return Ok(outgoing.stream.send_trailers(trailers)?);
                }
                None => return outgoing.send(Piece::Bytes(Bytes::new().into()), None).await,
            }
        }
    }
}

/// Waits for an answer, or until its client wants none any more. Asks for the content of a request that waits to be asked
/// (RFC 9110 §10.1.1) once a guest reads it.
async fn wait_for(
    mut answer: Pin<Box<impl Future<Output = Result<Answer, Broken>>>>,
    mut continues: Option<Asked>,
    respond: &mut SendResponse<Payload>,
) -> Result<Answer, Broken> {
    poll_fn(|context| {
        let polled = answer.as_mut().poll(context);
        if polled.is_ready() {
            return polled;
        }
        if continues.as_ref().is_some_and(Asked::get) {
            continues = None;
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::CONTINUE;
            respond.send_informational(head)?;
        }
        respond.poll_reset(context).map(|_| Err(Broken::Left))
    })
    .await
}

/// Whether a stream was reset.
async fn has_reset(respond: &mut SendResponse<Payload>) -> bool {
    poll_fn(|context| Poll::Ready(respond.poll_reset(context).is_ready())).await
}

/// The body of an answer on its way.
struct Outgoing<'a> {
    stream: SendStream<Payload>,
    share: &'a Share,
    on_the_way: Arc<()>,
    /// How long a client may leave the stream without room.
    stall: Duration,
    /// Used again and again, because most waits are short.
    timer: Option<Pin<Box<Sleep>>>,
    subject: Subject,
    recorder: Option<Recorder>,
}

impl Outgoing<'_> {
    /// The next part of a body; `None` at its end.
    async fn next_part(&mut self, body: &mut GuestBody) -> Result<Option<Part>, Broken> {
        poll_fn(|context| match body.poll_part(context, READ_MAX as u64) {
            Poll::Ready(part) => Poll::Ready(part.transpose().map_err(|_| Broken::Incomplete)),
            Poll::Pending => self.stream.poll_reset(context).map(|_| Err(Broken::Left)),
        })
        .await
    }

    /// Sends a piece of a body, as its stream has room for it. It is the last one unless there is a `rest`.
    async fn send(&mut self, mut piece: Piece, rest: Option<&mut GuestBody>) -> Result<(), Broken> {
        if piece.is_empty() {
            // The end of a stream needs no room.
            return self.send_data(Bytes::new().into(), None, is_over(rest.as_deref()));
        }
        while !piece.is_empty() {
            let wanted = usize::try_from(piece.len()).unwrap_or(READ_MAX).min(READ_MAX);
            let room = self.room(wanted).await?;
            let (room, permit) = self.share.bytes(room).await.ok_or(Broken::Left)?;
            let bytes = piece.take(room).map_err(|why| self.cut_short(why))?;
            self.send_data(bytes, Some(permit), piece.is_empty() && is_over(rest.as_deref()))?;
        }
        Ok(())
    }

    fn send_data(&mut self, bytes: Buffered, permit: Option<Permit>, is_last: bool) -> Result<(), Broken> {
        if let Some(recorder) = &mut self.recorder {
            recorder.count(bytes.len() as u64);
        }
        let payload = Payload { bytes, _permit: permit, _on_the_way: Arc::clone(&self.on_the_way) };
        Ok(self.stream.send_data(payload, is_last)?)
    }

    fn cut_short(&self, why: Incomplete) -> Broken {
        error!("the response to {} was cut short: {why}", self.subject);
        Broken::Incomplete
    }

    /// Waits until the stream has room for some of so many bytes.
    async fn room(&mut self, wanted: usize) -> Result<usize, Broken> {
        self.stream.reserve_capacity(wanted);
        let mut is_waiting = false;
        poll_fn(|context| {
            loop {
                let room = self.stream.capacity();
                if room > 0 {
                    return Poll::Ready(Ok(room.min(wanted)));
                }
                match self.stream.poll_capacity(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => return Poll::Ready(Err(Broken::Left)),
                    Poll::Pending => break,
                }
            }
            let is_first = !std::mem::replace(&mut is_waiting, true);
            self.poll_stall(context, is_first).map(|()| Err(Broken::Stalled))
        })
        .await
    }

    /// Waits for as long as the client may leave the stream without room. While bytes of it are on the way, it is the
    /// socket that has no room, and `StallGuard` that waits.
    fn poll_stall(&mut self, context: &mut Context<'_>, is_first: bool) -> Poll<()> {
        let stall = self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(stall)));
        if is_first {
            timer.as_mut().reset(Instant::now() + stall);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Arc::strong_count(&self.on_the_way) == 1 {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + stall);
        }
        Poll::Pending
    }
}

/// Whether nothing comes after what was sent, as far as it is known.
fn is_over(rest: Option<&GuestBody>) -> bool {
    rest.is_none_or(GuestBody::is_end_stream)
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Gives a head the fields that every answer has, and takes away those of HTTP/1.1.
fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    for name in &CONNECTION_FIELDS {
        headers.remove(name);
    }
    if let Some(length) = length
        && !headers.contains_key(CONTENT_LENGTH)
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !headers.contains_key(DATE)
        && let Some(date) = date::now()
    {
        headers.insert(DATE, date);
    }
}
