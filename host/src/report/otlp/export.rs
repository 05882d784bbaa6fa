//! The exporter: sends spans in batches to a collector, by HTTP/1.1 on one connection.

use super::span::{self, Resource, Span};
use crate::report::Occasionally;
use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// Spans of one request to the collector: some 500 KiB.
const MAX_BATCH: usize = 512;

/// How long a span waits for others.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How often it is looked whether a batch is full. Those who add spans would otherwise wake the exporter for each of them.
/// At 150,000 requests a second, three quarters of the queue are filled meanwhile.
const TICK: Duration = Duration::from_millis(10);

/// How long a collector may take for a batch. Those of OpenTelemetry's own exporters are the same.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The most of an answer that is read, in bytes. A longer one ends the connection.
const MAX_ANSWER: usize = 64 * 1024;

/// How many spans did not get to the collector.
pub(super) type Lost = Arc<AtomicU64>;

/// Where batches go.
#[derive(Debug)]
pub(super) struct Target {
    /// What a person calls it.
    pub(super) url: String,
    /// The field `Host`.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) addresses: Vec<SocketAddr>,
}

/// What sends spans.
pub(super) struct Exporting {
    pub(super) target: Target,
    pub(super) resource: Resource,
    pub(super) queue: mpsc::Receiver<Span>,
    pub(super) stop: oneshot::Receiver<()>,
    pub(super) lost: Lost,
}

impl Exporting {
    /// Sends spans until it is stopped, and then those that wait.
    pub(super) async fn run(self) {
        let Self { target, resource, queue, stop, lost } = self;
        let mut batches = Batches { queue, stop: Some(stop) };
        let mut client = Client { target, connection: None };
        let warning = Occasionally::new();
        // Losses that were told, and why there were others.
        let (mut told, mut failure) = (0, None);
        while let Some(batch) = batches.next().await {
            let sent = match span::batch(&resource, &batch) {
                Ok(body) => client.send(body.into()).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = sent {
                lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                failure = Some(error);
            }
            let all = lost.load(Ordering::Relaxed);
            if all > told && warning.is_due() {
                tell(all - told, &client.target.url, failure.take());
                told = all;
            }
        }
        let all = lost.load(Ordering::Relaxed);
        if all > told {
            tell(all - told, &client.target.url, failure);
        }
    }
}

/// Says how many spans were lost since this was said last.
fn tell(spans: u64, url: &str, why: Option<anyhow::Error>) {
    let why = why.map_or_else(|| "it does not take them fast enough".to_owned(), |why| format!("{why:#}"));
    warn!("{spans} spans were lost: cannot send them to {url}: {why}");
}

/// Gathers spans.
struct Batches {
    queue: mpsc::Receiver<Span>,
    /// `None` once it was stopped.
    stop: Option<oneshot::Receiver<()>>,
}

impl Batches {
    /// The next batch; `None` if there will be none.
    async fn next(&mut self) -> Option<Vec<Span>> {
        let first = match &mut self.stop {
            None => self.queue.recv().await,
            Some(stop) => tokio::select! {
                span = self.queue.recv() => span,
                _ = stop => {
                    self.close();
                    self.queue.recv().await
                }
            },
        };
        let mut batch = vec![first?];
        let due = Instant::now() + MAX_AGE;
        while let Some(stop) = &mut self.stop
            && self.queue.len() + 1 < MAX_BATCH
            && Instant::now() < due
        {
            tokio::select! {
                () = sleep(TICK) => {}
                _ = stop => self.close(),
            }
        }
        while batch.len() < MAX_BATCH
            && let Ok(span) = self.queue.try_recv()
        {
            batch.push(span);
        }
        Some(batch)
    }

    /// Takes no more than what waits.
    fn close(&mut self) {
        self.stop = None;
        self.queue.close();
    }
}

/// A client of the collector.
struct Client {
    target: Target,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Sends a batch in time.
    async fn send(&mut self, body: Bytes) -> Result<()> {
        let sent = timeout(SEND_TIMEOUT, self.deliver(body)).await;
        sent.unwrap_or_else(|_| Err(anyhow!("it took longer than {} s", SEND_TIMEOUT.as_secs())))
    }

