//! Restored instances of the built-in guest are new ones, byte for byte.

use super::super::begin;
use crate::app::Job;
use crate::body::request_body;
use crate::component::interface::Edition;
use crate::component::{Guest, Purpose};
use crate::config::grants::{DirectoryGrant, Grants};
use crate::config::limits::{BodyLimits, Limits};
use crate::engine::{self, Resources};
use crate::instance::{Stdio, Template};
use crate::link::direct::Functions;
use crate::link::direct::module::{DirectCode, Instance, Module, Renewal};
use crate::prepare::{Opened, give};
use crate::report::request_id::RequestId;
use crate::report::tag::{Label, Tag};
use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Has an instance answer a request, and gives the status.
async fn answer(instance: &mut Instance, method: &str, target: &str, fields: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().method(method).uri(target).header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let content = if method == Method::POST { "content" } else { "" };
    let content = Full::new(Bytes::from(content));
    let content = content.map_err(|never: Infallible| -> wasmtime_wasi_http::Error { match never {} });
    let limits = BodyLimits { size: 1 << 20, time: Duration::from_secs(9), rate: 500 };
    let (body, end) = request_body(content, limits);
    let (response, receiver) = oneshot::channel();
    let (head, ()) = request.body(()).unwrap().into_parts();
    let (end, tag) = (end.map(Arc::new), Tag { site: Label::default(), id: RequestId::next() });
    let job = Job { head, body, scheme: Scheme::HTTP, response, end, tag, next: None };
    let (request, outparam) = begin(instance.state(), job).unwrap();
    // As the connection does: the guest runs while its body is sent.
    let taken = async {
        let response = receiver.await.unwrap().unwrap();
        let status = response.status().as_u16();
        drop(response);
        status
    };
    let (handled, status) = tokio::join!(instance.handle(&request, &outparam), taken);
    handled.unwrap();
    status
}

#[tokio::test]
async fn a_restored_instance_is_a_new_one() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("a.txt"), "content").unwrap();
    std::fs::create_dir(site.path().join("dir")).unwrap();
    let directory = DirectoryGrant { host: site.path().into(), guest: "/".to_owned() };
    let environment = vec![("FILES_LISTING".to_owned(), "on".to_owned())];
    let grants = Grants { directories: vec![directory], environment, ..Grants::default() };
    let limits = Limits {
        instances: 4,
        memory: None,
        table: None,
        handles: 100,
        output: 1024,
        time: Duration::from_secs(9),
    };
    let module = tokio::task::spawn_blocking(move || {
        let guest = Arc::new(Guest::built_in(false).unwrap());
        let Opened { guest, sizes, sandbox } = give(guest, Purpose::Serve, &grants, &limits).unwrap();
        let engine = engine::first(Edition::V02, 4, &sizes, &Resources::open()).unwrap();
        let functions = Functions::new(&engine).unwrap();
        let code = DirectCode::new(&engine, &guest, &functions, Renewal::Restored).unwrap();
        let template = Arc::new(Template::new(sandbox, Stdio::Marked, Arc::default()));
        Module::new(&code, &template, Renewal::Restored).unwrap()
    });
    let module = module.await.unwrap();
    assert_eq!(module.new_because(), None);
    let mut new = module.instantiate().await.unwrap();
    let expected = new.contents();
    assert!(!expected.1.is_empty(), "the stack pointer is a mutable global");
    let mut instance = module.instantiate().await.unwrap();
    assert!(instance.contents() == expected, "new instances are alike");
    let long = "x".repeat(4_000);
    for (method, target, fields, status) in [
        ("GET", "/a.txt", &[][..], 200),
        ("HEAD", "/a.txt", &[], 200),
        ("GET", "/a.txt", &[("range", "bytes=1-2")], 206),
        ("GET", "/a.txt", &[("range", "bytes=0-1,3-4")], 206),
        ("GET", "/a.txt", &[("if-modified-since", "Tue, 14 Nov 2034 22:13:20 GMT")], 304),
        ("GET", "/missing", &[("accept", "text/html")], 404),
        ("GET", "/dir", &[], 308),
        ("GET", "/", &[("accept", "text/html")], 200),
        ("GET", "/?sort=size", &[("accept", "application/json"), ("x-long", &long)], 200),
        ("POST", "/a.txt", &[], 405),
        ("GET", "/%2e%2e/secret", &[], 404),
    ] {
        let answered = answer(&mut instance, method, target, fields).await;
        assert_eq!(answered, status, "{method} {target}");
        assert!(instance.contents().0 != expected.0, "a request leaves something in the memory");
        assert!(instance.state().end_request());
        assert!(module.restore(&mut instance).unwrap());
        assert!(instance.contents() == expected, "after {method} {target}");
    }
}
