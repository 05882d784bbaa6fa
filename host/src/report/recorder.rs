//! Follows requests, and records what became of each once: when the last byte of its answer was handed over, or its
//! client has left.

use super::access_log::AccessLog;
use super::metrics::SiteMetrics;
use super::metrics::site::Seen;
use super::otlp::{Traced, Tracer};
use super::outcome::{Needs, Outcome, RequestLine, Via};
use super::request_id::RequestId;
use super::subject::Subject;
use super::tag::{Label, Tag};
use bytes::Buf as _;
use http::Request;
use http::header::{HOST, HeaderMap, HeaderName, REFERER, USER_AGENT};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// How much of one header field is kept for the log, in bytes.
const MAX_FIELD: usize = 8 * 1024;

/// The status of a request whose client left before its answer began: no HTTP status, but the one that other servers'
/// logs use.
const CLIENT_LEFT: u16 = 499;

/// Where outcomes go.
#[derive(Clone, Debug, Default)]
pub struct Report(Option<Arc<Readers>>);

/// Who reads outcomes: at least one of these.
#[derive(Debug)]
struct Readers {
    access_log: Option<AccessLog>,
    /// Counts what is for no site.
    unrouted: Option<Arc<SiteMetrics>>,
    tracer: Option<Tracer>,
    needs: Needs,
}

impl Report {
    /// Outcomes that go to this log, are counted, and become spans. `unrouted` counts those of requests that are for no site.
    pub fn new(
        access_log: Option<AccessLog>,
        unrouted: Option<Arc<SiteMetrics>>,
        tracer: Option<Tracer>,
    ) -> Self {
        if access_log.is_none() && unrouted.is_none() && tracer.is_none() {
            return Self(None);
        }
        let mut needs = access_log.as_ref().map(AccessLog::needs).unwrap_or_default();
        needs.times |= unrouted.is_some();
        if tracer.is_some() {
            needs = Needs { times: true, cpu: true, host: true, fields: true, ..needs };
        }
        Self(Some(Arc::new(Readers { access_log, unrouted, tracer, needs })))
    }

    /// Begins to follow a request, unless outcomes go nowhere. If it is traced, its head names its span from now on.
    pub fn begin<B>(
        &self,
        via: impl FnOnce() -> Via,
        request: &mut Request<B>,
        subject: &Subject,
    ) -> Option<Recorder> {
        let readers = self.0.as_ref()?;
        let trace = readers.tracer.as_ref().map(|tracer| tracer.begin(request.headers_mut()));
        let Needs { times, cpu, host, fields, .. } = readers.needs;
        let headers = request.headers();
        let field = |name| if fields { field(headers, name) } else { None };
        let Tag { site, id } = subject.tag().clone();
        let outcome = Outcome {
            site,
            id,
            via: via(),
            user: None,
            arrived: SystemTime::now(),
            line: RequestLine::Read(subject.clone(), request.version()),
            host: if host { named_host(request) } else { None },
            referer: field(&REFERER),
            user_agent: field(&USER_AGENT),
            status: CLIENT_LEFT,
            bytes: 0,
            head: None,
            total: None,
            cpu: None,
        };
        let since = times.then(Instant::now);
        let (readers, meter) = (Arc::clone(readers), cpu.then(Meter::default));
        Some(Recorder(Box::new(Followed { readers, metrics: None, outcome, since, meter, trace })))
    }

    /// Records a request whose head could not be read. `line` is what arrived of its first line; the answer had this
    /// status and so many bytes.
    pub fn record_unreadable(&self, via: Via, line: &[u8], status: u16, bytes: u64) {
        if let Some(readers) = &self.0 {
            let outcome = Outcome {
                site: Label::default(),
                id: RequestId::next(),
                via,
                user: None,
                arrived: SystemTime::now(),
                line: RequestLine::Raw(kept(line)),
                host: None,
                referer: None,
                user_agent: None,
                status,
                bytes,
                head: None,
                total: None,
                cpu: None,
            };
            readers.record(&outcome, None, None);
        }
    }
}

