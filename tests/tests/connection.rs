//! Connections: keep-alive, pipelining, HTTP/1.0, and requests with ambiguous framing.

use tests::site::Site;
use tests::{Client, on_each_runtime};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "a").file("b.txt", "bb").file("big.bin", vec![7; 1 << 20]);
    site
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for _ in 0..50 {
            assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
            assert_eq!(client.request("GET", "/missing", &[]).status, 404);
            assert_eq!(client.request("GET", "/big.bin", &[]).body, vec![7; 1 << 20]);
        }
        assert_eq!(client.request("GET", "/a.txt", &[("Connection", "close")]).text(), "a");
        assert!(client.is_closed());
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        let one = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send((one("/a.txt") + &one("/big.bin") + &one("/missing") + &one("/b.txt")).repeat(10));
        for _ in 0..10 {
            assert_eq!(client.response("GET").text(), "a");
            assert_eq!(client.response("GET").body.len(), 1 << 20);
            assert_eq!(client.response("GET").status, 404);
            assert_eq!(client.response("GET").text(), "bb");
        }
    });
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for byte in "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n".bytes() {
            client.send([byte]);
        }
        assert_eq!(client.response("GET").text(), "a");
    });
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    for head in ["GET /a.txt HTTP/1.0\r\n\r\n", "GET /a.txt HTTP/1.0\r\nHost: localhost\r\n\r\n"] {
        let mut client = server.connect();
        let response = client.send(head).response("GET");
        assert_eq!((response.status, response.text()), (200, "a"));
        assert!(client.is_closed());
    }
}

#[test]
fn a_client_that_has_shut_down_sending_gets_its_answer() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    for target in ["/a.txt", "/big.bin"] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).finish_sending();
        let response = client.response("GET");
        assert!(response.status == 200 && response.complete, "{target}");
        assert!(client.is_closed());
    }
}

/// Sends an invalid request, and expects this status and the end of the connection.
fn is_refused_with(client: &mut Client, request: &str, status: u16) {
    client.try_send(request);
    let response = client.response("GET");
    assert_eq!(response.status, status, "{request:?}");
    assert_eq!(response.header("connection"), Some("close"), "{request:?}");
    assert!(response.text().starts_with(&status.to_string()), "{request:?}: {}", response.text());
    assert!(client.is_closed(), "{request:?} leaves the connection open");
}

/// Sends an invalid request, and expects a 400 and the end of the connection.
fn is_refused(client: &mut Client, request: &str) {
    is_refused_with(client, request, 400);
}

#[test]
fn a_request_names_exactly_one_host() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: localhost:asd\r\n",
        "Host: localhost:-1\r\n",
        "Host: localhost:80x\r\n",
        "Host: localhost:65536\r\n",
        "Host: example.com.:1.2\r\n",
        "Host: [zz]\r\n",
        "Host: [1::2::3]\r\n",
        "Host: [abcd::1].\r\n",
        "Host: extra[::1]:98\r\n",
    ] {
        is_refused(&mut server.connect(), &format!("GET /a.txt HTTP/1.1\r\n{fields}\r\n"));
        is_refused(&mut server.connect(), &format!("GET http://localhost/a.txt HTTP/1.1\r\n{fields}\r\n"));
    }
    for target in
        ["http://localhost:80x/", "http://:80/", "http://[ab..cd::1]/", "http://u@localhost/", "localhost"]
    {
        is_refused(&mut server.connect(), &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }
    let mut client = server.connect();
    client.send("GET http://localhost/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response("GET").text(), "a", "the absolute form of a target");
    // An absolute target takes precedence over the Host field.
    client.send("GET http://localhost/a.txt HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(client.response("GET").text(), "a");
    let response = client.request("GET", "https://localhost/a.txt", &[]);
    assert_eq!((response.status, response.header("connection")), (421, Some("close")));
}

#[test]
fn an_empty_path_in_absolute_form_is_the_root() {
    let site = site();
    site.file("index.html", "index");
    let server = tests::programs!().ours(&site, &[]);
    for target in
        ["http://localhost", "http://localhost/", "http://localhost?query", "http://localhost/?query"]
    {
        assert_eq!(server.get(target).text(), "index", "{target}");
    }
}

#[test]
fn later_minor_versions_are_http_1_1_and_other_versions_are_refused() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    let mut client = server.connect();
    for version in ["1.2", "1.9", "1.1", "1.2"] {
        client.send(format!("GET /a.txt HTTP/{version}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.response("GET").text(), "a", "{version}");
    }
    // The version may arrive in pieces.
    client.send("GET /a.txt HTTP/1.").send("2\r\nHost: localhost\r\n").send("\r\n");
    assert_eq!(client.response("GET").text(), "a");
    for line in ["GET /a.txt HTTP/2.0", "GET /a.txt HTTP/0.9", "GET /a.txt HTTP/3.0"] {
        is_refused_with(&mut server.connect(), &format!("{line}\r\nHost: localhost\r\n\r\n"), 505);
    }
}

#[test]
fn an_unknown_transfer_coding_is_a_501() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    for coding in ["xchunked", "gzip", "chunked, gzip"] {
        let request =
            format!("POST /a.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n\r\n");
        is_refused_with(&mut server.connect(), &request, 501);
    }
}

#[test]
fn an_invalid_request_is_refused_after_the_answers_before_it() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\nGET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n\0\r\n\r\n");
    assert_eq!(client.response("GET").text(), "a");
    assert_eq!(client.response("GET").body.len(), 1 << 20);
    assert_eq!(client.response("GET").status, 400);
    assert!(client.is_closed());
}

#[test]
fn ambiguous_framing_is_refused() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "X: y\r\n folded\r\n",
        "Host : test\r\n",
        " Leading: space\r\n",
        "Na me: x\r\n",
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        "no colon\r\n",
    ] {
        is_refused(
            &mut server.connect(),
            &format!("POST /a.txt HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        );
    }
    for line in
        ["GET  /a.txt HTTP/1.1", "GET /a b HTTP/1.1", "GET /a.txt HTTP/1.1 x", "/a.txt", "GET /a.txt FTP/1.1"]
    {
        is_refused(&mut server.connect(), &format!("{line}\r\nHost: localhost\r\n\r\n"));
    }
}

#[test]
fn a_length_beside_chunks_does_not_hide_a_second_request() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    let mut client = server.connect();
    client.send(
        "POST /a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /b.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    // RFC 9112 §6.3: the server refuses the request, or uses the chunks and closes the connection after the answer.
    let response = client.response("POST");
    assert!(matches!(response.status, 400 | 405), "{}", response.status);
    assert!(client.is_closed(), "the bytes after the chunks were answered as a request");
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let site = site();
    let server = tests::programs!().ours(&site, &[]);
    let long_field = format!("X: {}\r\n", "y".repeat(100_000));
    let many_fields = (0..1000).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
    for fields in [long_field, many_fields] {
        let mut client = server.connect();
        client.try_send(format!("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
        let response = client.response("GET");
        assert_eq!(response.status, 431);
        assert!(response.text().starts_with("431 Request Header Fields Too Large"), "{}", response.text());
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/a.txt").text(), "a");
}
