//! HTTP/2: the same answers as with HTTP/1.1, on many streams at once.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tests::guests::{self, GuestFile};
use tests::http2::{END_HEADERS, END_STREAM, Frames, Http2, INITIAL_WINDOW_SIZE, PREFACE};
use tests::http2::{code, frame, get, head, kind, request};
use tests::site::{MODIFIED, Site, noise};
use tests::{Server, programs};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "a").file("empty.txt", "").file("index.html", "<p>hello");
    site.file("middle.bin", noise(1 << 20)).file("large.bin", noise(20 << 20));
    site.file("d/one.txt", "1").file("d/two.txt", "2");
    site
}

#[test]
fn answers_are_those_of_http_1_1() {
    let site = site().with("FILES_LISTING", "on");
    let server = programs!().ours(&site, &[]);
    let (mut one, mut two) = (server.connect(), Http2::connect(server.address()));
    for (method, path, fields) in [
        ("GET", "/a.txt", &[][..]),
        ("HEAD", "/a.txt", &[]),
        ("GET", "/empty.txt", &[]),
        ("GET", "/", &[]),
        ("GET", "/d", &[]),
        ("GET", "/d/", &[]),
        ("HEAD", "/d/", &[]),
        ("GET", "/missing", &[]),
        ("HEAD", "/missing", &[]),
        ("GET", "/middle.bin", &[]),
        ("HEAD", "/middle.bin", &[]),
        ("GET", "/middle.bin", &[("range", "bytes=1000-199999")]),
        ("GET", "/middle.bin", &[("range", "bytes=-5")]),
        ("GET", "/middle.bin", &[("range", "bytes=9999999-")]),
        ("GET", "/a.txt", &[("if-modified-since", MODIFIED)]),
        ("HEAD", "/a.txt", &[("if-none-match", "*")]),
        ("GET", "/a.txt", &[("if-match", "\"other\"")]),
        ("OPTIONS", "/a.txt", &[]),
        ("POST", "/a.txt", &[]),
        ("DELETE", "/a.txt", &[]),
        ("GET", "/a%00b", &[]),
        ("GET", "/.git/config", &[]),
    ] {
        let expected = one.request(method, path, fields);
        let answer = two.request(method, path, fields);
        let case = format!("{method} {path} {fields:?}");
        assert_eq!((answer.status, answer.complete), (expected.status, true), "{case}");
        assert!(answer.body == expected.body, "{case}");
        let own = |name: &str| matches!(name, "date" | "connection" | "transfer-encoding" | "content-length");
        let fields = |response: &tests::Response| {
            let mut fields = response.headers.clone();
            fields.retain(|(name, _)| !own(name));
            fields.sort();
            fields
        };
        assert_eq!(fields(&answer), fields(&expected), "{case}");
        assert!(answer.header("date").is_some(), "{case}");
        assert_eq!(answer.header("connection").or(answer.header("transfer-encoding")), None, "{case}");
        if let Some(length) = expected.header("content-length") {
            assert_eq!(answer.header("content-length"), Some(length), "{case}");
        }
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn large_files_arrive_side_by_side() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    let answers = client.get_all(&["/large.bin", "/a.txt", "/large.bin", "/middle.bin"]);
    let expected = [noise(20 << 20), b"a".to_vec(), noise(20 << 20), noise(1 << 20)];
    for (answer, expected) in answers.iter().zip(expected) {
        assert!(answer.complete && answer.body == expected);
    }
    server.wait_for_log(|line| line.contains(&format!("\"GET /large.bin HTTP/2.0\" 200 {} ", 20 << 20)));
}

#[test]
fn a_hundred_streams_are_answered_at_once() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    for _ in 0..5 {
        let answers = client.get_all(&["/middle.bin"; 100]);
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == noise(1 << 20)));
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn the_preface_may_arrive_byte_by_byte() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Frames::connect(server.address());
    for byte in PREFACE {
        client.send([*byte]);
    }
    client.send(frame(kind::SETTINGS, 0, 0, &[])).request(1, "/a.txt");
    assert_eq!(client.next_on(1).status(), 200);
}

