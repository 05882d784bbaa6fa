//! A guest that answers every HTTP request with `Hello` and the path that was asked for.
//!
//! `wit/world.wit` lists what it imports and exports; `generate!` makes Rust bindings of that.

use exports::wasi::http::handler;
use wasi::http::types::{ErrorCode, Fields, Request, Response};

wit_bindgen::generate!({ path: "wit", world: "guest", generate_all });

struct Guest;

export!(Guest);

impl handler::Guest for Guest {
    /// Called for each request. It may wait: other requests of the same instance go on meanwhile.
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();

        // Change these three: the status, the header fields and the body of the response.
        let status = 200;
        let fields = [("content-type", "text/plain; charset=utf-8")];
        let body = format!("Hello {path}\n");

        Ok(respond(status, &fields, body.into_bytes()))
    }
}

fn respond(status: u16, fields: &[(&str, &str)], body: Vec<u8>) -> Response {
    let headers = Fields::new();
    for (name, value) in fields {
        // An error means that the name or the value is not valid in HTTP.
        headers.append(name, value.as_bytes()).unwrap();
    }
    // The body is a stream, which is written while it is sent.
    let (mut writer, content) = wit_stream::new();
    // The trailers are known when the body is complete: here, that there are none.
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(content), no_trailers);
    response.set_status_code(status).unwrap();
    // Writing goes on after the response was returned.
    wit_bindgen::spawn_local(async move {
        writer.write_all(body).await;
        drop(writer);
        drop(trailers);
    });
    response
}
