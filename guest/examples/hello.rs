//! Hello over `wasi:http`: the host does everything but the answer.
//!
//! The host listens, accepts, and reads the request. This program makes the response: a status (200 by default), header
//! fields, and a body, which is written in one call and then finished.

#![cfg(target_family = "wasm")]

use std::hint::black_box;
use wasi::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "hello",
        with: {
            "wasi:clocks/monotonic-clock@0.2.12": wasi::clocks::monotonic_clock,
            "wasi:http/types@0.2.12": wasi::http::types,
            "wasi:io/error@0.2.12": wasi::io::error,
            "wasi:io/poll@0.2.12": wasi::io::poll,
            "wasi:io/streams@0.2.12": wasi::io::streams,
        },
    });

    export!(Hello with_types_in self);
    use super::Hello;
}

const BODY: &[u8] = b"Hello World";

/// Allocates once, for which the memory grows. wasi-httpd calls this before it copies the memory with which every request begins, so
/// that no request has to wait for that. Other runtimes do not know it.
#[allow(unsafe_code, reason = "the name is that of no other symbol")]
#[unsafe(export_name = "wasi-httpd:prepare")]
extern "C" fn prepare() {
    drop(black_box(String::with_capacity(1)));
}

struct Hello;

impl bindings::exports::wasi::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let fields = [
            ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec()),
            ("content-length".to_owned(), BODY.len().to_string().into_bytes()),
        ];
        // If the runtime refuses these fields, the response goes without them; its body is the same.
        let headers = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
        let response = OutgoingResponse::new(headers);
        // The answer to HEAD has the fields of the answer to GET, and no body.
        if matches!(request.method(), Method::Head) {
            ResponseOutparam::set(outparam, Ok(response));
            return;
        }
        // Take the body before the response is handed over, and write it afterwards, when the client can read it.
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(outparam, Ok(response));
        if let Ok(stream) = body.write() {
            // Ignore errors: the client has gone, and this program has no other use for the failure.
            let _ = stream.blocking_write_and_flush(BODY);
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