#[test]
fn a_connection_with_http_1_1_does_not_become_one_with_http_2() {
    // A proxy that shares its connections among clients must not let one of them switch it.
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = server.connect();
    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
    client.send(PREFACE);
    assert_eq!(client.response("GET").status, 505);
    assert!(client.is_closed());
}

#[test]
fn requests_name_one_host_that_the_server_answers_for() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    let mut status = |url, fields| client.send(request("GET", url, fields), None).status;
    assert_eq!(status("http://localhost/a.txt", &[("host", "localhost")][..]), 200);
    assert_eq!(status("http://127.0.0.1:1/a.txt", &[]), 200);
    assert_eq!(status("http://localhost/a.txt", &[("host", "127.0.0.1")]), 400);
    assert_eq!(status("http://localhost/a.txt", &[("host", "localhost"), ("host", "evil.example")]), 400);
    assert_eq!(status("http://evil.example/a.txt", &[]), 421);
    assert_eq!(status("https://localhost/a.txt", &[]), 421);
    let mut client = Frames::begin(server.address(), &[]);
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/a.txt"), ("host", "localhost")];
    client.send(frame(kind::HEADERS, 5, 1, &head(&fields)));
    assert_eq!(client.next_on(1).status(), 200, "a Host without :authority");
    client.send(frame(kind::HEADERS, 5, 3, &head(&fields[..3])));
    assert_eq!(client.next_on(3).status(), 400, "no host at all");
    server.wait_for_log(|line| line.contains("\"GET /a.txt HTTP/2.0\" 421 "));
}

#[test]
fn malformed_requests_are_reset_and_the_connection_goes_on() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Frames::begin(server.address(), &[]);
    let all = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/a.txt")];
    let mut stream = 1;
    let more = [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        (":path", "/b"),
    ];
    for field in more {
        client.send(frame(kind::HEADERS, 5, stream, &head(&[&all[..], &[field]].concat())));
        let reset = client.next_on(stream);
        assert_eq!((reset.kind, reset.code()), (kind::RST_STREAM, code::PROTOCOL_ERROR), "{field:?}");
        stream += 2;
    }
    client.request(stream, "/a.txt");
    assert_eq!(client.next_on(stream).status(), 200);
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn a_tunnel_is_refused() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    assert_eq!(client.send(request("CONNECT", "localhost:80", &[]), None).status, 501);
    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Http2::connect(server.address());
    let names: Vec<_> = (0..200).map(|number| format!("x-{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
    assert_eq!(client.request("GET", "/a.txt", &fields).status, 431);
    let mut client = Frames::begin(server.address(), &[]);
    let long = "y".repeat(10_000);
    let fields =
        [get("/a.txt"), head(&[("x-1", &long), ("x-2", &long), ("x-3", &long), ("x-4", &long)])].concat();
    let mut blocks = fields.chunks(16_000);
    client.send(frame(kind::HEADERS, 1, 1, blocks.next().unwrap()));
    for block in blocks {
        client.send(frame(kind::CONTINUATION, 0, 1, block));
    }
    client.send(frame(kind::CONTINUATION, END_HEADERS, 1, &[]));
    // `:status: 431`, as a literal.
    let answer = client.next_on(1);
    assert_eq!((answer.kind, answer.status()), (kind::HEADERS, 0));
    client.request(3, "/a.txt");
    assert_eq!(client.next_on(3).status(), 200);
}

/// Serves a guest that reads the body of the request and answers.
fn reader(options: &[&str]) -> (Server, GuestFile) {
    let guest = GuestFile::new(guests::reader(guests::ANSWER));
    (programs!().ours_with_guest(&guest.path, options), guest)
}

/// Content of several frames.
const CONTENT: &str = include_str!("http2.rs");

#[test]
fn content_and_trailers_of_a_request_are_read() {
    let (server, _guest) = reader(&[]);
    let mut client = Http2::connect(server.address());
    let checksum = (HeaderName::from_static("x-checksum"), HeaderValue::from_static("1"));
    for trailers in [HeaderMap::new(), [checksum].into_iter().collect()] {
        let post = request("POST", "http://localhost/", &[]);
        let answer = client.send(post, Some((CONTENT.as_bytes(), trailers)));
        assert_eq!((answer.text(), answer.complete), ("half an answer", true));
    }
}

#[test]
fn content_is_asked_for_when_a_guest_reads_it() {
    let (server, _guest) = reader(&[]);
    let mut client = Frames::begin(server.address(), &[]);
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/"),
        ("expect", "100-continue"),
    ];
    client.send(frame(kind::HEADERS, END_HEADERS, 1, &head(&fields)));
    let interim = client.next_on(1);
    // Neither a final status nor the end of the stream.
    assert_eq!((interim.kind, interim.flags, interim.status()), (kind::HEADERS, END_HEADERS, 0));
    client.send(frame(kind::DATA, 1, 1, b"content"));
    assert_eq!(client.next_on(1).status(), 200);
}

