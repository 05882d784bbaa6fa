//! Prints a line for every request: method, target, status, and how long the answer took to begin.
//!
//! It stands before another component, which it calls by `wasi:http/handler`. The response goes on as it came.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::stdout;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Method, Request, Response};
use bindings::wit_stream;

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "request-logger",
        generate_all,
    });

    export!(RequestLogger with_types_in self);
    use super::RequestLogger;
}

struct RequestLogger;

impl bindings::exports::wasi::http::handler::Guest for RequestLogger {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let method = name(request.get_method());
        let target = request.get_path_with_query().unwrap_or_default();
        let start = monotonic_clock::now();
        let response = handler::handle(request).await;
        let microseconds = (monotonic_clock::now() - start) / 1_000;
        let outcome = match &response {
            Ok(response) => response.get_status_code().to_string(),
            Err(code) => format!("{code:?}"),
        };
        print(format!("{method} {target} {outcome} {microseconds} us\n")).await;
        response
    }
}

fn name(method: Method) -> String {
    match method {
        Method::Get => "GET".to_owned(),
        Method::Head => "HEAD".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Put => "PUT".to_owned(),
        Method::Delete => "DELETE".to_owned(),
        Method::Connect => "CONNECT".to_owned(),
        Method::Options => "OPTIONS".to_owned(),
        Method::Trace => "TRACE".to_owned(),
        Method::Patch => "PATCH".to_owned(),
        Method::Other(name) => name,
    }
}

/// Prints a line. Where that fails, there is nothing else to tell it.
async fn print(line: String) {
    let (mut writer, reader) = wit_stream::new();
    let result = stdout::write_via_stream(reader);
    let _ = writer.write_all(line.into_bytes()).await;
    drop(writer);
    let _ = result.await;
}
