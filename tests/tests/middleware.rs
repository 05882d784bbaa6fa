//! Components before the guest (`--middleware`): each has its own grants and its own sandbox, and what they pass on is neither
//! read nor copied.

use std::io::Write as _;
use std::path::Path;
use tests::guests::{self, BASIC_AUTH, GuestFile, HEADER_STAMP, REQUEST_LOGGER};
use tests::{Response, Server, Site, programs};

/// The value of `--middleware` for a file with these grants.
fn option(file: &GuestFile, grants: &str) -> String {
    format!("--middleware={}{grants}", file.path.display())
}

/// A server of files behind these middlewares.
fn files_behind(site: &Site, middlewares: &[String]) -> Server {
    let options: Vec<_> = middlewares.iter().map(String::as_str).collect();
    programs!().ours(site, &options)
}

/// A server of a guest behind these middlewares.
fn guest_behind(guest: &GuestFile, middlewares: &[String]) -> Server {
    let options: Vec<_> = middlewares.iter().map(String::as_str).collect();
    programs!().ours_with_guest(&guest.path, &options)
}

/// Imports of a middleware of WASI 0.2.
const NEXT: &str = r#"(import "wasi:http/incoming-handler@0.2.12" "handle" (func $next (param i32 i32)))"#;

/// A middleware of WASI 0.2 whose handler has this body.
fn passing(imports: &str, body: &str) -> GuestFile {
    GuestFile::new(guests::middleware_with(&format!("{NEXT}{imports}"), body))
}

/// A middleware of WASI 0.2 that passes everything on.
fn passing_on() -> GuestFile {
    passing("", "(call $next (local.get $request) (local.get $out))")
}

#[test]
fn basic_auth_lets_those_in_who_know_a_password() {
    let site = Site::new();
    site.file("a.txt", "content");
    let auth = GuestFile::new(BASIC_AUTH);
    let server = files_behind(&site, &[option(&auth, ",env=USERS=ann:secret,bob:p:w")]);
    let refused = server.get("/a.txt");
    assert_eq!((refused.status, refused.text()), (401, ""));
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"this site\", charset=\"UTF-8\""));
    let with = |field: &str| server.get_with("/a.txt", &[("Authorization", field)]);
    for right in ["Basic YW5uOnNlY3JldA==", "basic  Ym9iOnA6dw=="] {
        let response = with(right);
        assert_eq!((response.status, response.text()), (200, "content"), "{right}");
    }
    for wrong in ["Basic YW5uOnNlY3JldB==", "Basic YW5uOnNlY3JldA", "Basic", "Bearer YW5uOnNlY3JldA==", ""] {
        assert_eq!(with(wrong).status, 401, "{wrong}");
    }
    let twice = [("Authorization", "Basic YW5uOnNlY3JldA=="), ("Authorization", "Basic YW5uOnNlY3JldA==")];
    assert_eq!(server.get_with("/a.txt", &twice).status, 401);
}

#[test]
fn a_middleware_that_lacks_its_settings_says_so() {
    let site = Site::new();
    let auth = GuestFile::new(BASIC_AUTH);
    let server = files_behind(&site, &[option(&auth, "")]);
    assert_eq!(server.get("/").status, 500);
    let line = server.wait_for_error(|line| line.contains("USERS"));
    let start = format!("the middleware `{}` did not answer GET / ", auth.path.display());
    assert!(line.contains(&start), "{line}");
}

#[test]
fn header_stamp_changes_nothing_but_fields() {
    let site = Site::new();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    site.file("a.bin", &content);
    site.file("small.txt", "content");
    let stamp = GuestFile::new(HEADER_STAMP);
    let plain = programs!().ours(&site, &[]);
    let stamped = files_behind(&site, &[option(&stamp, ",env=X-Stamp=a, b,env=Server=mine")]);
    let etag = plain.get("/a.bin").header("etag").unwrap().to_owned();
    for (method, target, fields) in [
        ("GET", "/a.bin", &[][..]),
        ("GET", "/small.txt", &[]),
        ("HEAD", "/a.bin", &[]),
        ("GET", "/a.bin", &[("Range", "bytes=100000-999999")]),
        ("GET", "/a.bin", &[("Range", "bytes=0-9,100000-299999")]),
        ("GET", "/a.bin", &[("Range", "bytes=9999999-")]),
        ("GET", "/a.bin", &[("If-None-Match", etag.as_str())]),
        ("GET", "/nothing", &[]),
        ("OPTIONS", "*", &[]),
        ("POST", "/a.bin", &[]),
    ] {
        println!("{method} {target} {fields:?}");
        let expected = plain.connect().request(method, target, fields);
        let response = stamped.connect().request(method, target, fields);
        assert_eq!(response.status, expected.status);
        assert!(response.complete);
        let boundary = |response: &Response| {
            let content_type = response.header("content-type")?;
            content_type.split_once("boundary=").map(|(_, boundary)| boundary.to_owned())
        };
        if boundary(&expected).is_none() {
            assert!(response.body == expected.body, "{} bytes", response.body.len());
        }
        assert_eq!(response.body.len(), expected.body.len());
        assert_eq!(response.header("content-length"), expected.header("content-length"));
        assert_eq!(response.header("x-stamp"), Some("a, b"));
    }
    assert_eq!(stamped.errors(), <[String; 0]>::default());
}

