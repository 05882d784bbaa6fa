//! Spans, and a batch of them as JSON (OTLP specification, "JSON Protobuf Encoding"), with the attributes of the semantic
//! conventions for HTTP servers. This is pure.

use super::context::Context;
use crate::report::outcome::{Outcome, Peer, RequestLine};
use crate::report::request_id::RequestId;
use crate::report::tag::Label;
use http::Version;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much of a text is kept, in bytes. A client chooses three of them, and thousands of spans may wait.
const MAX_TEXT: usize = 1024;

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// The flags of a sampled span: the ones of its trace, and that it is known whether its parent is in another process.
const SAMPLED_HERE: u32 = 0x101;

/// The parent is in another process.
const REMOTE_PARENT: u32 = 0x200;

/// The methods that have a name. Any other is `_OTHER`, so that clients cannot make up names of spans.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/// The method of a request that has none of these, or could not be read.
const OTHER: &str = "_OTHER";

/// One request that was answered.
#[derive(Debug)]
pub(super) struct Span {
    context: Context,
    site: Label,
    id: RequestId,
    client: Peer,
    scheme: &'static str,
    arrived: SystemTime,
    took: Duration,
    method: &'static str,
    path: Option<Box<str>>,
    version: Option<&'static str>,
    host: Option<Box<str>>,
    user_agent: Option<Box<str>>,
    status: u16,
    bytes: u64,
    cpu: Option<Duration>,
}

impl Span {
    /// The span of a request.
    pub(super) fn new(context: Context, outcome: &Outcome) -> Self {
        let (method, path, version) = match &outcome.line {
            RequestLine::Read(subject, version) => {
                let known = METHODS.into_iter().find(|&method| method == subject.method());
                (known.unwrap_or(OTHER), Some(path(subject.target())), number(*version))
            }
            RequestLine::Raw(_) => (OTHER, None, None),
        };
        Self {
            context,
            site: outcome.site.clone(),
            id: outcome.id.clone(),
            client: outcome.via.peer,
            scheme: outcome.via.scheme,
            arrived: outcome.arrived,
            took: outcome.total.unwrap_or_default(),
            method,
            path: path.map(kept),
            version,
            host: outcome.host.as_deref().map(|host| kept(&String::from_utf8_lossy(host))),
            user_agent: outcome.user_agent.as_deref().map(|name| kept(&String::from_utf8_lossy(name))),
            status: outcome.status,
            bytes: outcome.bytes,
            cpu: outcome.cpu,
        }
    }

    fn attributes(&self) -> Vec<Attribute<'_>> {
        let mut all = vec![
            text("http.request.method", self.method),
            text("url.scheme", self.scheme),
            integer("http.response.status_code", self.status.into()),
            integer("http.response.body.size", self.bytes),
            text("wasi_httpd.site", self.site.as_str()),
            owned("wasi_httpd.request_id", self.id.to_string()),
        ];
        all.extend(self.path.as_deref().map(|path| text("url.path", path)));
        all.extend(self.version.map(|version| text("network.protocol.version", version)));
        if let Some(host) = &self.host {
            let (address, port) = split(host);
            all.push(text("server.address", address));
            all.extend(port.map(|port| integer("server.port", port.into())));
        }
        if self.client != Peer::UNIX {
            all.push(owned("client.address", self.client.to_string()));
        }
        all.extend(self.user_agent.as_deref().map(|name| text("user_agent.original", name)));
        if self.is_error() {
            all.push(owned("error.type", self.status.to_string()));
        }
        all.extend(self.cpu.map(|cpu| {
            integer("wasi_httpd.guest_cpu_us", u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX))
        }));
        all
    }

    fn is_error(&self) -> bool {
        self.status >= 500
    }
}

/// As much of a text as is kept.
fn kept(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(MAX_TEXT)].into()
}

/// The path of a target, which may be a URL.
fn path(target: &str) -> &str {
    let rooted = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    match rooted.split('?').next() {
        None | Some("") => "/",
        Some(path) => path,
    }
}

