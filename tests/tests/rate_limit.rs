//! The middleware `rate-limit`, and the address of the client, which the host tells it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tests::guests::{self, GuestFile, RATE_LIMIT};
use tests::http2::Http2;
use tests::{Response, Server, Site, eventually, programs};

/// The field that tells the address.
const FIELD: &str = "--client-address=Client-Address";

/// Seconds of a window that begins in 1970 and ends in 2106.
const LONG: u64 = u32::MAX as u64;

/// The value of `--middleware`, for so many requests in so many seconds.
fn limit(file: &GuestFile, requests: u64, seconds: u64, grants: &str) -> String {
    format!("--middleware={},env=RATE_LIMIT={requests}/{seconds}{grants}", file.path.display())
}

/// A store of its own.
const STORE: &str = ",keyvalue=rate-limit=memory";

fn start(guest: &Path, options: &[&str]) -> Server {
    programs!().ours_with_guest(guest, options)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Whether a client that a proxy names is let in.
fn is_let_in(server: &Server, address: &str) -> bool {
    let response = server.get_with("/", &[("X-Forwarded-For", address)]);
    assert!([200, 429].contains(&response.status), "{response:?}");
    response.status == 200
}

#[test]
fn too_many_requests_of_an_address_are_refused() {
    let (rate, guest) = (GuestFile::new(RATE_LIMIT), GuestFile::new(guests::HELLO));
    let server = start(&guest.path, &[FIELD, &limit(&rate, 3, LONG, STORE)]);
    let before = now();
    for at in 0..3 {
        // What a client says of its address does not count.
        let response = server.get_with("/", &[("Client-Address", &format!("192.0.2.{at}"))]);
        assert_eq!((response.status, response.text()), (200, "Hello World"));
    }
    let refused = |response: &Response| {
        assert_eq!((response.status, response.text(), response.complete), (429, "", true));
        let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((LONG - now()..=LONG - before).contains(&seconds), "{seconds}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    };
    refused(&server.get_with("/", &[("Client-Address", "192.0.2.9"), ("client-address", "192.0.2.10")]));
    refused(&server.get("/"));
    refused(&Http2::connect(server.address()).request("GET", "/", &[("client-address", "192.0.2.11")]));
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn clients_are_told_apart_by_what_the_proxy_says() {
    let (rate, guest) = (GuestFile::new(RATE_LIMIT), GuestFile::new(guests::HELLO));
    let limit = limit(&rate, 1, LONG, STORE);
    let server = start(&guest.path, &[FIELD, &limit, "--x-forwarded-from=127.0.0.1"]);
    // A secret hash gives two of them the same counter in one of 16,384 cases, and two pairs practically never.
    let clients: Vec<_> =
        (0..4).flat_map(|at| [format!("192.0.2.{at}"), format!("2001:db8:0:{at}::1")]).collect();
    let let_in = clients.iter().filter(|client| is_let_in(&server, client)).count();
    assert!(let_in >= clients.len() - 1, "{let_in}");
    assert!(!clients.iter().any(|client| is_let_in(&server, client)));
    // The network of 64 bits counts, and an IPv4 address is the same in an IPv6 one.
    for same in ["2001:db8:0:3::2", "2001:db8:0:3:ffff:ffff:ffff:ffff", "::ffff:192.0.2.1"] {
        assert!(!is_let_in(&server, same), "{same}");
    }
}

#[test]
fn chains_of_both_editions_are_limited_before_guests_of_both_editions() {
    let rate = GuestFile::new(RATE_LIMIT);
    let passing = GuestFile::new(guests::middleware_with(
        r#"(import "wasi:http/incoming-handler@0.2.12" "handle" (func $next (param i32 i32)))"#,
        "(call $next (local.get $request) (local.get $out))",
    ));
    let passing = format!("--middleware={}", passing.path.display());
    let limit = limit(&rate, 2, LONG, STORE);
    let site = Site::new();
    site.file("a.txt", "content");
    for options in [[&*limit, &passing], [&passing, &limit]] {
        let options = [&options[..], &[FIELD]].concat();
        for server in [programs!().ours(&site, &options), programs!().ours_v03(&site, &options)] {
            let statuses = [(); 4].map(|()| server.get("/a.txt").status);
            assert_eq!(statuses, [200, 200, 429, 429]);
        }
    }
}

#[test]
fn each_middleware_counts_by_itself() {
    let (rate, guest) = (GuestFile::new(RATE_LIMIT), GuestFile::new(guests::HELLO));
    let (first, second) = (limit(&rate, 5, LONG, STORE), limit(&rate, 2, LONG, STORE));
    let server = start(&guest.path, &[FIELD, &first, &second]);
    let statuses: Vec<_> = (0..6).map(|_| server.get("/").status).collect();
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429]);
}

/// Answers how many keys there are in the store `rate-limit`, up to nine.
fn key_count() -> GuestFile {
    GuestFile::new(guests::handler_of(
        "keeping",
        r#"(import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
           (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.list-keys" (func $list (param i32 i32 i64 i32)))"#,
        r#"(data (i32.const 3072) "rate-limit")"#,
        "(local.set $stream (call $respond (local.get $out)))
         (call $open (i32.const 3072) (i32.const 10) (i32.const 80))
         (call $list (i32.load offset=4 (i32.const 80)) (i32.const 0) (i64.const 0) (i32.const 96))
         (i32.store8 (i32.const 3200) (i32.add (i32.const 48) (i32.load offset=12 (i32.const 96))))
         (call $say (local.get $stream) (i32.const 3200) (i32.const 1))
         (call $complete (local.get $stream))",
    ))
}

#[test]
fn each_window_begins_anew_and_deletes_the_counters_of_the_last() {
    let (rate, guest) = (GuestFile::new(RATE_LIMIT), key_count());
    let place = tempfile::tempdir().unwrap();
    let store = format!("rate-limit=sqlite:{}", place.path().join("store").display());
    let limit = limit(&rate, 1, 1, &format!(",keyvalue={store}"));
    let server = start(&guest.path, &[FIELD, &limit, "--keyvalue", &store]);
    for _ in 0..3 {
        let mut let_in = None;
        eventually("a window begins", || {
            let response = server.get("/");
            let is_let_in = response.status == 200;
            let_in = is_let_in.then(|| response.text().to_owned());
            is_let_in
        });
        // The secret, the window, and the counter of this client.
        assert_eq!(let_in.as_deref(), Some("3"));
        eventually("a request is refused", || server.get("/").status == 429);
    }
}

#[test]
fn what_it_lacks_is_told() {
    let (rate, guest) = (GuestFile::new(RATE_LIMIT), GuestFile::new(guests::HELLO));
    let file = rate.path.display();
    let no_limit = format!("--middleware={file}{STORE}");
    let no_store = limit(&rate, 1, LONG, "");
    let whole = limit(&rate, 1, LONG, STORE);
    for (options, why) in [
        (&[FIELD, &no_limit][..], "RATE_LIMIT is to be REQUESTS/SECONDS, such as 100/60, not ``".to_owned()),
        (
            &[&whole],
            "there is no field Client-Address; `wasi-httpd --client-address Client-Address` sets it"
                .to_owned(),
        ),
        (
            &[FIELD, &no_store],
            format!(
                "the middleware `{file}` may not open the store `rate-limit`; --middleware {file},keyvalue=rate-limit=memory gives it one"
            ),
        ),
    ] {
        let server = start(&guest.path, options);
        assert_eq!(server.get("/").status, 500);
        server.wait_for_error(|line| line.contains(&why));
        server
            .wait_for_error(|line| line.contains(&format!("the middleware `{file}` did not answer GET / ")));
    }
}
