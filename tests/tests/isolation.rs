//! Isolation: a request finds nothing of the requests before it, unless `--reuse` lets an instance answer several.

use tests::guests::{self, GuestFile};
use tests::{Server, programs};

/// A guest that leaves a mark in its memory, in a global and in a table, and answers with a digit: how many of the
/// three marks it has found. It runs `more` after the answer.
fn marking(more: &str) -> GuestFile {
    GuestFile::new(guests::component(
        "guest",
        &format!(
            r#"(module {prelude}
            (global $mark (mut i32) (i32.const 0))
            (table $marks 1 funcref)
            (elem declare func $marked)
            (func $marked)
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
                (local $stream i32)
                (i32.store8 (i32.const 4096) (i32.add (i32.const 48)
                    (i32.add (i32.add (i32.load (i32.const 8192)) (global.get $mark))
                        (i32.eqz (ref.is_null (table.get $marks (i32.const 0)))))))
                (i32.store (i32.const 8192) (i32.const 1))
                (global.set $mark (i32.const 1))
                (table.set $marks (i32.const 0) (ref.func $marked))
                (local.set $stream (call $respond (local.get $out)))
                (call $say (local.get $stream) (i32.const 4096) (i32.const 1))
                (call $complete (local.get $stream))
                {more}))"#,
            prelude = guests::PRELUDE,
        ),
    ))
}

fn answers(server: &Server, count: usize) -> String {
    let mut client = server.connect();
    (0..count).map(|_| client.request("GET", "/", &[]).text().to_owned()).collect()
}

#[test]
fn each_request_gets_a_fresh_instance() {
    let guest = marking("");
    let server = programs!().ours_with_guest(&guest.path, &[]);
    assert_eq!(answers(&server, 20), "0".repeat(20));
    // The same holds if slots are reused at once while others are busy.
    let server = programs!().ours_with_guest(&guest.path, &["--max-instances", "2"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(answers(&server, 50), "0".repeat(50)));
        }
    });
}

#[test]
fn with_reuse_an_instance_answers_that_many_requests() {
    let guest = marking("");
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "3"]);
    assert_eq!(answers(&server, 9), "033033033");
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn an_instance_that_has_failed_is_not_reused() {
    let guest = marking("unreachable");
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "100"]);
    for _ in 0..3 {
        assert_eq!(server.get("/").status, 500);
    }
    let guest = marking("(drop (memory.grow (i32.const 65000)))");
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "100"]);
    assert_eq!(answers(&server, 5), "00000", "an instance whose memory.grow failed was reused");
}

#[test]
fn an_outparam_cannot_answer_a_later_request() {
    // The guest keeps the response-outparam of a request, and sets it during the next one.
    let guest = GuestFile::new(guests::component(
        "guest",
        &format!(
            r#"(module {prelude}
            (global $kept (mut i32) (i32.const 0))
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $out i32)
                (if (global.get $kept)
                    (then (call $complete (call $respond (global.get $kept)))))
                (global.set $kept (local.get $out))))"#,
            prelude = guests::PRELUDE,
        ),
    ));
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "100"]);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/", &[]).status, 500);
    }
    let errors = server.errors();
    assert!(errors.iter().all(|line| line.contains("returned without a response")), "{errors:#?}");
}

#[test]
fn output_without_a_line_feed_ends_with_its_request() {
    // A text without a line feed.
    let print = "(call $say (call $stdout) (i32.const 1024) (i32.const 4))";
    let guest = marking(print);
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "100"]);
    assert_eq!(answers(&server, 3), "033");
    tests::eventually("each request has its own line", || server.guest_lines() == ["guest stdout: half"; 3]);
}

#[test]
fn the_file_server_answers_the_same_with_reuse() {
    let site = tests::Site::new();
    let content = tests::site::noise(300_000);
    site.file("a.txt", "a").file("big.bin", &content);
    let server = programs!().ours(&site, &["--reuse", "1000", "--max-instances", "4"]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..50 {
                    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
                    assert_eq!(client.request("GET", "/missing", &[]).status, 404);
                    assert!(client.request("GET", "/big.bin", &[]).body == content);
                }
            });
        }
    });
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn reusing_an_instance_does_not_leak_memory() {
    let site = tests::Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--reuse", "1000000000", "--quiet"]);
    let mut client = server.connect();
    let mut ask = |requests: usize| {
        for _ in 0..requests {
            assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);
        }
        server.memory().0
    };
    let before = ask(5_000);
    let after = ask(30_000);
    assert!(after < before + (2 << 20), "{} KiB more", (after - before) / 1024);
}

/// Sends requests, so that the instance stays in use, until `done`. Panics after some thousand requests.
fn keep_using(server: &Server, mut done: impl FnMut() -> bool) {
    let mut client = server.connect();
    for _ in 0..5_000 {
        if done() {
            return;
        }
        client.request("GET", "/", &[]);
    }
    panic!("a resource of an earlier request is still open");
}

#[test]
fn an_unfinished_body_ends_with_its_request() {
    // For a POST, the handler begins the body and returns without finishing it.
    let method = r#"(import "wasi:http/types@0.2.12" "[method]incoming-request.method" (func $method (param i32 i32)))"#;
    let guest = GuestFile::new(guests::handler_with(
        method,
        "(call $method (local.get $request) (i32.const 80))
         (local.set $stream (call $respond (local.get $out)))
         (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
         (if (i32.ne (i32.load8_u (i32.const 80)) (i32.const 2)) (then (call $complete (local.get $stream))))",
    ));
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "1000000", "--max-instances", "1"]);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.socket().set_nonblocking(true).unwrap();
    // The host notices it before it has sent any byte of the answer.
    keep_using(&server, || client.socket().peek(&mut [0]).is_ok_and(|read| read == 0));
}

#[test]
fn an_unread_request_body_does_not_block_its_connection() {
    // The guest keeps the resource of the first request, and with it the unread body. It drops later requests.
    let body = format!(
        "(if (i32.load (i32.const 8192)) (then (call $drop-request (local.get $request))))
         (i32.store (i32.const 8192) (i32.const 1))
         {}",
        guests::ANSWER
    );
    let drop = r#"(import "wasi:http/types@0.2.12" "[resource-drop]incoming-request" (func $drop-request (param i32)))"#;
    let guest = GuestFile::new(guests::handler_with(drop, &body));
    let options = ["--reuse", "1000000", "--max-instances", "1"];
    let server = programs!().ours_with_guest(&guest.path, &options);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\nabc");
    assert_eq!(client.response("POST").text(), "half an answer");
    client.socket().set_nonblocking(true).unwrap();
    keep_using(&server, || client.socket().peek(&mut [0]).is_ok_and(|read| read == 0));
}

#[test]
fn an_instance_that_leaks_handles_is_replaced_before_it_runs_out() {
    let guest = GuestFile::new(guests::handler(&format!("(drop (call $fields)) {}", guests::ANSWER)));
    let server = programs!().ours_with_guest(&guest.path, &["--reuse", "1000000", "--max-instances", "1"]);
    let mut client = server.connect();
    for request in 0..2_500 {
        assert_eq!(client.request("GET", "/", &[]).status, 200, "request {request}");
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}
