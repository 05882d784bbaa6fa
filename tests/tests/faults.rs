//! Guests that fail: a 500 or a reset connection, a line with the reason, and a next request that succeeds.

use tests::guests::{self, GuestFile};
use tests::{EXECUTORS, Server, programs};

/// Serves a guest whose handler has this body.
fn serve(body: &str, options: &[&str]) -> (Server, GuestFile) {
    let guest = GuestFile::new(guests::handler(body));
    (programs!().ours_with_guest(&guest.path, options), guest)
}

/// Expects a 500 and a line on standard error with this word, for three requests.
fn fails(body: &str, options: &[&str], word: &str) {
    let (server, _guest) = serve(body, options);
    for request in 0..3 {
        let response = server.get(&format!("/{request}"));
        assert_eq!(response.status, 500);
        assert!(response.text().starts_with("500 Internal Server Error"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let start = format!("wasi-httpd: error: the guest did not answer GET /{request} [");
        let line = server.wait_for_error(|line| line.starts_with(&start));
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn a_handler_in_webassembly_text_answers() {
    let (server, _guest) = serve(guests::ANSWER, &[]);
    let response = server.get("/");
    assert_eq!((response.status, response.text(), response.complete), (200, "half an answer", true));
    assert!(server.errors().is_empty(), "{:?}", server.errors());
}

#[test]
fn the_length_of_a_response_that_has_no_content_is_not_sent() {
    let guest = GuestFile::new(guests::handler_and(
        r#"(import "wasi:http/types@0.2.12" "[static]fields.from-list" (func $from-list (param i32 i32 i32)))
        (import "wasi:http/types@0.2.12" "[method]outgoing-response.set-status-code"
            (func $set-status (param i32 i32) (result i32)))"#,
        r#"(data (i32.const 3072) "content-length") (data (i32.const 3088) "5")"#,
        "(i32.store (i32.const 3104) (i32.const 3072)) (i32.store (i32.const 3108) (i32.const 14))
        (i32.store (i32.const 3112) (i32.const 3088)) (i32.store (i32.const 3116) (i32.const 1))
        (call $from-list (i32.const 3104) (i32.const 1) (i32.const 3120))
        (local.set $stream (call $new-response (i32.load (i32.const 3124))))
        (drop (call $set-status (local.get $stream) (i32.const 204)))
        (call $set (local.get $out) (i32.const 0) (local.get $stream)
            (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
    ));
    for executor in EXECUTORS {
        let server = programs!().ours_with_guest(&guest.path, executor);
        let mut client = server.connect();
        for _ in 0..2 {
            let response = client.request("GET", "/", &[]);
            assert_eq!((response.status, response.header("content-length")), (204, None), "{executor:?}");
        }
    }
}

#[test]
fn a_trap_is_a_500() {
    fails("unreachable", &[], "unreachable");
}

#[test]
fn no_response_is_a_500() {
    fails("", &[], "without a response");
}

#[test]
fn dropping_the_outparam_is_a_500_even_if_the_guest_runs_on() {
    // The loop runs long enough for the guest to yield a few times.
    let give_up = "(call $drop-outparam (local.get $out))
        (loop $more
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $count) (i32.const 200000000))))";
    fails(give_up, &[], "without a response");
}

#[test]
fn endless_recursion_is_a_500() {
    let guest = GuestFile::new(guests::component(
        "guest",
        r#"(module (memory (export "memory") 1)
            (func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32)
                (drop (call $deeper (local.get 0)))))"#,
    ));
    let server = programs!().ours_with_guest(&guest.path, &[]);
    assert_eq!(server.get("/").status, 500);
    let line = server.wait_for_error(|line| line.contains("did not answer"));
    assert!(line.ends_with(": it trapped: call stack exhausted, in `deeper`"), "{line}");
}

#[test]
fn a_guest_cannot_grow_its_memory_beyond_the_limit() {
    // Grows by pages of 64 KiB, and traps if no growth fails before 32 MiB.
    let grow = "(block $refused (loop $more
            (br_if $refused (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
            (br_if $more (i32.lt_u (memory.size) (i32.const 512)))
            unreachable))";
    let (server, _guest) = serve(&format!("{grow} {}", guests::ANSWER), &["--max-memory", "16"]);
    assert_eq!(server.get("/").text(), "half an answer");
    fails(grow, &["--max-memory", "64"], "unreachable");
}

#[test]
fn a_guest_that_never_answers_is_stopped() {
    fails("(loop $forever (br $forever))", &["--timeout", "1"], "1 s");
}

#[test]
fn busy_guests_do_not_block_other_requests() {
    // There are more busy requests than threads.
    let busy = "(local.set $count (i32.const 0))
        (loop $forever (br $forever))";
    let (server, _guest) = serve(busy, &["--timeout", "2"]);
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client
        })
        .collect();
    // The host refuses CONNECT itself, which needs a thread too.
    assert_eq!(server.connect().request("CONNECT", "localhost:1", &[]).status, 501);
    for mut client in clients {
        assert_eq!(client.response("GET").status, 500);
    }
}

