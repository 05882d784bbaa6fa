//! Restored instances: what a request leaves behind anywhere, no later request finds; and an instance that has failed, or has
//! more than it began with, answers no other request.

use tests::guests::{self, GuestFile};
use tests::{Server, programs};

/// Imports of the guests below, and functions that find and leave marks.
const MARKS: &str = r#"
    (global $one (mut i32) (i32.const 7))
    (global $two (mut i64) (i64.const 7))
    (global $three (mut f32) (f32.const 7))
    (global $four (mut f64) (f64.const 7))
    (data (i32.const 20000) "initial data")
    ;; The sum of all words of the memory.
    (func $sum (result i64) (local $at i32) (local $sum i64)
        (loop $more
            (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 1)) (i64.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 65536))))
        (local.get $sum))
    ;; Tells everything that marks may have changed: 48 bytes at 4096. The number of a handle shows whether there are
    ;; others.
    (func $look (local $sum i64) (local $handle i32)
        (local.set $sum (call $sum))
        (local.set $handle (call $fields))
        (i64.store (i32.const 4096) (local.get $sum))
        (i32.store (i32.const 4104) (local.get $handle))
        (i32.store (i32.const 4108) (memory.size))
        (i32.store (i32.const 4112) (global.get $one))
        (f32.store (i32.const 4116) (global.get $three))
        (i64.store (i32.const 4120) (global.get $two))
        (f64.store (i32.const 4128) (global.get $four))
        (i32.store (i32.const 4136) (global.get $free))
        (i32.store (i32.const 4140) (i32.load8_u (i32.const 65535))))
    (func $leave (local $at i32) (local $more i32)
        (global.set $one (i32.const -1))
        (global.set $two (i64.const -1))
        (global.set $three (f32.const nan:0x200000))
        (global.set $four (f64.const -0))
        ;; The first and the last byte, and one of each 64 in between, but for what the answer needs.
        (i32.store8 (i32.const 0) (i32.const 1))
        (i32.store8 (i32.const 65535) (i32.const 1))
        (local.set $at (i32.const 5120))
        (loop $next
            (i32.store8 (local.get $at) (i32.const 1))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 65536))))
        ;; The environment, of which the host must not keep what the guest gets.
        (call $environment (i32.const 80))
        (local.set $at (i32.load (i32.const 80)))
        (i32.store8 (i32.load (local.get $at)) (i32.const 88))
        (i32.store8 (i32.load offset=8 (local.get $at)) (i32.const 88))
        ;; Handles, a stream, text without a line feed, and a body that is not finished.
        (drop (call $fields))
        (drop (call $stderr))
        (call $say (call $stdout) (i32.const 1024) (i32.const 4))
        (call $body (call $new-response (call $fields)) (i32.const 96))
        (call $write (i32.load (i32.const 100)) (i32.const 104))
        (call $say (i32.load (i32.const 108)) (i32.const 1024) (i32.const 14)))
"#;

const METHOD: &str =
    r#"(import "wasi:http/types@0.2.12" "[method]incoming-request.method" (func $method (param i32 i32)))"#;

/// A guest that tells what it finds, and leaves marks everywhere. For a POST, `more` follows before the answer.
fn marking(more: &str) -> GuestFile {
    let body = format!(
        "(call $look)
        (call $method (local.get $request) (i32.const 64))
        (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 2)) (then (call $leave) {more}))
        (local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 4096) (i32.const 48))
        (call $complete (local.get $stream))
        (call $leave)"
    );
    GuestFile::new(guests::handler_and(METHOD, MARKS, &body))
}

/// A guest that counts its requests in its memory, and answers with the number as a digit. For a POST, `more` precedes the
/// answer.
fn counting(more: &str) -> GuestFile {
    let body = format!(
        "(call $method (local.get $request) (i32.const 64))
        (i32.store8 (i32.const 4096) (i32.add (i32.const 48) (i32.load (i32.const 8192))))
        (i32.store (i32.const 8192) (i32.add (i32.const 1) (i32.load (i32.const 8192))))
        (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 2)) (then {more}))
        (local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 4096) (i32.const 1))
        (call $complete (local.get $stream))"
    );
    GuestFile::new(guests::handler_and(&format!("{METHOD} {}", guests::WAITING), "", &body))
}

