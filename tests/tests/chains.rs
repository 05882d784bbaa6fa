//! What becomes of requests and bodies in a chain of components (`--middleware`): HTTP/2, trailers, changed bodies, reloads, and
//! guests that answer several requests at a time.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::fs;
use std::path::Path;
use tests::guests::{self, GuestFile, HEADER_STAMP, REQUEST_LOGGER, TRIALS, TRIALS_BEFORE};
use tests::http2::{Http2, request};
use tests::site::{MODIFIED, Site, noise};
use tests::{Server, eventually, programs};

/// A component before others.
struct Before {
    file: GuestFile,
    grants: &'static str,
}

impl Before {
    fn new(bytes: impl AsRef<[u8]>, grants: &'static str) -> Self {
        Self { file: GuestFile::new(bytes), grants }
    }

    fn option(&self) -> String {
        format!("--middleware={}{}", self.file.path.display(), self.grants)
    }
}

/// One of WASI 0.2 that passes everything on.
fn passing() -> Before {
    let next = r#"(import "wasi:http/incoming-handler@0.2.12" "handle" (func $next (param i32 i32)))"#;
    Before::new(guests::middleware_with(next, "(call $next (local.get $request) (local.get $out))"), "")
}

/// One that adds the field `x-a`.
fn stamp() -> Before {
    Before::new(HEADER_STAMP, ",env=X-A=1")
}

/// One of the trials.
fn trial(grants: &'static str) -> Before {
    Before::new(TRIALS_BEFORE, grants)
}

/// The options that put these before a guest, and more options.
fn options(chain: &[&Before], more: &[&str]) -> Vec<String> {
    chain.iter().map(|before| before.option()).chain(more.iter().map(|&option| option.to_owned())).collect()
}

fn files_behind(site: &Site, chain: &[&Before], more: &[&str]) -> Server {
    let options = options(chain, more);
    programs!().ours(site, &options.iter().map(String::as_str).collect::<Vec<_>>())
}

fn guest_behind(guest: &Path, chain: &[&Before], more: &[&str]) -> Server {
    let options = options(chain, more);
    programs!().ours_with_guest(guest, &options.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn http_2_has_the_answers_of_http_1_1() {
    let site = Site::new();
    site.file("a.txt", "a").file("empty.txt", "").file("middle.bin", noise(1 << 20));
    let logger = Before::new(REQUEST_LOGGER, "");
    let (passing, stamp) = (passing(), stamp());
    let server = files_behind(&site, &[&logger, &passing, &stamp], &[]);
    let (mut one, mut two) = (server.connect(), Http2::connect(server.address()));
    for (method, path, fields) in [
        ("GET", "/a.txt", &[][..]),
        ("HEAD", "/a.txt", &[]),
        ("GET", "/empty.txt", &[]),
        ("GET", "/missing", &[]),
        ("GET", "/middle.bin", &[]),
        ("HEAD", "/middle.bin", &[]),
        ("GET", "/middle.bin", &[("range", "bytes=1000-199999")]),
        ("GET", "/a.txt", &[("if-modified-since", MODIFIED)]),
        ("OPTIONS", "/a.txt", &[]),
        ("POST", "/a.txt", &[]),
    ] {
        let case = format!("{method} {path} {fields:?}");
        let expected = one.request(method, path, fields);
        let answer = two.request(method, path, fields);
        assert_eq!((answer.status, answer.complete), (expected.status, true), "{case}");
        assert!(answer.body == expected.body, "{case}");
        for field in
            ["x-a", "etag", "content-type", "content-range", "content-length", "last-modified", "allow"]
        {
            assert_eq!(answer.header(field), expected.header(field), "{case}: {field}");
        }
        assert_eq!(answer.header("x-a"), Some("1"), "{case}");
    }
    let answers = two.get_all(&["/middle.bin"; 50]);
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == noise(1 << 20)));
    assert!(!server.errors().iter().any(|line| line.starts_with("wasi-httpd: ")), "{:?}", server.errors());
}

/// The trailers of requests.
fn trailers() -> HeaderMap {
    [(HeaderName::from_static("x-end"), HeaderValue::from_static("yes"))].into_iter().collect()
}

const CONTENT: &str = include_str!("chains.rs");