/// A response whose body is so long that the head is sent before the body ends.
const LONG_BODY: &str = "
    (local.set $stream (call $respond (local.get $out)))
    (loop $more
        (call $say (local.get $stream) (i32.const 1024) (i32.const 4096))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $count) (i32.const 100))))";

#[test]
fn a_trap_after_the_head_leaves_the_answer_incomplete() {
    let (server, _guest) = serve(&format!("{LONG_BODY} unreachable"), &[]);
    for _ in 0..3 {
        let mut client = server.connect();
        let response = client.request("GET", "/", &[]);
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert!(
            response.status == 200 && !response.complete,
            "the client cannot tell that the answer is truncated"
        );
    }
    server.wait_for_error(|line| {
        line.starts_with("wasi-httpd: error: the guest failed during its response to GET /")
    });
}

/// RFC 9110 §9.3.2: its head is all that there is. Libraries trap here, since a body that is empty is not as long as the
/// `Content-Length` of the answer to GET.
#[test]
fn a_trap_after_the_response_to_head_leaves_it_complete() {
    for flags in EXECUTORS {
        let (server, _guest) =
            serve("(local.set $stream (call $respond (local.get $out))) unreachable", flags);
        for _ in 0..3 {
            assert_eq!(server.get("/").status, 500);
            let response = server.connect().request("HEAD", "/", &[]);
            assert_eq!((response.status, response.complete), (200, true));
        }
        server.wait_for_error(|line| {
            line.starts_with("wasi-httpd: error: the guest failed after its response to HEAD /")
        });
    }
}

#[test]
fn an_unfinished_body_leaves_the_answer_incomplete() {
    let drop_it = "(call $drop-stream (local.get $stream))
        (call $drop-body (i32.load offset=4 (i32.const 16)))";
    for end in [drop_it, ""] {
        let (server, _guest) = serve(&format!("{LONG_BODY} {end}"), &[]);
        let response = server.get("/");
        assert!(!response.complete, "the client cannot tell that the answer is truncated");
    }
}

#[test]
fn work_after_the_response_does_not_delay_it() {
    let body = format!("{} (loop $forever (br $forever))", guests::ANSWER);
    // The guest may run on for an hour, but the answers arrive at once.
    let (server, _guest) = serve(&body, &["--timeout", "3600"]);
    for _ in 0..4 {
        assert_eq!(server.get("/").text(), "half an answer");
    }
    let (server, _guest) = serve(&body, &["--timeout", "1"]);
    assert_eq!(server.get("/").text(), "half an answer");
    server.wait_for_error(|line| line.contains("after its response to GET /"));
}

#[test]
fn the_output_of_guests_is_prefixed_and_escaped() {
    let print = format!("(call $say (call $stderr) (i32.const 2048) (i32.const 24)) {}", guests::ANSWER);
    let (server, _guest) = serve(&print, &[]);
    assert_eq!(server.get("/").status, 200);
    server.wait_for_guest(|line| line == "guest stderr: \\u{1b}[31mred\\u{1b}[0m");
    server.wait_for_guest(|line| line == "guest stderr: second line");
    let print = format!("(call $say (call $stdout) (i32.const 2048) (i32.const 17)) {}", guests::ANSWER);
    let (server, _guest) = serve(&print, &[]);
    assert_eq!(server.get("/").status, 200);
    server.wait_for_guest(|line| line == "guest stdout: \\u{1b}[31mred\\u{1b}[0m");
}

#[test]
fn the_output_of_a_guest_is_limited() {
    // 100 times 4,096 bytes are far beyond the limit.
    let print = format!(
        "(loop $more
            (call $say (call $stderr) (i32.const 4096) (i32.const 4096))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $count) (i32.const 100))))
        {}",
        guests::ANSWER
    );
    let (server, _guest) = serve(&print, &[]);
    assert_eq!(server.get("/").status, 200);
    server.wait_for_guest(|line| line == "guest stderr: (more than 64 KiB: the rest is not shown)");
    let lines = server.guest_lines().iter().filter(|line| line.starts_with("guest stderr: ")).count();
    assert_eq!(lines, 16 + 1);
}

