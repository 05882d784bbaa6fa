//! Hello over `wasi:http`: what is left of a server when the host does everything but the answer.
//!
//! The host has listened, accepted, and read the request. Here a response is made: a status (200 where nothing else is
//! said), header fields, and a body that is written once and finished.

#![cfg(target_family = "wasm")]

use wasi::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// The bindings of the world, the one place where code is generated and may be `unsafe`.
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

struct Hello;

impl bindings::exports::wasi::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let fields = [
            ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec()),
            ("content-length".to_owned(), BODY.len().to_string().into_bytes()),
        ];
        // A runtime that refuses these fields gets an answer without them, which says the same.
        let headers = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
        let response = OutgoingResponse::new(headers);
        // The answer to HEAD has no body, but the fields of the one that GET would have.
        if matches!(request.method(), Method::Head) {
            ResponseOutparam::set(outparam, Ok(response));
            return;
        }
        // The body is taken before the response is given away, and written after: from then on the client may read.
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(outparam, Ok(response));
        if let Ok(stream) = body.write() {
            // If the client has gone there is nobody left to tell.
            let _ = stream.blocking_write_and_flush(BODY);
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}