#[test]
fn trailers_pass_both_ways() {
    let guest = GuestFile::new(TRIALS);
    let (stamp, passing) = (stamp(), passing());
    for chain in [&[&stamp][..], &[&passing], &[&stamp, &passing], &[&passing, &stamp]] {
        let server = guest_behind(&guest.path, chain, &[]);
        for target in ["/echo", "/copy"] {
            let mut client = server.connect();
            client.send(format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: x-end\r\nTransfer-Encoding: \
                 chunked\r\n\r\n5\r\nhello\r\n"
            ));
            assert_eq!(client.head().status, 200);
            assert_eq!(client.read(10), b"5\r\nhello\r\n", "before the request has ended");
            client.send("6\r\n world\r\n0\r\nx-end: yes\r\n\r\n");
            assert_eq!(client.read(28), b"6\r\n world\r\n0\r\nx-end: yes\r\n\r\n", "{target}");

            let post = request("POST", &format!("http://localhost{target}"), &[]);
            let answer = Http2::connect(server.address()).send(post, Some((CONTENT.as_bytes(), trailers())));
            assert_eq!((answer.status, answer.complete, answer.text()), (200, true, CONTENT));
            assert_eq!(answer.header("x-end"), Some("yes"));
        }
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn a_response_is_changed_as_a_whole() {
    let site = Site::new();
    let large = noise(3_000_001);
    site.file("a.txt", "Content").file("empty.txt", "").file("large.bin", &large);
    let (shout, stamp, passing) = (trial(",env=TRIAL=shout"), stamp(), passing());
    let options = options(&[&shout, &stamp, &passing], &[]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    for server in [programs!().ours(&site, &options), programs!().ours_v03(&site, &options)] {
        let mut client = server.connect();
        for (target, content) in [
            ("/a.txt", b"CONTENT".to_vec()),
            ("/empty.txt", Vec::new()),
            ("/large.bin", large.to_ascii_uppercase()),
        ] {
            let response = client.request("GET", target, &[]);
            assert_eq!((response.status, response.header("x-a"), response.complete), (200, Some("1"), true));
            assert!(response.body == content, "{target}: {} bytes", response.body.len());
        }
        assert_eq!(client.request("HEAD", "/a.txt", &[]).status, 200);
        let missing = client.request("GET", "/missing", &[]);
        assert_eq!((missing.status, missing.complete), (404, true));
        assert_eq!(client.request("GET", "/a.txt", &[("if-modified-since", MODIFIED)]).status, 304);
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn bodies_that_were_read_have_their_trailers() {
    let guest = GuestFile::new(TRIALS);
    for trial in [trial(",env=TRIAL=shout"), trial(",env=TRIAL=shout-on")] {
        let server = guest_behind(&guest.path, &[&trial, &stamp()], &[]);
        for target in ["/echo", "/copy"] {
            let post = request("POST", &format!("http://localhost{target}"), &[]);
            let answer = Http2::connect(server.address()).send(post, Some((CONTENT.as_bytes(), trailers())));
            assert_eq!((answer.status, answer.header("x-end"), answer.complete), (200, Some("yes"), true));
            assert_eq!(answer.text(), CONTENT.to_ascii_uppercase());
        }
        assert_eq!(server.get("/authority").status, 200);
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn what_fails_while_it_is_read_is_told() {
    let guest = GuestFile::new(TRIALS);
    let shout = trial(",env=TRIAL=shout");
    let server = guest_behind(&guest.path, &[&shout], &[]);
    for target in ["/trap-late", "/unfinished", "/short"] {
        assert_eq!(server.get(target).status, 500, "{target}");
        server.wait_for_error(|line| line.contains(&format!(" GET {target} ")));
    }
    server.wait_for_error(|line| {
        line.contains("the response to GET /short ") && line.contains("was cut short")
    });
    server.wait_for_error(|line| {
        line.contains(&format!("the middleware `{}` did not answer GET /short ", shout.file.path.display()))
            && line.contains("HttpResponseIncomplete")
    });
    assert_eq!(server.get("/count").text(), "1");
}

#[test]
fn a_request_is_passed_on_eight_times() {
    let guest = GuestFile::new(TRIALS);
    let (often, passing) = (trial(",env=TRIAL=often"), passing());
    // The one of WASI 0.2 wants a host, which requests that are made anew do not name.
    for chain in [&[&often][..], &[&often, &passing]] {
        let server = guest_behind(&guest.path, chain, &[]);
        let response = server.get("/count");
        let lines: Vec<_> = response.text().lines().collect();
        assert_eq!(lines.len(), 10, "{lines:?}");
        assert_eq!(lines[..8], ["1"; 8]);
        assert!(lines[8..].iter().all(|line| line.contains("more than 8 times")), "{lines:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn a_guest_answers_several_requests_at_a_time_behind_others() {
    let guest = GuestFile::new(TRIALS);
    let (stamp, passing) = (stamp(), passing());
    let server =
        guest_behind(&guest.path, &[&stamp, &passing], &["--max-instances", "1", "--reuse-concurrent", "3"]);
    // The first one keeps the only instance of the guest, and those before it have ended.
    let mut first = server.connect();
    first.send("GET /wait-late HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = first.head();
    assert_eq!((head.status, head.header("x-a")), (200, Some("1")));
    assert_eq!(first.read(10), b"5\r\nbegun\r\n");
    for count in ["2", "3"] {
        let response = server.get("/count");
        assert_eq!((response.text(), response.header("x-a")), (count, Some("1")));
    }
    // A trap fails the requests of its instance, and the chain goes on with another.
    assert_eq!(server.get("/trap").status, 500);
    assert!(first.is_closed());
    assert_eq!(server.get("/count").text(), "1");
}

/// Puts another file in its place in one step.
fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

#[test]
fn a_middleware_that_is_watched_is_replaced_and_not_by_a_broken_one() {
    let site = Site::new();
    site.file("a.txt", "Content");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("before.wasm");
    fs::write(&file, HEADER_STAMP).unwrap();
    let option = format!("--middleware={},env=TRIAL=shout", file.display());
    let server = programs!().ours(&site, &["--watch", &option]);
    let answer = || {
        let response = server.get("/a.txt");
        (response.text().to_owned(), response.header("trial").map(str::to_owned))
    };
    let stamped = || ("Content".to_owned(), Some("shout".to_owned()));
    assert_eq!(answer(), stamped());
    replace(&file, TRIALS_BEFORE);
    eventually("the new one answers", || answer() == ("CONTENT".to_owned(), None));
    // Broken, and intact but no middleware.
    for (content, why) in
        [(&b"nothing"[..], "it is not WebAssembly"), (guests::HELLO, "would pass nothing on")]
    {
        replace(&file, content);
        server.wait_for_error(|line| line.contains("nothing was reloaded") && line.contains(why));
        assert_eq!(answer(), ("CONTENT".to_owned(), None));
    }
    fs::remove_file(&file).unwrap();
    server.wait_for_error(|line| {
        line.contains("nothing was reloaded") && line.contains("cannot read the middleware")
    });
    assert_eq!(answer(), ("CONTENT".to_owned(), None));
    replace(&file, HEADER_STAMP);
    eventually("the right one answers", || answer() == stamped());
}
