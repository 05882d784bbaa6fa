//! A guest on waki, for WASI 0.2: it buffers bodies both ways.

use std::collections::BTreeMap;
use waki::{ErrorCode, Request, Response, handler};

#[handler]
fn answer(request: Request) -> Result<Response, ErrorCode> {
    let answer = Response::builder().header("content-type", "text/plain; charset=utf-8");
    match request.path() {
        "/" => answer.body(b"Hello from waki\n"),
        "/echo" => match request.body() {
            Ok(body) => answer.body(body),
            Err(error) => answer.status_code(400).body(format!("{error}\n")),
        },
        "/request" => answer.body(describe(&request)),
        "/large" => answer.body("0123456789abcde\n".repeat(1 << 16)),
        _ => answer.status_code(404).body(b"There is nothing here.\n"),
    }
    .build()
}

/// What the guest sees of a request. The order of a query's parameters is that of a hash table, so they are sorted.
fn describe(request: &Request) -> String {
    let query: BTreeMap<_, _> = request.query().into_iter().collect();
    let mut text = format!("{:?} {} {query:?} {:?}\n", request.method(), request.path(), request.authority());
    for (name, value) in request.headers() {
        text += &format!("{name}: {value:?}\n");
    }
    text
}