    async fn deliver(&mut self, body: Bytes) -> Result<()> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
            && let Ok(answer) = connection.send_request(self.request(body.clone())?).await
        {
            return self.end(connection, answer).await;
        }
        // The connection was new, or the collector has closed it while it was idle.
        let mut connection = self.connect().await?;
        let answer = connection.send_request(self.request(body)?).await?;
        self.end(connection, answer).await
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let request = Request::post(&self.target.path)
            .header(HOST, &self.target.host)
            .header(USER_AGENT, concat!("wasi-httpd/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        Ok(request.body(Full::new(body))?)
    }

    /// Looks at an answer, and keeps the connection for the next batch if it can be.
    async fn end(
        &mut self,
        connection: SendRequest<Full<Bytes>>,
        answer: http::Response<Incoming>,
    ) -> Result<()> {
        let status: StatusCode = answer.status();
        if Limited::new(answer.into_body(), MAX_ANSWER).collect().await.is_ok() {
            self.connection = Some(connection);
        }
        if !status.is_success() {
            bail!("it has answered {status}");
        }
        Ok(())
    }

    /// Connects to the first address that takes connections.
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let mut last = anyhow!("it has no address");
        for address in &self.target.addresses {
            match TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}")) {
                Ok(stream) => {
                    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                    // It ends with the sender. What has failed, the sender tells.
                    tokio::spawn(async move { drop(connection.await) });
                    return Ok(sender);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, outcome};
    use super::{Batches, Exporting, Lost, MAX_AGE, MAX_BATCH, Target};
    use crate::report::otlp::span::{Resource, Span};
    use serde_json::Value;
    use std::net::SocketAddr;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{mpsc, oneshot};
    use tokio::time::Instant;

    fn span() -> Span {
        Span::new(context(), &outcome())
    }

    /// An exporter, what it takes spans from, what stops it, and what it has lost.
    fn exporting(address: SocketAddr) -> (Exporting, mpsc::Sender<Span>, oneshot::Sender<()>, Lost) {
        let target = Target {
            url: format!("http://{address}/v1/traces"),
            host: address.to_string(),
            path: "/v1/traces".to_owned(),
            addresses: vec![address],
        };
        let resource = Resource { service: "site".to_owned() };
        let (spans, queue) = mpsc::channel(2 * MAX_BATCH);
        let (stopper, stop) = oneshot::channel();
        let lost = Lost::default();
        (Exporting { target, resource, queue, stop, lost: lost.clone() }, spans, stopper, lost)
    }

    /// Reads a request and answers it. Gives its head and how many spans it had.
    async fn answer(stream: &mut TcpStream, status: &str) -> (String, usize) {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break String::from_utf8(bytes.drain(..at + 4).collect()).unwrap();
            }
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        while bytes.len() < length {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans[0]["name"], "GET");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        (head, spans.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_full_or_a_second_old() {
        let (spans, queue) = mpsc::channel(2 * MAX_BATCH);
        let (stopper, stop) = oneshot::channel();
        let mut batches = Batches { queue, stop: Some(stop) };
        let since = Instant::now();
        for _ in 0..=MAX_BATCH {
            spans.try_send(span()).unwrap();
        }
        assert_eq!(batches.next().await.unwrap().len(), MAX_BATCH);
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert_eq!(batches.next().await.unwrap().len(), 1);
        assert!(since.elapsed() >= MAX_AGE && since.elapsed() < 2 * MAX_AGE);
        spans.try_send(span()).unwrap();
        stopper.send(()).unwrap();
        assert_eq!(batches.next().await.unwrap().len(), 1);
        assert!(batches.next().await.is_none());
        assert!(spans.try_send(span()).is_err());
    }

    #[tokio::test]
    async fn batches_go_to_a_collector_on_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (exporting, spans, stopper, lost) = exporting(address);
        for _ in 0..=MAX_BATCH {
            spans.try_send(span()).unwrap();
        }
        let exporter = tokio::spawn(exporting.run());
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, count) = answer(&mut stream, "200 OK").await;
        assert_eq!(count, MAX_BATCH);
        let mut fields: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
        fields.retain(|field| !field.starts_with("content-length: "));
        let user_agent = format!("user-agent: wasi-httpd/{}", env!("CARGO_PKG_VERSION"));
        let host = format!("host: {address}");
        let expected = ["POST /v1/traces HTTP/1.1", &host, &user_agent, "content-type: application/json"];
        assert_eq!(fields, expected);
        stopper.send(()).unwrap();
        assert_eq!(answer(&mut stream, "200 OK").await.1, 1);
        exporter.await.unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (exporting, spans, stopper, lost) = exporting(listener.local_addr().unwrap());
        let exporter = tokio::spawn(exporting.run());
        for _ in 0..2 {
            spans.try_send(span()).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_eq!(answer(&mut stream, "200 OK").await.1, 1);
        }
        drop(stopper);
        exporter.await.unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_refused_batch_is_lost_and_the_next_one_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (exporting, spans, stopper, lost) = exporting(listener.local_addr().unwrap());
        let exporter = tokio::spawn(exporting.run());
        spans.try_send(span()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(answer(&mut stream, "503 Service Unavailable").await.1, 1);
        spans.try_send(span()).unwrap();
        assert_eq!(answer(&mut stream, "200 OK").await.1, 1);
        stopper.send(()).unwrap();
        exporter.await.unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let (exporting, spans, stopper, lost) = exporting(address);
        spans.try_send(span()).unwrap();
        drop(stopper);
        exporting.run().await;
        assert!(spans.is_closed());
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}
