//! Timeouts: every phase of an exchange has one, and the next request is not delayed.

use tests::guests::{self, GuestFile};
use tests::{Runtime, Server, Site, programs};

#[test]
fn a_head_that_does_not_arrive_is_a_408() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--head-timeout", "1"]);
    for start in ["G", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut client = server.connect();
        let response = client.send(start).response("GET");
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        assert!(client.is_closed());
    }
    // The same holds for a later request on the connection.
    let mut client = server.connect();
    assert_eq!(client.request("GET", "/", &[]).status, 404);
    assert_eq!(client.send("GET /").response("GET").status, 408);
}

#[test]
fn an_idle_connection_is_closed_silently() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--idle-timeout", "1"]);
    let mut unused = server.connect();
    let mut used = server.connect();
    assert_eq!(used.request("GET", "/", &[]).status, 404);
    assert!(unused.is_closed());
    assert!(used.is_closed());
}

#[test]
fn an_idle_connection_answers_when_it_is_used_again() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--idle-timeout", "3600", "--head-timeout", "1"]);
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
        // Wait for longer than the head timeout: idle time does not count towards it.
        let mut other = server.connect();
        assert_eq!(other.send("G").response("GET").status, 408);
    }
    let mut pipelined = server.connect();
    pipelined.send("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\nGET /a.txt HTTP");
    assert_eq!(pipelined.response("GET").text(), "a");
    pipelined.send("/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(pipelined.response("GET").text(), "a");
}

/// Serves a guest that reads the body of the request and then does this.
fn reader(then: &str, options: &[&str]) -> (Server, GuestFile) {
    let guest = GuestFile::new(guests::reader(then));
    (programs!().ours_with_guest(&guest.path, options), guest)
}

#[test]
fn a_body_that_does_not_arrive_is_a_408() {
    // The guest returns without a response, or traps.
    for then in ["", "unreachable"] {
        let (server, _guest) = reader(then, &["--body-timeout", "1", "--max-instances", "1"]);
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
        assert_eq!(client.response("POST").status, 408);
        assert!(client.is_closed());
    }
    // An answer of the guest takes precedence over the 408.
    let (server, _guest) = reader(guests::ANSWER, &["--body-timeout", "1"]);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    assert_eq!(client.response("POST").text(), "half an answer");
    assert!(client.is_closed());
}

#[test]
fn a_body_that_arrives_is_read() {
    let (server, _guest) = reader(guests::ANSWER, &["--body-timeout", "1"]);
    let body = vec![b'x'; 20_000];
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert_eq!(client.response("POST").text(), "half an answer");
    }
}

/// A guest that sends a part of a body and then waits for an hour. The response has this field, if one is given.
fn silent(field: Option<(&str, &str)>) -> GuestFile {
    // A list of one field: the addresses and lengths of its name and value.
    let (name, value) = field.unwrap_or_default();
    let prepare = format!(
        "(i32.store (i32.const 160) (i32.const 176)) (i32.store (i32.const 164) (i32.const {}))
         (i32.store (i32.const 168) (i32.const 208)) (i32.store (i32.const 172) (i32.const {}))
         (call $from-list (i32.const 160) (i32.const {}) (i32.const 144))
         (local.set $count (call $new-response (i32.load offset=4 (i32.const 144))))
         (call $body (local.get $count) (i32.const 16))
         (call $set (local.get $out) (i32.const 0) (local.get $count)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
         (call $write (i32.load offset=4 (i32.const 16)) (i32.const 24))
         (local.set $stream (i32.load offset=4 (i32.const 24)))
         (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
         (call $block (call $after (i64.const 3600000000000)))",
        name.len(),
        value.len(),
        u32::from(field.is_some()),
    );
    let imports = format!(
        r#"{} (import "wasi:http/types@0.2.12" "[static]fields.from-list" (func $from-list (param i32 i32 i32)))"#,
        guests::WAITING
    );
    let data = format!(r#"(data (i32.const 176) "{name}") (data (i32.const 208) "{value}")"#);
    GuestFile::new(guests::handler_and(&imports, &data, &prepare))
}

#[test]
fn a_guest_that_is_silent_is_stopped() {
    let guest = silent(None);
    let server =
        programs!().ours_with_guest(&guest.path, &["--silence-timeout", "1", "--max-instances", "1"]);
    for request in 0..2 {
        let response = server.get(&format!("/{request}"));
        assert_eq!((response.status, response.text(), response.complete), (200, "half", false));
        let line = server.wait_for_error(|line| line.contains(&format!("GET /{request}")));
        assert!(line.contains("silent for 1 s") && line.contains("--silence-timeout"), "{line}");
    }
}

#[test]
fn a_response_field_can_extend_the_silence_timeout() {
    let long = silent(Some(("silence-timeout", "3600")));
    let server = programs!().ours_with_guest(&long.path, &["--silence-timeout", "1"]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().header("silence-timeout"), None, "the host passed its own field on");
    // The field also shortens the timeout: this other guest is stopped after 1 s, and the first one is still running.
    let short = silent(Some(("silence-timeout", "1")));
    let other = programs!().ours_with_guest(&short.path, &["--silence-timeout", "3600"]);
    assert!(!other.get("/").complete);
    assert_eq!(client.read(9), b"4\r\nhalf\r\n");
    drop(client);
    server.wait_for_log(|line| line.contains("\"GET / HTTP/1.1\" 200 4 "));
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn a_truncated_answer_without_a_length_is_a_reset() {
    // In HTTP/1.0 the end of the connection is the end of the body. An orderly close would hide the truncation.
    let guest = silent(None);
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--silence-timeout", "1"]).arg(&guest.path);
    let server = Server::start(Runtime::Ours, command);
    let mut client = server.connect();
    let response = client.send("GET / HTTP/1.0\r\n\r\n").response("GET");
    assert_eq!((response.status, response.text(), response.complete), (200, "half", false));
    // A complete answer ends with an orderly close.
    let guest = GuestFile::new(guests::handler(guests::ANSWER));
    let server = programs!().ours_with_guest(&guest.path, &[]);
    let response = server.connect().send("GET / HTTP/1.0\r\n\r\n").response("GET");
    assert_eq!((response.status, response.text(), response.complete), (200, "half an answer", true));
}
