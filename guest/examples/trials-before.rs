//! What a host has to bear of a component that stands before another one: that it reads and changes bodies as a whole, and passes
//! requests on too often. Its environment says in `TRIAL` what it does. The tests run it.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::environment;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local};

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "trials-before",
        generate_all,
    });

    export!(TrialsBefore with_types_in self);
    use super::TrialsBefore;
}

struct TrialsBefore;

/// How often a request is passed on that is passed on too often.
const OFTEN: usize = 10;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

/// The trailers of a body, or why it is not complete.
type Trailers = Result<Option<Fields>, ErrorCode>;

impl bindings::exports::wasi::http::handler::Guest for TrialsBefore {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let variables = environment::get_environment();
        let trial = variables.iter().find(|(name, _)| name == "TRIAL").map(|(_, value)| value.as_str());
        match trial {
            Some("shout") => shout(request).await,
            Some("shout-on") => shout_on(request).await,
            Some("often") => Ok(often(request).await),
            _ => Err(ErrorCode::InternalError(Some("there is no such trial".to_owned()))),
        }
    }
}

/// Answers as the component behind it does, in capital letters.
async fn shout(request: Request) -> Result<Response, ErrorCode> {
    let response = handler::handle(request).await?;
    let status = response.get_status_code();
    let headers = response.get_headers().clone();
    let (_, done) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(response, done);
    let (contents, trailers) = body(read(contents).await.to_ascii_uppercase(), trailers.await?);
    let (response, _) = Response::new(headers, Some(contents), trailers);
    // It was the status of a response before.
    let _ = response.set_status_code(status);
    Ok(response)
}

/// Passes a request on in capital letters.
async fn shout_on(request: Request) -> Result<Response, ErrorCode> {
    let (method, path) = (request.get_method(), request.get_path_with_query());
    let (scheme, authority) = (request.get_scheme(), request.get_authority());
    let headers = request.get_headers().clone();
    let (_, done) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, done);
    let (contents, trailers) = body(read(contents).await.to_ascii_uppercase(), trailers.await?);
    let (request, _) = Request::new(headers, Some(contents), trailers, None);
    // These were those of a request before.
    let _ = request.set_method(&method);
    let _ = request.set_path_with_query(path.as_deref());
    let _ = request.set_scheme(scheme.as_ref());
    let _ = request.set_authority(authority.as_deref());
    handler::handle(request).await
}

/// Asks for the same path many times, and answers with a line for each time: what came back.
async fn often(request: Request) -> Response {
    let path = request.get_path_with_query();
    let mut lines = Vec::new();
    for _ in 0..OFTEN {
        let (_, no_trailers) = wit_future::new(|| Ok(None));
        let (again, _) = Request::new(Fields::new(), None, no_trailers, None);
        let _ = again.set_path_with_query(path.as_deref());
        match handler::handle(again).await {
            Ok(response) => {
                let (_, done) = wit_future::new(|| Ok(()));
                let (contents, _) = Response::consume_body(response, done);
                lines.push(read(contents).await);
            }
            Err(code) => lines.push(format!("{code:?}").into_bytes()),
        }
    }
    let (contents, trailers) = body(lines.join(&b'\n'), None);
    Response::new(Fields::new(), Some(contents), trailers).0
}

/// Reads a body to its end.
async fn read(mut contents: StreamReader<u8>) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let (status, bytes) = contents.read(Vec::with_capacity(READ_BYTES)).await;
        whole.extend(bytes);
        if !matches!(status, StreamResult::Complete(_)) {
            return whole;
        }
    }
}

/// A body, which a task writes.
fn body(whole: Vec<u8>, trailers: Option<Fields>) -> (StreamReader<u8>, FutureReader<Trailers>) {
    let (mut writer, reader) = wit_stream::new();
    let (end, promised) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        writer.write_all(whole).await;
        drop(writer);
        let _ = end.write(Ok(trailers)).await;
    });
    (reader, promised)
}
