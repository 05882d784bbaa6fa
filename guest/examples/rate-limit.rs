//! Refuses clients that send too many requests: with `RATE_LIMIT=100/60` in its environment, more than 100 in 60 seconds.
//!
//! It stands before another component, which it calls by `wasi:http/handler`. The host tells the address of the client in a field
//! of the request, whose name is in `CLIENT_ADDRESS`. Its instances count together, in the store `rate-limit` (`wasi:keyvalue`).
//!
//! The time of day is divided into windows of so many seconds, in which all counters begin anew. There is a limited number of
//! counters, and a hash of its address decides which one counts a client. So strangers cannot fill the store with addresses. The hash
//! begins with a secret, so that they cannot choose an address that has the counter of somebody else either.

#![cfg(target_family = "wasm")]

use bindings::wasi::cli::environment;
use bindings::wasi::clocks::system_clock;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::wasi::keyvalue::store::{self, Bucket};
use bindings::wasi::keyvalue::{atomics, batch};
use bindings::wasi::random::random;
use bindings::wit_future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "rate-limit",
        generate_all,
    });

    export!(RateLimit with_types_in self);
    use super::RateLimit;
}

/// The name of the store.
const STORE: &str = "rate-limit";

/// The key of the secret.
const SECRET: &str = "secret";

/// How many counters a window has. Each takes some 150 bytes. Of a hundred clients, one in 160 shares its counter.
const COUNTERS: u64 = 16_384;

struct RateLimit;

impl bindings::exports::wasi::http::handler::Guest for RateLimit {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        match seconds_to_wait(&request) {
            Ok(None) => handler::handle(request).await,
            Ok(Some(seconds)) => Ok(refusal(seconds)),
            Err(why) => Err(ErrorCode::InternalError(Some(why))),
        }
    }
}

/// Counts a request, and says for how many seconds its client has to wait if there were too many.
fn seconds_to_wait(request: &Request) -> Result<Option<u64>, String> {
    let variables = environment::get_environment();
    let variable =
        |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let limit = variable("RATE_LIMIT").unwrap_or_default();
    let (requests, seconds) = read_limit(limit)
        .ok_or_else(|| format!("RATE_LIMIT is to be REQUESTS/SECONDS, such as 100/60, not `{limit}`"))?;
    let client = Client::of(request, variable("CLIENT_ADDRESS").unwrap_or("Client-Address"))?;
    let bucket =
        store::open(STORE).map_err(|error| format!("the store {STORE} cannot be opened: {error:?}"))?;

    let now = system_clock::now().seconds.max(0).unsigned_abs();
    let window = now / seconds;
    let counter = client.counter(secret(&bucket)?, window);
    let count = add(&bucket, &format!("{window}/{counter}"), 1)?;
    // The first request of a window has a new counter, and so have some others.
    if count == 1 && add(&bucket, &window.to_string(), 1)? == 1 {
        forget_others(&bucket, window)?;
    }
    Ok((count > requests).then(|| seconds - now % seconds))
}

/// The requests of a limit and the seconds in which they are allowed.
fn read_limit(text: &str) -> Option<(u64, u64)> {
    let (requests, seconds) = text.split_once('/')?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).map(u64::from);
    Some((number(requests)?, number(seconds)?))
}

/// Who sends a request, as far as it is counted.
#[derive(Clone, Copy, Debug, Hash)]
enum Client {
    V4(u32),
    /// The network of 64 bits, which is what one client has at least.
    V6(u64),
    /// A program on the machine of the server.
    Unix,
}

impl Client {
    fn of(request: &Request, field: &str) -> Result<Self, String> {
        match &request.get_headers().get(field)[..] {
            [address] if address == b"unix" => Ok(Self::Unix),
            [address] => {
                let address = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
                match address.map(|address: IpAddr| address.to_canonical()) {
                    Some(IpAddr::V4(address)) => Ok(Self::V4(address.to_bits())),
                    Some(IpAddr::V6(address)) => Ok(Self::V6((address.to_bits() >> 64) as u64)),
                    None => Err(format!("the field {field} is not an address; the host has to set it")),
                }
            }
            [] => Err(format!("there is no field {field}; `wasi-httpd --client-address {field}` sets it")),
            _ => Err(format!("there are several fields {field}; the host has to replace them by one")),
        }
    }

    /// The number of its counter, which is another one in each window. The hasher of the standard library is SipHash.
    fn counter(self, secret: u64, window: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (secret, window, self).hash(&mut hasher);
        hasher.finish() % COUNTERS
    }
}

/// The secret of all instances. Several that begin at the same time add to it until each of them is done.
fn secret(bucket: &Bucket) -> Result<u64, String> {
    match add(bucket, SECRET, 0)? {
        // Eight bits are left for the sum.
        0 => add(bucket, SECRET, random::get_random_u64() >> 8),
        secret => Ok(secret),
    }
}

fn add(bucket: &Bucket, key: &str, number: u64) -> Result<u64, String> {
    atomics::increment(bucket, key, number).map_err(|error| failed(&error))
}

/// Deletes the counters of other windows. What one instance does not finish is left to the first one of the next window.
fn forget_others(bucket: &Bucket, window: u64) -> Result<(), String> {
    let window = window.to_string();
    let is_of_window = |key: &str| key.split('/').next() == Some(&window);
    let mut cursor = None;
    loop {
        let page = bucket.list_keys(cursor).map_err(|error| failed(&error))?;
        let others: Vec<_> =
            page.keys.into_iter().filter(|key| key != SECRET && !is_of_window(key)).collect();
        batch::delete_many(bucket, &others).map_err(|error| failed(&error))?;
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn failed(error: &store::Error) -> String {
    format!("requests cannot be counted in the store {STORE}: {error:?}")
}

/// A response that has a client come back later (RFC 6585 section 4).
fn refusal(seconds: u64) -> Response {
    let fields = [
        ("retry-after", seconds.to_string()),
        ("content-length", "0".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value.into_bytes()));
    // These are valid.
    let headers = Fields::from_list(&fields).unwrap_or_else(|_| Fields::new());
    // There are none; this is what is written when the writer is dropped.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, None, trailers);
    let _ = response.set_status_code(429);
    response
}
