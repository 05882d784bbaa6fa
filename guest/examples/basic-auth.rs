//! Lets only those in who know a name and a password (RFC 7617).
//!
//! Its environment has them in `USERS`, as `name:password` with commas between them, and may have a `REALM`, which browsers show.
//! It stands before another component, which it calls by `wasi:http/handler` for requests that it lets in.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::environment;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::wit_future;
use std::hint::black_box;

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "basic-auth",
        generate_all,
    });

    export!(BasicAuth with_types_in self);
    use super::BasicAuth;
}

struct BasicAuth;

impl bindings::exports::wasi::http::handler::Guest for BasicAuth {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let variables = environment::get_environment();
        let variable =
            |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        let Some(users) = variable("USERS").filter(|users| !users.is_empty()) else {
            return Err(ErrorCode::InternalError(Some("USERS is not set: nobody can be let in".to_owned())));
        };
        let given = request.get_headers().get("authorization");
        // Of two, it is not clear which one counts.
        if let [given] = &given[..]
            && let Some(given) = credentials(given)
            && is_known(given, users)
        {
            return handler::handle(request).await;
        }
        let realm = variable("REALM").unwrap_or("this site").replace(['\\', '"'], "");
        Ok(challenge(&realm))
    }
}

/// What follows the scheme `Basic`, whose name may be in any case.
fn credentials(field: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = field.split_at_checked("Basic ".len())?;
    scheme.eq_ignore_ascii_case(b"Basic ").then(|| rest.trim_ascii())
}

/// Whether these are the credentials of a user. All users are compared, and each to its end, so that the time tells nothing of
/// how much was right.
fn is_known(given: &[u8], users: &str) -> bool {
    users.split(',').fold(false, |known, user| black_box(known | is_same(given, &base64(user.as_bytes()))))
}

fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let mut difference = given.len() ^ expected.len();
    for (at, byte) in expected.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(at).copied().unwrap_or(!byte));
        difference = black_box(difference);
    }
    difference == 0
}

/// Encodes bytes in Base64 (RFC 4648 section 4), as clients encode their credentials.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() { b'=' } else { DIGITS[index as usize] });
        }
    }
    text
}

/// A response that has browsers ask for a name and a password.
fn challenge(realm: &str) -> Response {
    let fields = [
        ("www-authenticate", format!("Basic realm=\"{realm}\", charset=\"UTF-8\"").into_bytes()),
        ("content-length", b"0".to_vec()),
        ("cache-control", b"no-store".to_vec()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    // A realm that is no valid value of a field is left out with the others.
    let headers = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
    // There are none; this is what is written when the writer is dropped.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, None, trailers);
    let _ = response.set_status_code(401);
    response
}