#[test]
fn a_file_passes_middlewares_without_an_instance_being_held() {
    let site = Site::new();
    site.file("big.bin", vec![7; 64 << 20]);
    let stamp = GuestFile::new(HEADER_STAMP);
    let passing = passing_on();
    let both = [option(&stamp, ",env=X-A=1"), option(&passing, "")];
    let server = programs!().ours(&site, &[&both[0], &both[1], "--max-instances=1"]);
    let mut slow: Vec<_> = (0..4)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let head = client.head();
            assert_eq!((head.status, head.header("x-a")), (200, Some("1")));
            client
        })
        .collect();
    for client in &mut slow {
        assert!(client.read(1 << 20).iter().all(|byte| *byte == 7));
    }
}

#[test]
fn request_logger_prints_a_line_for_each_request() {
    let site = Site::new();
    site.file("a.txt", "content");
    let logger = GuestFile::new(REQUEST_LOGGER);
    let server = files_behind(&site, &[option(&logger, "")]);
    assert_eq!(server.get("/a.txt?b").text(), "content");
    assert_eq!(server.connect().request("DELETE", "/x", &[]).status, 405);
    server.wait_for_guest(|line| line.contains("GET /a.txt?b 200 ") && line.ends_with(" us"));
    server.wait_for_guest(|line| line.contains("DELETE /x 405 "));
}

#[test]
fn chains_mix_editions_in_the_order_of_the_flags() {
    let stamp = GuestFile::new(HEADER_STAMP);
    let auth = GuestFile::new(BASIC_AUTH);
    let (first, second) = (passing_on(), passing_on());
    let guest = GuestFile::new(guests::HELLO);
    let server = guest_behind(
        &guest,
        &[
            option(&first, ""),
            option(&auth, ",env=USERS=a:b"),
            option(&second, ""),
            option(&stamp, ",env=X-Stamp=1"),
        ],
    );
    // The stamp stands behind what refuses.
    let refused = server.get("/");
    assert_eq!((refused.status, refused.header("x-stamp")), (401, None));
    let response = server.get_with("/", &[("Authorization", "Basic YTpi")]);
    assert_eq!((response.status, response.text()), (200, "Hello World"));
    assert_eq!(response.header("x-stamp"), Some("1"));
}

#[test]
fn middlewares_stand_before_the_file_server_of_wasi_0_3() {
    let site = Site::new();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    site.file("a.bin", &content);
    let guest = GuestFile::new(&*host::component::BUILT_IN_P3);
    let (stamp, logger, auth) =
        (GuestFile::new(HEADER_STAMP), GuestFile::new(REQUEST_LOGGER), GuestFile::new(BASIC_AUTH));
    let directory = format!("--dir={}", site.root().display());
    let middlewares =
        [option(&logger, ""), option(&stamp, ",env=X-A=1"), option(&auth, ",env=USERS=a:b"), directory];
    let server = guest_behind(&guest, &middlewares);
    let response = server.get_with("/a.bin", &[("Range", "bytes=5-999999"), ("Authorization", "Basic YTpi")]);
    assert_eq!((response.status, response.header("x-a")), (206, Some("1")));
    assert!(response.body == content[5..1_000_000]);
    let refused = server.get("/a.bin");
    assert_eq!((refused.status, refused.header("x-a")), (401, Some("1")));
    server.wait_for_guest(|line| line.contains("GET /a.bin 206 "));
    server.wait_for_guest(|line| line.contains("GET /a.bin 401 "));
    assert_eq!(server.errors().iter().filter(|line| line.contains("error")).count(), 0);
}