#[test]
fn a_guest_sees_only_the_variables_that_are_set() {
    // Traps unless there are this many variables.
    let expect = |number: u32| {
        let count = format!(
            "(call $environment (i32.const 80))
            (if (i32.ne (i32.load offset=4 (i32.const 80)) (i32.const {number})) (then unreachable))"
        );
        format!("{count} {}", guests::ANSWER)
    };
    let (server, _guest) = serve(&expect(0), &[]);
    assert_eq!(server.get("/").status, 200);
    let (server, _guest) = serve(&expect(2), &["--env", "A=1", "--env", "B="]);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn when_every_instance_is_busy_requests_wait_and_then_get_a_503() {
    // One request runs, four wait, and one gets a 503 at once. The four get theirs after 5 s.
    let (server, _guest) =
        serve("(loop $forever (br $forever))", &["--timeout", "8", "--max-instances", "1"]);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = || {
            let response = server.get("/");
            if response.status == 503 {
                assert_eq!(response.header("retry-after"), Some("5"));
                assert_eq!(response.header("cache-control"), Some("no-store"));
                assert!(response.text().starts_with("503 Service Unavailable"));
            }
            response.status
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [500, 503, 503, 503, 503, 503]);
}

#[test]
fn opening_a_fifo_does_not_block_other_requests() {
    let site = tests::Site::new();
    assert!(std::process::Command::new("mkfifo").arg(site.path("fifo")).status().unwrap().success());
    // Answers with the result of opening the FIFO: 1 is an error.
    let body = "(call $directories (i32.const 16))
        (call $open-at (i32.load (i32.load (i32.const 16))) (i32.const 1) (i32.const 3072) (i32.const 4)
            (i32.const 0) (i32.const 1) (i32.const 64))
        (i32.store8 (i32.const 4096) (i32.add (i32.const 48) (i32.load8_u (i32.const 64))))
        (local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 4096) (i32.const 1))
        (call $complete (local.get $stream))";
    let data = r#"(data (i32.const 3072) "fifo")"#;
    let guest = GuestFile::new(guests::handler_and(guests::OPENING, data, body));
    let dir = site.root().to_str().unwrap();
    let server = programs!().ours_with_guest(&guest.path, &["--dir", dir]);
    // There are more requests than threads.
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.response("GET").text(), "1");
    }
    let line = server.wait_for_error(|line| line.contains("may not open"));
    assert!(line.contains("`fifo`") && line.contains("neither a regular file nor a directory"), "{line}");
}

#[test]
fn each_denied_operation_is_reported_once() {
    // Creates a directory, a TCP socket and a UDP socket.
    let body = format!(
        "(call $directories (i32.const 16))
        (call $create (i32.load (i32.load (i32.const 16))) (i32.const 3072) (i32.const 3) (i32.const 64))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
        (call $tcp (i32.const 0) (i32.const 64))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
        (call $udp (i32.const 0) (i32.const 64))
        (if (i32.eqz (i32.load8_u (i32.const 64))) (then unreachable))
        {}",
        guests::ANSWER
    );
    let imports = r#"
        (import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
        (import "wasi:filesystem/types@0.2.12" "[method]descriptor.create-directory-at"
            (func $create (param i32 i32 i32 i32)))
        (import "wasi:sockets/tcp-create-socket@0.2.12" "create-tcp-socket" (func $tcp (param i32 i32)))
        (import "wasi:sockets/udp-create-socket@0.2.12" "create-udp-socket" (func $udp (param i32 i32)))"#;
    let guest = GuestFile::new(guests::handler_and(imports, r#"(data (i32.const 3072) "new")"#, &body));
    let site = tests::Site::new();
    let server = programs!().ours_with_guest(&guest.path, &["--dir", site.root().to_str().unwrap()]);
    for _ in 0..2 {
        assert_eq!(server.get("/").text(), "half an answer");
    }
    for (what, flag) in [
        ("may not write to `new`", "no flag changes that"),
        ("may not create a TCP socket", "--allow-tcp-connect HOST:PORT"),
        ("may not create a UDP socket", "no flag allows it"),
    ] {
        let line = server.wait_for_error(|line| line.contains(what));
        assert!(line.contains(flag), "{line}");
    }
    assert!(!site.path("new").exists());
    server.signal("TERM");
    let (_, _, errors) = server.wait();
    assert_eq!(errors.iter().filter(|line| line.contains("the guest may not")).count(), 3, "{errors:#?}");
}