/// A host, without the brackets of an IPv6 address, and its port.
fn split(host: &str) -> (&str, Option<u16>) {
    let (address, port) = match host.rsplit_once(':') {
        // The last group of an address has its bracket after it, and is no number.
        Some((address, port)) if !port.ends_with(']') => (address, port.parse().ok()),
        _ => (host, None),
    };
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    (bare.unwrap_or(address), port)
}

/// The version of HTTP.
fn number(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => return None,
    })
}

/// Where spans come from.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The name of the service.
    pub(super) service: String,
}

/// The body of a request to a collector.
pub(super) fn batch(resource: &Resource, spans: &[Span]) -> serde_json::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = OneResource {
        attributes: [text("service.name", &resource.service), text("service.version", version)],
    };
    let scope_spans = [ScopeSpans { scope: Scope { name: "wasi-httpd", version }, spans }];
    serde_json::to_vec(&Request { resource_spans: [ResourceSpans { resource, scope_spans }] })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: OneResource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct OneResource<'a> {
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: &'a [Span],
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: Value<'a>,
}

/// A value of an attribute.
#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(Cow<'a, str>),
    /// Numbers of 64 bits are text in this encoding.
    #[serde(rename = "intValue")]
    Integer(String),
}

fn text<'a>(key: &'static str, value: &'a str) -> Attribute<'a> {
    Attribute { key, value: Value::Text(value.into()) }
}

