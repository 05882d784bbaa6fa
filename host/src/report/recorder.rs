//! Follows requests, and records what became of each once: when the last byte of its answer was handed over, or its
//! client has left.

use super::access_log::AccessLog;
use super::outcome::{Outcome, Peer, RequestLine};
use super::subject::Subject;
use bytes::Buf as _;
use http::Request;
use http::header::{HeaderMap, HeaderName, REFERER, USER_AGENT};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

/// How much of one header field is kept for the log, in bytes.
const MAX_FIELD: usize = 8 * 1024;

/// The status of a request whose client left before its answer began: no HTTP status, but the one that other servers'
/// logs use.
const CLIENT_LEFT: u16 = 499;

/// Where outcomes go.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The access log, where one is kept.
    pub access_log: Option<AccessLog>,
}

impl Report {
    /// Begins to follow a request, unless outcomes go nowhere.
    pub fn begin<B>(&self, peer: Peer, request: &Request<B>, subject: &Subject) -> Option<Recorder> {
        let log = self.access_log.clone()?;
        let outcome = Outcome {
            peer,
            arrived: SystemTime::now(),
            line: RequestLine::Read(subject.clone(), request.version()),
            referer: field(request.headers(), &REFERER),
            user_agent: field(request.headers(), &USER_AGENT),
            status: CLIENT_LEFT,
            bytes: 0,
        };
        Some(Recorder { log, outcome })
    }

    /// Records a request whose head could not be read. `line` is what arrived of its first line; the answer had this
    /// status and so many bytes.
    pub fn record_unreadable(&self, peer: Peer, line: &[u8], status: u16, bytes: u64) {
        if let Some(log) = &self.access_log {
            log.record(&Outcome {
                peer,
                arrived: SystemTime::now(),
                line: RequestLine::Raw(line[..line.len().min(MAX_FIELD + 1)].into()),
                referer: None,
                user_agent: None,
                status,
                bytes,
            });
        }
    }
}

/// Copies a field, so that the log does not keep the whole head in memory.
fn field(headers: &HeaderMap, name: &HeaderName) -> Option<Box<[u8]>> {
    let value = headers.get(name)?.as_bytes();
    // One byte more than is shown tells the log that it was longer.
    Some(value[..value.len().min(MAX_FIELD + 1)].into())
}

/// A request that is being answered. Its outcome is recorded when this is dropped.
#[derive(Debug)]
pub struct Recorder {
    log: AccessLog,
    outcome: Outcome,
}

impl Recorder {
    /// The answer has this status.
    pub fn set_status(&mut self, status: u16) {
        self.outcome.status = status;
    }

    /// So many bytes of its body were handed to the connection.
    pub fn count(&mut self, bytes: u64) {
        self.outcome.bytes += bytes;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.log.record(&self.outcome);
    }
}

/// A body that counts what is taken from it, and carries the [`Recorder`] to the end of the answer.
pub struct Recorded<B> {
    body: B,
    recorder: Option<Recorder>,
}

impl<B> Recorded<B> {
    /// Follows the body of an answer of this status.
    pub fn new(body: B, mut recorder: Option<Recorder>, status: u16) -> Self {
        if let Some(recorder) = &mut recorder {
            recorder.set_status(status);
        }
        Self { body, recorder }
    }
}

impl<B: Body + Unpin> Body for Recorded<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let (Some(recorder), Some(data)) = (&mut self.recorder, frame.data_ref())
        {
            recorder.count(data.remaining() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