#[test]
fn bodies_pass_both_ways_as_they_come() {
    let echo = GuestFile::new(guests::handler_with(
        guests::READING,
        "(local.set $stream (call $respond (local.get $out)))
         (call $consume (local.get $request) (i32.const 80))
         (call $stream-of (i32.load offset=4 (i32.const 80)) (i32.const 96))
         (block $end (loop $more
            (global.set $free (i32.const 32768))
            (call $read (i32.load offset=4 (i32.const 96)) (i64.const 4096) (i32.const 112))
            (br_if $end (i32.load8_u (i32.const 112)))
            (call $print (local.get $stream) (i32.load offset=4 (i32.const 112)) (i32.load offset=8 (i32.const 112))
                (i32.const 48))
            (br $more)))
         (call $complete (local.get $stream))",
    ));
    let stamp = GuestFile::new(HEADER_STAMP);
    let passing = passing_on();
    let server = guest_behind(&echo, &[option(&stamp, ",env=X-A=1"), option(&passing, "")]);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("x-a")), (200, Some("1")));
    for piece in ["one", "two", "three"] {
        // Each is back before the next is sent.
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        client.send(&chunk);
        assert_eq!(client.read(chunk.len()), chunk.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read(5), b"0\r\n\r\n");
    assert_eq!(server.get("/").text(), "");
}

#[test]
fn a_middleware_that_never_passes_on_answers_itself() {
    let site = Site::new();
    site.file("a.txt", "content");
    let answering = passing("", guests::ANSWER);
    let server = files_behind(&site, &[option(&answering, "")]);
    assert_eq!(server.get("/a.txt").text(), "half an answer");
}

#[test]
fn a_trap_is_a_failure_of_its_request() {
    let site = Site::new();
    site.file("a.txt", "content");
    let stamp = GuestFile::new(HEADER_STAMP);
    let trapping = passing("", "unreachable");
    let server = files_behind(&site, &[option(&stamp, ",env=X-A=1"), option(&trapping, "")]);
    for target in ["/a.txt", "/b.txt"] {
        let response = server.get(target);
        assert_eq!((response.status, response.header("x-a")), (500, None));
        let start = format!("the middleware `{}` did not answer GET {target} ", trapping.path.display());
        server.wait_for_error(|line| line.contains(&start));
    }
    // The middleware in front of it did nothing wrong.
    assert_eq!(server.errors().len(), 2);
}

#[test]
fn what_fails_behind_a_middleware_is_told_once() {
    let trapping = GuestFile::new(guests::handler("unreachable"));
    let halting = GuestFile::new(guests::handler(
        "(local.set $stream (call $respond (local.get $out)))
         (call $say (local.get $stream) (i32.const 1024) (i32.const 14))
         unreachable",
    ));
    let (stamp, passing) = (GuestFile::new(HEADER_STAMP), passing_on());
    let middlewares = [option(&passing, ""), option(&stamp, ",env=X-A=1")];
    let server = guest_behind(&trapping, &middlewares);
    assert_eq!(server.get("/").status, 500);
    server.wait_for_error(|line| line.contains("the guest did not answer GET / "));
    assert_eq!(server.errors().len(), 1);

    let server = guest_behind(&halting, &middlewares);
    let response = server.get("/");
    assert!(response.status == 500 || !response.complete, "{response:?}");
    server.wait_for_error(|line| line.starts_with("wasi-httpd: error: the guest "));
    assert_eq!(server.errors().len(), 1);
}

#[test]
fn a_request_whose_body_was_taken_is_not_passed_on() {
    let taking = passing(
        guests::READING,
        "(call $consume (local.get $request) (i32.const 80))
         (call $next (local.get $request) (local.get $out))",
    );
    let guest = GuestFile::new(guests::HELLO);
    let server = guest_behind(&guest, &[option(&taking, "")]);
    assert_eq!(server.get("/").status, 500);
    server.wait_for_error(|line| line.contains("before its body is taken"));
}