fn owned(key: &'static str, value: String) -> Attribute<'static> {
    Attribute { key, value: Value::Text(value.into()) }
}

fn integer(key: &'static str, value: u64) -> Attribute<'static> {
    Attribute { key, value: Value::Integer(value.to_string()) }
}

/// A span as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: &'static str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let start = self.arrived.duration_since(UNIX_EPOCH).unwrap_or_default();
        let parent = self.context.parent();
        let written = Written {
            trace_id: format!("{:032x}", self.context.trace()),
            span_id: format!("{:016x}", self.context.span()),
            parent_span_id: parent.map(|id| format!("{id:016x}")),
            flags: if parent.is_some() { SAMPLED_HERE | REMOTE_PARENT } else { SAMPLED_HERE },
            // A name has few values, and the target of a request has many.
            name: if self.method == OTHER { "HTTP" } else { self.method },
            kind: SERVER,
            start_time_unix_nano: start.as_nanos().to_string(),
            end_time_unix_nano: (start + self.took).as_nanos().to_string(),
            attributes: self.attributes(),
            status: Status { code: self.is_error().then_some(ERROR) },
        };
        written.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attributes, context, outcome};
    use super::{Resource, Span, batch, path, split};
    use crate::report::outcome::{Outcome, Peer, RequestLine, Via};
    use crate::report::subject::Subject;
    use http::{Method, Version};
    use serde_json::{Value, json};

    fn written(outcome: &Outcome) -> Value {
        let body = batch(&Resource { service: "site".to_owned() }, &[Span::new(context(), outcome)]).unwrap();
        let mut parsed: Value = serde_json::from_slice(&body).unwrap();
        parsed["resourceSpans"][0]["scopeSpans"][0]["spans"][0].take()
    }

    #[test]
    fn a_batch_says_where_it_comes_from() {
        let body = batch(&Resource { service: "site \"a\"".to_owned() }, &[]).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected = json!({"resourceSpans": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": "site \"a\""}},
                {"key": "service.version", "value": {"stringValue": version}},
            ]},
            "scopeSpans": [{"scope": {"name": "wasi-httpd", "version": version}, "spans": []}],
        }]});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn a_span_has_the_attributes_of_the_conventions() {
        let span = written(&outcome());
        let expected = json!({
            "http.request.method": {"stringValue": "GET"},
            "url.scheme": {"stringValue": "https"},
            "url.path": {"stringValue": "/a"},
            "http.response.status_code": {"intValue": "200"},
            "http.response.body.size": {"intValue": "5"},
            "network.protocol.version": {"stringValue": "2"},
            "server.address": {"stringValue": "example.com"},
            "server.port": {"intValue": "8443"},
            "client.address": {"stringValue": "192.0.2.1"},
            "user_agent.original": {"stringValue": "curl"},
            "wasi_httpd.site": {"stringValue": "blog"},
            "wasi_httpd.request_id": {"stringValue": "abc"},
            "wasi_httpd.guest_cpu_us": {"intValue": "7"},
        });
        assert_eq!(attributes(&span), expected);
        let of_span = |key: &str| &span[key];
        assert_eq!(
            (of_span("name"), of_span("kind"), of_span("status")),
            (&json!("GET"), &json!(2), &json!({}))
        );
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((&span["parentSpanId"], &span["flags"]), (&json!("b7ad6b7169203331"), &json!(0x301)));
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert_eq!(span["startTimeUnixNano"], "1700000000000000000");
        assert_eq!(span["endTimeUnixNano"], "1700000000000250000");
    }

    #[test]
    fn only_failures_of_the_server_are_errors() {
        for (status, code) in [(200, None), (404, None), (499, None), (500, Some(2)), (503, Some(2))] {
            let span = written(&Outcome { status, ..outcome() });
            assert_eq!(span["status"]["code"].as_u64(), code, "{status}");
            let error = &attributes(&span)["error.type"]["stringValue"];
            assert_eq!(error.as_str(), code.map(|_| status.to_string()).as_deref());
        }
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        let via = Via { peer: Peer::UNIX, ..outcome().via };
        let line = RequestLine::Raw(b"\x16\x03".as_slice().into());
        let span = written(&Outcome {
            via,
            line,
            host: None,
            user_agent: None,
            total: None,
            cpu: None,
            status: 400,
            ..outcome()
        });
        let expected = json!({
            "http.request.method": {"stringValue": "_OTHER"},
            "url.scheme": {"stringValue": "https"},
            "http.response.status_code": {"intValue": "400"},
            "http.response.body.size": {"intValue": "5"},
            "wasi_httpd.site": {"stringValue": "blog"},
            "wasi_httpd.request_id": {"stringValue": "abc"},
        });
        assert_eq!(attributes(&span), expected);
        assert_eq!((&span["name"], &span["startTimeUnixNano"]), (&json!("HTTP"), &span["endTimeUnixNano"]));
    }

    #[test]
    fn clients_choose_neither_names_nor_how_much_is_kept() {
        let method = Method::from_bytes(b"BREW").unwrap();
        let subject = Subject::new(&method, &format!("/{}", "x".repeat(5_000)).parse().unwrap());
        let line = RequestLine::Read(subject, Version::HTTP_11);
        let user_agent = Some("\u{20ac}".repeat(1_000).into_bytes().into());
        let span = written(&Outcome { line, user_agent, ..outcome() });
        assert_eq!(span["name"], "HTTP");
        let attributes = attributes(&span);
        let length = |key: &str| attributes[key]["stringValue"].as_str().unwrap().len();
        assert_eq!((length("url.path"), length("user_agent.original")), (1024, 1023));
    }

    #[test]
    fn a_path_is_the_one_of_the_target() {
        for (target, expected) in [
            ("/", "/"),
            ("/a?b=/c", "/a"),
            ("/a://b", "/a://b"),
            ("http://a/b?c", "/b"),
            ("http://a", "/"),
            ("http://a?b", "/"),
            ("*", "*"),
            ("a:80", "a:80"),
        ] {
            assert_eq!(path(target), expected, "{target}");
        }
    }

    #[test]
    fn a_host_is_split_from_its_port() {
        for (host, expected) in [
            ("a", ("a", None)),
            ("a:80", ("a", Some(80))),
            ("[::1]", ("::1", None)),
            ("[::1]:80", ("::1", Some(80))),
            ("a:", ("a", None)),
            ("", ("", None)),
        ] {
            assert_eq!(split(host), expected, "{host}");
        }
    }
}
