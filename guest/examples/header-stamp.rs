//! Adds fields to every response: each variable of its environment is one, such as `X-Frame-Options=DENY`.
//!
//! It stands before another component, which it calls as the world calls it: by `wasi:http/handler`. The fields of a response
//! that exists cannot be changed, so it makes a new one with the same contents. It hands these over without reading them, and a
//! runtime may do the same.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::environment;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Request, Response};
use bindings::wit_future;

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "header-stamp",
        generate_all,
    });

    export!(HeaderStamp with_types_in self);
    use super::HeaderStamp;
}

struct HeaderStamp;

impl bindings::exports::wasi::http::handler::Guest for HeaderStamp {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let response = handler::handle(request).await?;
        let status = response.get_status_code();
        // A copy, which can be changed.
        let headers = response.get_headers().clone();
        for (name, value) in environment::get_environment() {
            headers.set(&name, &[value.into_bytes()]).map_err(|error| {
                ErrorCode::InternalError(Some(format!("the field {name} cannot be set: {error}")))
            })?;
        }
        // What became of the contents is told to whoever made them; the default is that nothing went wrong.
        let (_, processed) = wit_future::new(|| Ok(()));
        let (contents, trailers) = Response::consume_body(response, processed);
        let (stamped, _) = Response::new(headers, Some(contents), trailers);
        // It was the status of a response before.
        let _ = stamped.set_status_code(status);
        Ok(stamped)
    }
}