#[test]
fn each_component_has_its_own_grants_only() {
    let site = Site::new();
    site.file("a.txt", "content");
    // It answers itself where it is given a directory, and otherwise passes on.
    let looking = passing(
        guests::OPENING,
        &format!(
            "(call $directories (i32.const 16))
             (if (i32.load offset=4 (i32.const 16))
                (then {})
                (else (call $next (local.get $request) (local.get $out))))",
            guests::ANSWER
        ),
    );
    assert_eq!(files_behind(&site, &[option(&looking, "")]).get("/a.txt").text(), "content");
    let other = tempfile::tempdir().unwrap();
    let granted = option(&looking, &format!(",dir={}", other.path().display()));
    assert_eq!(files_behind(&site, &[granted]).get("/a.txt").text(), "half an answer");
}

/// The one line that a server ends with that cannot start.
fn refusal(options: &[&str]) -> String {
    let output = programs!().command().args(options).args(["--addr", "127.0.0.1:0"]).output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("warning")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    line.to_owned()
}

#[test]
fn what_cannot_be_a_middleware_is_refused_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(content).unwrap();
        path
    };
    let refused = |path: &Path, wanted: &str| {
        let line = refusal(&[&format!("--middleware={}", path.display())]);
        assert!(line.contains(wanted), "{line}");
    };
    refused(
        &file("hello.wasm", guests::HELLO),
        "it imports no handler of WASI 0.2, so that it would pass nothing on",
    );
    refused(
        &file("neither.wasm", &guests::neither()),
        "cannot stand before the guest: it exports nothing, and so not ",
    );
    refused(&file("command.wasm", &guests::command("")), "it is a command");
    refused(&file("module.wasm", &guests::preview_1()), "a core module");
    refused(&file("text.wasm", b"(component)"), "it is WebAssembly text");
    refused(&directory.path().join("none.wasm"), "cannot read the middleware ");
    refused(Path::new("a.wasm,grant=all"), "--middleware takes FILE");
    refused(Path::new(""), "--middleware takes FILE");
    refused(Path::new("a.wasm,env=A"), "NAME=VALUE");
    // What it stores is not served.
    let (stamp, served) = (file("stamp.wasm", HEADER_STAMP), directory.path().canonicalize().unwrap());
    let store = format!("--middleware={},keyvalue=a=sqlite:{}/a", stamp.display(), served.display());
    let expected = format!(
        "wasi-httpd: --middleware {},keyvalue=a: {}/a is in {}, which the guest may read and serve; put it elsewhere",
        stamp.display(),
        served.display(),
        directory.path().display()
    );
    assert_eq!(refusal(&[&store, "--dir", directory.path().to_str().unwrap()]), expected);
    let alone = stamp;
    let line = refusal(&[alone.to_str().unwrap()]);
    assert!(line.contains("it imports wasi:http/handler@0.3.0, which is the component behind it"), "{line}");
    assert!(line.contains("--middleware"), "{line}");
}

#[test]
fn a_middleware_is_replaced_by_a_reload_or_stays_as_it_is() {
    let site = Site::new();
    site.file("a.txt", "content");
    let stamp = GuestFile::new(HEADER_STAMP);
    let server = files_behind(&site, &[option(&stamp, ",env=X-A=1")]);
    assert_eq!(server.get("/a.txt").header("x-a"), Some("1"));
    std::fs::write(&stamp.path, "broken").unwrap();
    server.signal("HUP");
    server.wait_for_error(|line| {
        line.contains("nothing was reloaded") && line.contains("it is not WebAssembly")
    });
    assert_eq!(server.get("/a.txt").header("x-a"), Some("1"));
    std::fs::write(&stamp.path, std::fs::read(&passing_on().path).unwrap()).unwrap();
    server.signal("HUP");
    server.wait_for_error(|line| line == "Reloaded 1 site");
    let response = server.get("/a.txt");
    assert_eq!((response.text(), response.header("x-a")), ("content", None));
}

#[test]
fn a_request_that_finds_no_instance_behind_a_middleware_is_told_to_come_back() {
    let waiting = GuestFile::new(guests::begin_and_wait());
    let stamp = GuestFile::new(HEADER_STAMP);
    let limits = ["--max-instances=1", "--queue-timeout=1"].map(str::to_owned);
    let [instances, queue] = limits;
    let server = guest_behind(&waiting, &[option(&stamp, ",env=X-A=1"), instances, queue]);
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The middleware has ended by then, and the guest has not.
    assert_eq!(first.head().status, 200);
    let second = server.get("/");
    assert_eq!((second.status, second.header("retry-after").is_some()), (503, true));
    assert_eq!(server.errors(), <[String; 0]>::default());
}