#[test]
fn content_that_does_not_arrive_is_a_408() {
    let guest = GuestFile::new(guests::reader(""));
    let server = programs!().ours_with_guest(&guest.path, &["--body-timeout", "1"]);
    let mut client = Frames::begin(server.address(), &[]);
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
    client.send(frame(kind::HEADERS, END_HEADERS, 1, &head(&fields)));
    assert_eq!(client.next_on(1).kind, kind::HEADERS);
    server.wait_for_log(|line| line.contains("\"POST / HTTP/2.0\" 408 "));
}

#[test]
fn content_that_is_too_long_is_a_413() {
    // With and without a length in the head; the guest gives no answer of its own.
    let guest = GuestFile::new(guests::reader(""));
    let server = programs!().ours_with_guest(&guest.path, &["--max-body", "0"]);
    let mut client = Http2::connect(server.address());
    for fields in [&[("content-length", "1")][..], &[]] {
        let post = request("POST", "http://localhost/", fields);
        assert_eq!(client.send(post, Some((b"x", HeaderMap::new()))).status, 413);
    }
}

#[test]
fn trailers_of_a_response_are_sent() {
    let imports = r#"
        (import "wasi:http/types@0.2.12" "[static]fields.from-list" (func $from-list (param i32 i32 i32)))"#;
    // A list of one field: the addresses and lengths of its name and value.
    let data = r#"(data (i32.const 176) "x-checksum") (data (i32.const 208) "1")"#;
    let body = "
        (local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
        (call $drop-stream (local.get $stream))
        (i32.store (i32.const 160) (i32.const 176)) (i32.store (i32.const 164) (i32.const 10))
        (i32.store (i32.const 168) (i32.const 208)) (i32.store (i32.const 172) (i32.const 1))
        (call $from-list (i32.const 160) (i32.const 1) (i32.const 144))
        (call $finish (i32.load offset=4 (i32.const 16)) (i32.const 1) (i32.load offset=4 (i32.const 144)) (i32.const 64))";
    let guest = GuestFile::new(guests::handler_and(imports, data, body));
    let server = programs!().ours_with_guest(&guest.path, &[]);
    let answer = Http2::connect(server.address()).request("GET", "/", &[]);
    assert_eq!((answer.text(), answer.header("x-checksum"), answer.complete), ("half", Some("1"), true));
}

#[test]
fn a_body_that_ends_early_is_a_reset_of_its_stream_only() {
    let guest = GuestFile::new(guests::begin_and_wait());
    let server = programs!().ours_with_guest(&guest.path, &["--silence-timeout", "1"]);
    let mut client = Frames::begin(server.address(), &[]);
    for stream in [1, 3] {
        client.request(stream, "/");
        let (head, data, reset) = (client.next_on(stream), client.next_on(stream), client.next_on(stream));
        assert_eq!((head.status(), head.flags & END_STREAM), (200, 0));
        assert_eq!((data.payload.as_slice(), data.flags & END_STREAM), (&b"half"[..], 0));
        assert_eq!((reset.kind, reset.code()), (kind::RST_STREAM, code::INTERNAL_ERROR));
    }
}

#[test]
fn a_stream_that_is_reset_ends_its_instance() {
    let guest = GuestFile::new(guests::begin_and_wait());
    let server =
        programs!().ours_with_guest(&guest.path, &["--max-instances", "1", "--silence-timeout", "3600"]);
    let mut client = Frames::begin(server.address(), &[]);
    for stream in [1, 3, 5, 7] {
        client.request(stream, "/");
        assert_eq!(client.next_on(stream).status(), 200, "the only instance is free again");
        assert_eq!(client.next_on(stream).payload, b"half");
        client.send(frame(kind::RST_STREAM, 0, stream, &code::CANCEL.to_be_bytes()));
    }
    // The end of the connection ends them, too.
    drop(client);
    let mut client = Frames::begin(server.address(), &[]);
    client.request(1, "/");
    assert_eq!(client.next_on(1).status(), 200);
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn a_request_that_is_reset_before_its_answer_is_a_499() {
    let wait = "(call $block (call $after (i64.const 3600000000000)))";
    let guest = GuestFile::new(guests::handler_with(guests::WAITING, wait));
    let server = programs!().ours_with_guest(&guest.path, &["--max-instances", "1", "--timeout", "3600"]);
    let mut client = Frames::begin(server.address(), &[]);
    for (stream, path) in [(1, "/1"), (3, "/2")] {
        client.request(stream, path).send(frame(kind::PING, 0, 0, &[0; 8]));
        client.next_of(kind::PING);
        client.send(frame(kind::RST_STREAM, 0, stream, &code::CANCEL.to_be_bytes()));
        server.wait_for_log(|line| line.contains(&format!("\"GET {path} HTTP/2.0\" 499 ")));
    }
}

#[test]
fn one_connection_does_not_take_every_instance() {
    let guest = GuestFile::new(guests::begin_and_wait());
    let server =
        programs!().ours_with_guest(&guest.path, &["--max-instances", "8", "--silence-timeout", "3600"]);
    let mut greedy = Frames::begin(server.address(), &[]);
    for stream in 0..100 {
        greedy.request(2 * stream + 1, "/");
    }
    assert_eq!([(); 2].map(|()| greedy.next_of(kind::HEADERS).status()), [200, 200]);
    let mut modest = Frames::begin(server.address(), &[]);
    assert_eq!(modest.request(1, "/").next_on(1).status(), 200);
    // The others of the first connection are turned away: `:status: 503`, as a literal.
    for _ in 2..100 {
        assert_eq!(greedy.next_of(kind::HEADERS).status(), 0);
    }
}

#[test]
fn a_stream_whose_window_stays_empty_is_reset_and_the_others_live_on() {
    let site = site();
    let server = programs!().ours(&site, &["--stall-timeout", "1"]);
    for (window, path) in [(0, "/a.txt"), (0, "/large.bin"), (1, "/middle.bin"), (60_000, "/middle.bin")] {
        let mut client = Frames::begin(server.address(), &[(INITIAL_WINDOW_SIZE, window)]);
        client.request(1, path);
        assert_eq!(client.next_on(1).status(), 200);
        let mut received = 0;
        let last = loop {
            let frame = client.next_on(1);
            if frame.kind != kind::DATA {
                break frame;
            }
            received += u32::try_from(frame.payload.len()).unwrap();
        };
        assert_eq!((last.kind, last.code(), received), (kind::RST_STREAM, code::CANCEL, window));
        // Without content, there is nothing to stall.
        client.request(3, "/empty.txt");
        assert_eq!(client.next_on(3).status(), 200);
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn an_idle_connection_is_closed_with_a_word() {
    let site = site();
    let server = programs!().ours(&site, &["--idle-timeout", "1"]);
    let mut client = Frames::begin(server.address(), &[]);
    assert_eq!(client.end(), Some(code::NO_ERROR));
    let mut client = Frames::begin(server.address(), &[]);
    client.request(1, "/a.txt");
    assert_eq!(client.end(), Some(code::NO_ERROR));
}

#[test]
fn heads_and_settings_that_do_not_arrive_close_the_connection() {
    let site = site();
    let server = programs!().ours(&site, &["--head-timeout", "1"]);
    let mut client = Frames::begin(server.address(), &[]);
    client.send(frame(kind::HEADERS, 0, 1, &get("/a.txt")));
    assert_eq!(client.end(), Some(code::ENHANCE_YOUR_CALM), "no CONTINUATION");
    let mut client = Frames::begin(server.address(), &[]);
    client.send(&frame(kind::HEADERS, 5, 1, &get("/a.txt"))[..20]);
    assert_eq!(client.end(), Some(code::ENHANCE_YOUR_CALM), "half a frame");
    let mut client = Frames::connect(server.address());
    assert_eq!(client.send(PREFACE).end(), Some(code::SETTINGS_TIMEOUT));
    let mut client = Frames::connect(server.address());
    assert_eq!(client.send(&PREFACE[..20]).end(), None, "half a preface");
}

#[test]
fn a_server_that_stops_finishes_what_it_has_begun() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut idle = Frames::begin(server.address(), &[]);
    idle.request(1, "/a.txt").next_on(1);
    let mut busy = Frames::begin(server.address(), &[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    // The window of the connection is the default, so that the answer waits.
    busy.request(1, "/middle.bin");
    assert_eq!(busy.next_on(1).status(), 200);
    server.signal("TERM");
    assert_eq!(idle.end(), Some(code::NO_ERROR));
    let (mut received, mut last) = (0, false);
    busy.send(frame(kind::WINDOW_UPDATE, 0, 0, &(2_u32 << 20).to_be_bytes()));
    let mut goaway = None;
    while let Some(frame) = busy.frame() {
        match frame.kind {
            kind::DATA => {
                received += frame.payload.len();
                last |= frame.flags == 1;
            }
            kind::GOAWAY => goaway = Some(frame.code()),
            kind::PING if frame.flags == 0 => {
                busy.send(tests::http2::frame(kind::PING, 1, 0, &frame.payload));
            }
            _ => {}
        }
    }
    assert_eq!((received, last, goaway), (1 << 20, true, Some(code::NO_ERROR)));
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(log.iter().any(|line| line.contains("\"GET /middle.bin HTTP/2.0\" 200 1048576 ")), "{log:?}");
}

#[test]
fn a_client_that_does_not_read_does_not_block_the_shutdown() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    let mut client = Frames::begin(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.request(1, "/large.bin");
    assert_eq!(client.next_on(1).status(), 200);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Sends frames many times over a connection that has an open stream, and expects the connection to be closed while
/// another client is served.
fn is_flood(server: &Server, what: &str, frames: impl Fn(u32) -> Vec<u8>) {
    let mut client = Frames::begin(server.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    client.request(1, "/large.bin");
    let (before, _) = server.memory();
    let all: Vec<u8> = (0..20_000).flat_map(|number| frames(2 * number + 3)).collect();
    client.flood(&all, 1);
    let mut other = Http2::connect(server.address());
    assert_eq!(other.request("GET", "/a.txt", &[]).text(), "a", "{what}");
    // The server may reset the connection, because it does not read the rest of the flood.
    if let Some(code) = client.end() {
        assert_ne!(code, code::NO_ERROR, "{what}");
    }
    let (after, _) = server.memory();
    assert!(after < before + (32 << 20), "{what}: {before} bytes of memory became {after}");
}

#[test]
fn floods_end_the_connection_and_others_are_served() {
    let site = site();
    let server = programs!().ours(&site, &["--quiet"]);
    let number = |value: u32| value.to_be_bytes();
    let reset = |stream| frame(kind::RST_STREAM, 0, stream, &number(code::CANCEL));
    let ask = |stream| frame(kind::HEADERS, 5, stream, &get("/large.bin"));
    let open = |stream| frame(kind::HEADERS, END_HEADERS, stream, &get("/large.bin"));
    is_flood(&server, "PING", |_| frame(kind::PING, 0, 0, &[0; 8]));
    is_flood(&server, "SETTINGS", |_| frame(kind::SETTINGS, 0, 0, &[]));
    is_flood(&server, "settings that open and close windows", |at| {
        frame(kind::SETTINGS, 0, 0, &[&[0, 4][..], &number(at % 4)].concat())
    });
    is_flood(&server, "PRIORITY", |stream| frame(kind::PRIORITY, 0, stream, &[0, 0, 0, 0, 1]));
    is_flood(&server, "WINDOW_UPDATE", |_| frame(kind::WINDOW_UPDATE, 0, 1, &number(1)));
    is_flood(&server, "frames of an unknown type", |_| frame(77, 0, 0, &[]));
    is_flood(&server, "requests that are reset", |stream| [ask(stream), reset(stream)].concat());
    is_flood(&server, "requests beyond the limit", ask);
    // CVE-2025-8671: the server resets the streams itself.
    is_flood(&server, "streams whose window overflows", |stream| {
        let update = frame(kind::WINDOW_UPDATE, 0, stream, &number(0x7fff_ffff));
        [ask(stream), update.clone(), update].concat()
    });
    is_flood(&server, "streams whose window does not grow", |stream| {
        [ask(stream), frame(kind::WINDOW_UPDATE, 0, stream, &number(0))].concat()
    });
    is_flood(&server, "content after the end", |stream| {
        [ask(stream), frame(kind::DATA, 1, stream, b"x")].concat()
    });
    is_flood(&server, "malformed heads", |stream| frame(kind::HEADERS, 5, stream, &head(&[("x", "y")])));
    is_flood(&server, "content without bytes", |stream| {
        if stream == 3 { open(3) } else { frame(kind::DATA, 0, 3, &[]) }
    });
    is_flood(&server, "heads that do not end", |stream| {
        if stream == 3 { frame(kind::HEADERS, 0, 3, &get("/")) } else { frame(kind::CONTINUATION, 0, 3, &[]) }
    });
    is_flood(&server, "heads that grow", |stream| {
        if stream == 3 {
            frame(kind::HEADERS, 0, 3, &get("/"))
        } else {
            frame(kind::CONTINUATION, 0, 3, &head(&[("x", "y")]).repeat(100))
        }
    });
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn content_of_a_byte_a_frame_is_a_flood() {
    let (server, _guest) = reader(&[]);
    let mut client = Frames::begin(server.address(), &[]);
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
    client.send(frame(kind::HEADERS, END_HEADERS, 1, &head(&fields)));
    client.flood(&frame(kind::DATA, 0, 1, b"x"), 50_000);
    if let Some(code) = client.end() {
        assert_eq!(code, code::ENHANCE_YOUR_CALM);
    }
}

#[test]
fn a_busy_client_that_behaves_is_no_flood() {
    let site = site();
    let server = programs!().ours(&site, &["--quiet"]);
    let mut client = Frames::begin(server.address(), &[]);
    let mut stream = 1;
    for _ in 0..100 {
        for _ in 0..50 {
            // A client that gives back its windows after each answer, and asks whether the server is there.
            client.request(stream, "/a.txt");
            client.send(frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
            client.send(frame(kind::PING, 0, 0, &[0; 8]));
            stream += 2;
        }
        for _ in 0..50 {
            assert_eq!(client.next_of(kind::HEADERS).status(), 200);
        }
    }
}

#[test]
fn what_is_not_http_2_after_the_preface_closes_the_connection() {
    let site = site();
    let server = programs!().ours(&site, &[]);
    for bytes in [
        // A frame that is too long, a HEADERS on stream 0, a PUSH_PROMISE, a PING of a wrong length, text.
        frame(kind::DATA, 0, 1, &vec![0; 20_000]),
        frame(kind::HEADERS, 5, 0, &get("/")),
        frame(5, 0, 1, &[0; 4]),
        frame(kind::PING, 0, 0, &[0; 7]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        let mut client = Frames::begin(server.address(), &[]);
        client.flood(&bytes, 1);
        assert_ne!(client.end(), Some(code::NO_ERROR));
    }
    let mut client = Http2::connect(server.address());
    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
    assert_eq!(server.errors(), Vec::<String>::new());
}