fn restored(guest: &GuestFile, options: &[&str]) -> Server {
    let server =
        programs!().ours_with_guest(&guest.path, &[&["--env", "A=1", "--timeout", "1"], options].concat());
    let line = server.wait_for_error(|line| line.starts_with("Running "));
    assert!(line.ends_with("in instances that are restored after each request"), "{line}");
    server
}

/// What the guest finds in its first request, where there can be no marks.
fn unmarked(server: &Server) -> Vec<u8> {
    let response = server.get("/");
    assert_eq!((response.status, response.body.len()), (200, 48));
    let word = |at: usize| u32::from_le_bytes(response.body[at..at + 4].try_into().unwrap());
    assert_eq!(
        [word(12), word(16), word(40), word(44)],
        [1, 7, 32_768, 0],
        "pages, global, allocator, last byte"
    );
    response.body
}

#[test]
fn no_request_finds_what_others_have_left() {
    let guest = marking("");
    let server = restored(&guest, &["--max-instances", "2"]);
    let first = unmarked(&server);
    let mut client = server.connect();
    for request in 0..400 {
        let method = if request % 3 == 0 { "POST" } else { "GET" };
        let response = client.request(method, "/", &[]);
        assert_eq!((response.status, &response.body), (200, &first), "request {request}");
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.connect();
                for _ in 0..100 {
                    assert_eq!(client.request("GET", "/", &[]).body, first);
                }
            });
        }
    });
    let errors = server.errors();
    assert!(errors.iter().all(|line| line.starts_with("guest stdout [")), "{errors:#?}");
    let lines = server.guest_lines();
    // A POST has the guest leave its marks twice.
    let is_of_one_request = |line: &str| matches!(line, "guest stdout: half" | "guest stdout: halfhalf");
    assert!(lines.iter().all(|line| is_of_one_request(line)), "{lines:#?}");
}

/// What ends an instance, with the status of the answer, and whether an instance that is reused as it is left ends too.
const ENDS: [(&str, u16, bool); 8] = [
    ("unreachable", 500, true),
    ("(loop $forever (br $forever))", 500, true),
    ("(call $say (i32.const 0) (i32.const 0) (i32.const 0))", 500, true),
    ("(call $environment (i32.const 65533))", 500, true),
    ("(drop (i32.load (i32.const 65536)))", 500, true),
    ("(drop (memory.grow (i32.const 1)))", 200, false),
    ("(drop (memory.grow (i32.const 65000)))", 200, true),
    (
        "(loop $more
            (drop (call $fields))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $count) (i32.const 600))))",
        200,
        true,
    ),
];

#[test]
fn after_a_failure_the_next_request_finds_nothing() {
    for (more, status, _) in ENDS {
        let guest = marking(more);
        let server = restored(&guest, &["--max-instances", "1"]);
        let first = unmarked(&server);
        for _ in 0..3 {
            let mut client = server.connect();
            assert_eq!(client.request("POST", "/", &[]).status, status, "{more}");
            for _ in 0..3 {
                assert_eq!(server.get("/").body, first, "{more}");
            }
        }
    }
}

#[test]
fn an_instance_that_has_failed_is_not_used_again() {
    for (more, status, ends) in ENDS {
        let guest = counting(more);
        let options = ["--timeout", "1", "--reuse", "1000", "--max-instances", "1"];
        let server = programs!().ours_with_guest(&guest.path, &options);
        server.wait_for_error(|line| line.starts_with("Running ") && line.contains(" directly, "));
        let counts = |count: usize| (0..count).map(|_| server.get("/").text().to_owned()).collect::<String>();
        assert_eq!(counts(3), "012");
        assert_eq!(server.connect().request("POST", "/", &[]).status, status, "{more}");
        assert_eq!(counts(3), if ends { "012" } else { "456" }, "{more}");
    }
}

#[test]
fn an_instance_whose_client_has_left_is_not_used_again() {
    // For a POST, the guest waits for an hour.
    let guest = counting("(call $block (call $after (i64.const 3600000000000)))");
    for (options, expected) in [(&["--reuse", "1000"][..], "012"), (&[], "000")] {
        let options = [&["--timeout", "30", "--max-instances", "1"], options].concat();
        let server = programs!().ours_with_guest(&guest.path, &options);
        for _ in 0..3 {
            let mut client = server.connect();
            client.send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(client);
            let counts: String = (0..3).map(|_| server.get("/").text().to_owned()).collect();
            assert_eq!(counts, expected);
        }
    }
}
