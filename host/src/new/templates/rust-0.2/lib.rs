//! A guest that answers every HTTP request with `Hello` and the path that was asked for.
//!
//! `wit/world.wit` lists what it imports and exports; `generate!` makes Rust bindings of that.

use exports::wasi::http::incoming_handler;
use wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wit_bindgen::generate!({ path: "wit", world: "guest", generate_all });

struct Guest;

export!(Guest);

impl incoming_handler::Guest for Guest {
    /// Called for each request, by default in a new instance: no state is left from an earlier one.
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();

        // Change these three: the status, the header fields and the body of the response.
        let status = 200;
        let fields = [("content-type", "text/plain; charset=utf-8")];
        let body = format!("Hello {path}\n");

        respond(outparam, status, &fields, body.as_bytes());
    }
}

fn respond(outparam: ResponseOutparam, status: u16, fields: &[(&str, &str)], content: &[u8]) {
    let headers = Fields::new();
    for (name, value) in fields {
        // An error means that the name or the value is not valid in HTTP.
        headers.append(name, value.as_bytes()).unwrap();
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    // From here on, the client receives what is written.
    ResponseOutparam::set(outparam, Ok(response));

    let stream = body.write().unwrap();
    // One call takes at most 4096 bytes.
    for piece in content.chunks(4096) {
        if stream.blocking_write_and_flush(piece).is_err() {
            // The client has gone.
            return;
        }
    }
    // The stream is a child of the body, and has to be dropped first.
    drop(stream);
    // The response is complete only with this. Without it, the client sees it cut off.
    let _ = OutgoingBody::finish(body, None);
}
