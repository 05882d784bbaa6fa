//! What a host of WASI 0.3 has to bear: a handler that echoes, waits, computes without an end, traps, and leaves bodies
//! unfinished, by the path of the request. The tests run it; it is no example of good manners.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::stdout;
use bindings::wasi::clocks::monotonic_clock::wait_for;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};
use std::sync::atomic::{AtomicU32, Ordering};
use wit_bindgen::{StreamResult, StreamWriter, spawn_local};

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "trials",
        generate_all,
    });

    export!(Trials with_types_in self);
    use super::Trials;
}

struct Trials;

/// Requests that this instance has got.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// An hour in nanoseconds: longer than any test.
const HOUR: u64 = 3_600_000_000_000;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 64 * 1024;

impl bindings::exports::wasi::http::handler::Guest for Trials {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, argument) = path.split_once('?').unwrap_or((&path, ""));
        match path {
            "/echo" => Ok(echo(request)),
            "/copy" => Ok(copy(request)),
            "/count" => Ok(text(&[], count.to_string())),
            "/authority" => {
                Ok(text(&[], format!("{:?} {:?}", request.get_scheme(), request.get_authority())))
            }
            "/print" => {
                print(argument.to_owned()).await;
                Ok(text(&[], "printed".to_owned()))
            }
            "/after" => {
                let argument = argument.to_owned();
                spawn_local(async move { print(format!("after {argument}")).await });
                Ok(text(&[], "before".to_owned()))
            }
            "/sent" => Ok(sent()),
            "/error" => Err(ErrorCode::InternalError(Some("as it was asked to".to_owned()))),
            "/trap" => std::process::abort(),
            "/trap-late" => Ok(body(&[], async |mut writer| {
                writer.write_all(b"begun".to_vec()).await;
                std::process::abort()
            })),
            "/spin" => spin(),
            "/spin-late" => Ok(body(&[], async |mut writer| {
                writer.write_all(b"begun".to_vec()).await;
                spin()
            })),
            "/wait" => {
                wait_for(HOUR).await;
                Ok(text(&[], "an hour later".to_owned()))
            }
            "/wait-late" => Ok(body(&[], async |mut writer| {
                writer.write_all(b"begun".to_vec()).await;
                wait_for(HOUR).await;
            })),
            "/short" => Ok(body(&[("content-length", "10")], async |mut writer| {
                writer.write_all(b"short".to_vec()).await;
            })),
            "/long" => Ok(body(&[("content-length", "3")], async |mut writer| {
                writer.write_all(b"too long".to_vec()).await;
            })),
            "/unfinished" => Ok(unfinished()),
            "/lengths" => Ok(body(&[("content-length", "3"), ("content-length", "4")], async |_| ())),
            _ => Ok(text(&[], "there is no such trial".to_owned())),
        }
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

async fn print(line: String) {
    let (mut writer, reader) = wit_stream::new();
    let result = stdout::write_via_stream(reader);
    writer.write_all(format!("{line}\n").into_bytes()).await;
    drop(writer);
    let _ = result.await;
}

fn fields(fields: &[(&str, &str)]) -> Fields {
    let headers = Fields::new();
    for (name, value) in fields {
        let _ = headers.append(name, value.as_bytes());
    }
    headers
}

/// A response whose body is written by a task that outlives the handler.
fn body(head: &[(&str, &str)], write: impl AsyncFnOnce(StreamWriter<u8>) + 'static) -> Response {
    let (writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        write(writer).await;
        drop(trailers);
    });
    Response::new(fields(head), Some(reader), no_trailers).0
}

fn text(head: &[(&str, &str)], text: String) -> Response {
    body(head, async |mut writer| {
        writer.write_all(text.into_bytes()).await;
    })
}

/// The field that names the trailers of an echo: HTTP/1.1 has no others.
const TRAILER: [(&str, &str); 1] = [("trailer", "x-end")];

/// Hands the body of the request over unread.
fn echo(request: Request) -> Response {
    let (_, done) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, done);
    Response::new(fields(&TRAILER), Some(contents), trailers).0
}

/// Reads the body of the request, and writes what it has read.
fn copy(request: Request) -> Response {
    let (_, done) = wit_future::new(|| Ok(()));
    let (mut contents, trailers) = Request::consume_body(request, done);
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        loop {
            let (status, bytes) = contents.read(Vec::with_capacity(COPY_BYTES)).await;
            if !writer.write_all(bytes).await.is_empty() || !matches!(status, StreamResult::Complete(_)) {
                break;
            }
        }
    });
    Response::new(fields(&TRAILER), Some(reader), trailers).0
}

/// Prints whether the runtime says that the response was sent.
fn sent() -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, sent) = Response::new(Fields::new(), Some(reader), no_trailers);
    spawn_local(async move {
        writer.write_all(vec![b'x'; 10_000_000]).await;
        drop(writer);
        drop(trailers);
        let outcome = if sent.await.is_ok() { "sent" } else { "not sent" };
        print(outcome.to_owned()).await;
    });
    response
}

/// A response whose trailers are an error.
fn unfinished() -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        writer.write_all(b"half".to_vec()).await;
        let _ = trailers.write(Err(ErrorCode::InternalError(None))).await;
    });
    Response::new(Fields::new(), Some(reader), no_trailers).0
}