impl Readers {
    /// Records an outcome, which these count if it is one of a site's.
    fn record(&self, outcome: &Outcome, metrics: Option<&SiteMetrics>, trace: Option<&Traced>) {
        if let Some(log) = &self.access_log {
            log.record(outcome);
        }
        if let Some(tracer) = &self.tracer {
            tracer.record(trace, outcome);
        }
        let metrics = metrics.or_else(|| {
            let unrouted = self.unrouted.as_deref()?;
            unrouted.begin();
            Some(unrouted)
        });
        if let Some(metrics) = metrics {
            let &Outcome { status, bytes, head, total, .. } = outcome;
            let method = match &outcome.line {
                RequestLine::Read(subject, _) => subject.method(),
                RequestLine::Raw(_) => "",
            };
            metrics.end(Seen { method, status, bytes, head, total });
        }
    }
}

/// The host that a request names: a target in absolute form comes before the field `Host` (RFC 9112 §3.2.2).
fn named_host<B>(request: &Request<B>) -> Option<Box<[u8]>> {
    match request.uri().authority() {
        Some(authority) => Some(kept(authority.as_str().as_bytes())),
        None => field(request.headers(), &HOST),
    }
}

/// Copies a field, so that the log does not keep the whole head in memory.
fn field(headers: &HeaderMap, name: &HeaderName) -> Option<Box<[u8]>> {
    headers.get(name).map(|value| kept(value.as_bytes()))
}

/// As much of a text as is kept. One byte more than is shown tells the log that it was longer.
fn kept(text: &[u8]) -> Box<[u8]> {
    text[..text.len().min(MAX_FIELD + 1)].into()
}

/// Adds up how long a guest has run. Clones add to the same.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// It has run for this much longer.
    pub fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long it has run; `None` if it has not.
    fn total(&self) -> Option<Duration> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&nanos| nanos > 0).map(Duration::from_nanos)
    }
}

/// A request that is being answered. Its outcome is recorded when this is dropped. It is moved from one future to the next more
/// than ten times, so that what it knows is in memory of its own.
#[derive(Debug)]
pub struct Recorder(Box<Followed>);

#[derive(Debug)]
struct Followed {
    readers: Arc<Readers>,
    /// Those of its site, once that is known.
    metrics: Option<Arc<SiteMetrics>>,
    outcome: Outcome,
    /// When it arrived, if times are needed.
    since: Option<Instant>,
    meter: Option<Meter>,
    /// Its place in a trace, if it is traced.
    trace: Option<Traced>,
}

impl Recorder {
    /// What measures its guest, if that is needed.
    pub fn meter(&self) -> Option<Meter> {
        self.0.meter.clone()
    }

    /// It had the password of this user.
    pub fn set_user(&mut self, name: &[u8]) {
        if self.0.readers.needs.user {
            self.0.outcome.user = Some(name.into());
        }
    }

    /// It has no answer but this status.
    pub fn set_status(&mut self, status: u16) {
        self.0.outcome.status = status;
    }

    /// The answer begins, with this status.
    pub fn begin_answer(&mut self, status: u16) {
        self.set_status(status);
        self.0.outcome.head = self.0.since.map(|since| since.elapsed());
    }

    /// So many bytes of its body were handed to the connection.
    pub fn count(&mut self, bytes: u64) {
        self.0.outcome.bytes += bytes;
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.outcome.total = self.since.map(|since| since.elapsed());
        self.outcome.cpu = self.meter.as_ref().and_then(Meter::total);
        self.readers.record(&self.outcome, self.metrics.as_deref(), self.trace.as_ref());
    }
}

/// Notes in the subject of a request, and in the recorder that follows it, which site the request is for, and what counts it
/// there.
pub fn for_site(
    site: &Label,
    metrics: Option<&Arc<SiteMetrics>>,
    subject: Subject,
    recorder: &mut Option<Recorder>,
) -> Subject {
    if let Some(recorder) = recorder {
        recorder.0.outcome.site = site.clone();
        recorder.0.metrics = metrics.map(Arc::clone);
        if let Some(metrics) = metrics {
            metrics.begin();
        }
    }
    subject.with_site(site.clone())
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
            recorder.begin_answer(status);
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
