//! Traces: a span for each request, for an OpenTelemetry collector, by OTLP/HTTP with JSON.
//!
//! 1. [`Collector`]: its addresses, looked up before the process restricts itself
//! 2. [`context`]: the trace that a client has begun goes on here, and in the component
//! 3. [`span`]: what became of a request, as a span
//! 4. [`export`]: a thread that sends spans
//!
//! The types of OTLP in crates come with gRPC or Protocol Buffers. The JSON of one kind of span is a page, and the HTTP client
//! is there for components.
//!
//! This is the feature `otlp`. Without it, `absent.rs` has the same types and no values of them.

mod context;
mod export;
mod span;

use super::outcome::Outcome;
use crate::config::otlp::{Otlp, Sample};
use anyhow::{Context as _, Result};
use context::Context;
use export::{Exporting, Lost, Target};
use http::HeaderMap;
use span::{Resource, Span};
use std::net::ToSocketAddrs as _;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// Spans that may wait: those of some tenths of a second under load, and 6 MiB if clients choose their texts.
const QUEUE: usize = 2048;

/// The name of the service, where the environment gives none.
const SERVICE: &str = "wasi-httpd";

/// The variable that names the service (OpenTelemetry, "General SDK Configuration").
const SERVICE_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// A collector whose name was looked up.
#[derive(Debug)]
pub struct Collector {
    target: Target,
    port: u16,
    sample: Sample,
}

impl Collector {
    /// Looks the name up.
    pub fn find(otlp: &Otlp) -> Result<Self> {
        let host = &otlp.collector;
        let addresses = (host.host.as_str(), host.port).to_socket_addrs();
        let addresses = addresses
            .with_context(|| format!("cannot look up the host of --otlp {otlp}; name its address instead"))?;
        let target = Target {
            url: otlp.to_string(),
            host: host.to_string(),
            path: otlp.path.clone(),
            addresses: addresses.collect(),
        };
        Ok(Self { target, port: host.port, sample: otlp.sample })
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the thread that sends spans.
    pub fn start(self) -> Result<(Tracer, Exporter)> {
        let (spans, queue) = mpsc::channel(QUEUE);
        let (stopper, stop) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let lost = Lost::default();
        let service = std::env::var(SERVICE_VARIABLE).ok().filter(|name| !name.is_empty());
        let resource = Resource { service: service.unwrap_or_else(|| SERVICE.to_owned()) };
        let exporting = Exporting { target: self.target, resource, queue, stop, lost: lost.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        std::thread::Builder::new().name("otlp".to_owned()).spawn(move || {
            runtime.block_on(exporting.run());
            // The receiver is gone if the time for the last spans was up.
            let _ = ending.send(());
        })?;
        Ok((Tracer { spans, sample: self.sample, lost }, Exporter { stopper, ended }))
    }
}

/// The place of a request in its trace.
#[derive(Debug)]
pub struct Traced(Box<Context>);

/// Makes spans. Clones send to the same collector.
#[derive(Clone, Debug)]
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    sample: Sample,
    lost: Lost,
}

impl Tracer {
    /// Begins the span of a request, whose head from now on names it as the parent.
    pub fn begin(&self, headers: &mut HeaderMap) -> Traced {
        Traced(Box::new(Context::take(headers, self.sample)))
    }

    /// Ends a span; `None` is one that was not begun, because the head of the request could not be read.
    pub fn record(&self, traced: Option<&Traced>, outcome: &Outcome) {
        let context = traced.map_or_else(|| Context::new(None, self.sample), |Traced(context)| **context);
        if context.is_sampled() && self.spans.try_send(Span::new(context, outcome)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread that sends spans.
#[derive(Debug)]
pub struct Exporter {
    stopper: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Exporter {
    /// Has it send what waits and end. The result waits for that, for at most so long from now on.
    pub fn stop(self, patience: Duration) -> impl Future<Output = ()> {
        let Self { stopper, ended } = self;
        let deadline = Instant::now() + patience;
        let _ = stopper.send(());
        async move {
            if timeout_at(deadline, ended).await.is_err() {
                warn!("the last spans were lost: the collector does not take them fast enough");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::context::Traceparent;
    use super::{Collector, Context, Lost, Ordering, Sample, Traced, Tracer, mpsc};
    use crate::cli;
    use crate::config::otlp::Otlp;
    use crate::report::metrics::SiteMetrics;
    use crate::report::outcome::{Outcome, RequestLine, Via};
    use crate::report::request_id::RequestId;
    use crate::report::subject::Subject;
    use crate::report::tag::Label;
    use crate::report::{Recorded, Report, for_site};
    use http::{Method, Request, Version};
    use http_body_util::{BodyExt as _, Full};
    use serde_json::{Map, Value, json};
    use std::io::{Read as _, Write as _};
    use std::net::{IpAddr, TcpListener};
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn otlp(url: &str) -> Otlp {
        Otlp::new(cli::Otlp { otlp: Some(url.to_owned()), otlp_sample: None }).unwrap().unwrap()
    }

    fn all() -> Sample {
        otlp("http://a").sample
    }

    /// A span of the client of [`EXAMPLE`].
    pub(super) fn context() -> Context {
        Context::new(Traceparent::parse(EXAMPLE.as_bytes()), all())
    }

    fn via() -> Via {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        Via { peer: address.into(), scheme: "https", tls: Some("TLSv1.3") }
    }

    pub(super) fn outcome() -> Outcome {
        Outcome {
            site: Label::new("blog"),
            id: RequestId::given(b"abc").unwrap(),
            via: via(),
            user: None,
            arrived: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            line: RequestLine::Read(Subject::new(&Method::GET, &"/a?b".parse().unwrap()), Version::HTTP_2),
            host: Some(b"example.com:8443".as_slice().into()),
            referer: None,
            user_agent: Some(b"curl".as_slice().into()),
            status: 200,
            bytes: 5,
            head: None,
            total: Some(Duration::from_micros(250)),
            cpu: Some(Duration::from_micros(7)),
        }
    }

    /// The attributes of a span, by their names.
    pub(super) fn attributes(span: &Value) -> Value {
        let all = span["attributes"].as_array().unwrap();
        let by_name: Map<_, _> =
            all.iter().map(|one| (one["key"].as_str().unwrap().to_owned(), one["value"].clone())).collect();
        assert_eq!(by_name.len(), all.len(), "each comes once");
        Value::Object(by_name)
    }

    /// A collector that takes one batch. Gives its spans.
    fn collect(listener: &TcpListener) -> Vec<Value> {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            assert_ne!(read, 0);
            bytes.extend_from_slice(&buffer[..read]);
            let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            // The whole body is there once it is JSON.
            if let Ok(body) = serde_json::from_slice::<Value>(&bytes[at + 4..]) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
                return body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
            }
        }
    }

    #[tokio::test]
    async fn requests_become_spans_of_the_traces_of_their_clients() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector =
            Collector::find(&otlp(&format!("http://{}", listener.local_addr().unwrap()))).unwrap();
        assert_eq!(collector.port(), listener.local_addr().unwrap().port());
        let (tracer, exporter) = collector.start().unwrap();
        let report = Report::new(None, None, Some(tracer));
        let request =
            Request::builder().uri("/a").header("host", "example.com").header("traceparent", EXAMPLE);
        let mut request = request.body(()).unwrap();
        let subject = Subject::new(request.method(), request.uri());
        let mut recorder = report.begin(via, &mut request, &subject);
        assert!(recorder.as_ref().unwrap().meter().is_some());
        let metrics: Option<&Arc<SiteMetrics>> = None;
        for_site(&Label::new("blog"), metrics, subject, &mut recorder);
        let body = Recorded::new(Full::new("hello".as_bytes()), recorder, 200);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        report.record_unreadable(via(), b"\x16", 400, 3);
        let collecting = std::thread::spawn(move || collect(&listener));
        exporter.stop(Duration::from_mins(1)).await;
        let spans = collecting.join().unwrap();
        let [span, unreadable] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
        let seen = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", span["spanId"].as_str().unwrap());
        assert_eq!(request.headers()["traceparent"], seen.as_str());
        let of_span = attributes(span);
        assert_eq!(of_span["wasi_httpd.site"], json!({"stringValue": "blog"}));
        assert_eq!(of_span["http.response.body.size"], json!({"intValue": "5"}));
        let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") < time("endTimeUnixNano"));
        assert_eq!((&unreadable["name"], &unreadable["parentSpanId"]), (&json!("HTTP"), &Value::Null));
    }

    #[test]
    fn a_span_that_finds_no_place_is_lost_and_one_that_is_not_sampled_is_not_made() {
        let (spans, mut queue) = mpsc::channel(1);
        let tracer = Tracer { spans, sample: all(), lost: Lost::default() };
        let outcome = outcome();
        let not_sampled = Traceparent::parse(EXAMPLE.replace("-01", "-00").as_bytes());
        let not_sampled = Traced(Box::new(Context::new(not_sampled, all())));
        tracer.record(Some(&not_sampled), &outcome);
        assert!(queue.is_empty());
        for lost in [0, 1, 2] {
            tracer.record(None, &outcome);
            assert_eq!((queue.len(), tracer.lost.load(Ordering::Relaxed)), (1, lost));
        }
        assert!(queue.try_recv().is_ok());
        tracer.record(None, &outcome);
        assert_eq!((queue.len(), tracer.lost.load(Ordering::Relaxed)), (1, 2));
    }

    #[test]
    fn a_name_that_leads_nowhere_is_told_by_its_flag() {
        let error = Collector::find(&otlp("http://collector.invalid:4318")).unwrap_err();
        let text = format!("{error:#}");
        let start =
            "cannot look up the host of --otlp http://collector.invalid:4318/v1/traces; name its address";
        assert!(text.starts_with(start), "{text}");
    }
}
