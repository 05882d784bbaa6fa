//! Clients behind proxies: the PROXY protocol, `Forwarded` and `X-Forwarded-For`, from whom a flag names.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use tests::guests::{self, GuestFile};
use tests::{Client, Process, Server, Site, programs};

/// A header of version 2 for a connection from this address.
fn version_2(client: Ipv4Addr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&client.octets());
    header.extend_from_slice(&[127, 0, 0, 1, 0x30, 0x39, 0, 80]);
    header
}

const GET: &str = "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "hello");
    site
}

/// Waits for the line of a request with this target, and returns who it is of.
fn peer(server: &Server, target: &str) -> String {
    let line = server.wait_for_log(|line| line.contains(&format!("GET {target} ")));
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_proxy_header_names_the_client() {
    let site = site();
    let server = programs!().ours(&site, &["--proxy-protocol-from", "127.0.0.0/8"]);
    for (at, header, expected) in [
        (1, b"PROXY TCP4 192.0.2.1 127.0.0.1 12345 80\r\n".to_vec(), "192.0.2.1"),
        (2, b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n".to_vec(), "2001:db8::1"),
        (3, b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (4, version_2([198, 51, 100, 7].into()), "198.51.100.7"),
        (5, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
    ] {
        let mut client = server.connect();
        client.send(header);
        // Each request of the connection is of that client.
        for part in ["a", "b"] {
            let target = format!("/a.txt?{at}{part}");
            assert_eq!(client.request("GET", &target, &[]).text(), "hello");
            assert_eq!(peer(&server, &target), expected);
        }
    }
    // However it arrives.
    let mut client = server.connect();
    for byte in version_2([203, 0, 113, 9].into()) {
        client.socket().write_all(&[byte]).unwrap();
    }
    assert_eq!(client.request("GET", "/a.txt?slow", &[]).text(), "hello");
    assert_eq!(peer(&server, "/a.txt?slow"), "203.0.113.9");
}

#[test]
fn without_a_header_the_connection_of_a_proxy_is_closed() {
    let site = site();
    let server = programs!().ours(&site, &["--proxy-protocol-from", "127.0.0.1", "--head-timeout", "1"]);
    for request in [GET.as_bytes(), b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01", b"PROXY ", b""] {
        let mut client = server.connect();
        client.try_send(request);
        assert!(client.is_closed(), "{request:?}");
    }
    server.wait_for_error(|line| {
        line == "wasi-httpd: warning: 127.0.0.1 is named by --proxy-protocol-from, and has sent no PROXY header: its \
                 connection was closed"
    });
    // It can still be shut down while it waits for a header.
    let _silent = server.connect();
    server.signal("TERM");
    let (status, log, _) = server.wait();
    assert_eq!((status.code(), log), (Some(0), vec![]));
}

#[test]
fn a_header_from_another_peer_is_a_400() {
    let site = site();
    let server = programs!().ours(&site, &["--proxy-protocol-from", "192.0.2.1"]);
    for header in [b"PROXY TCP4 192.0.2.1 127.0.0.1 12345 80\r\n".to_vec(), version_2([192, 0, 2, 1].into())]
    {
        let mut client = server.connect();
        client.send(&header).try_send(GET);
        let response = client.response("GET");
        let text = "400 Bad Request: it begins with a PROXY header, and --proxy-protocol-from does not name who sends it.\n";
        assert_eq!((response.status, response.text()), (400, text));
        assert!(client.is_closed());
    }
    server.wait_for_log(|line| line.starts_with("127.0.0.1 ") && line.contains("\"PROXY TCP4 192.0.2.1 "));
    server.wait_for_log(|line| line.starts_with("127.0.0.1 ") && line.contains(r#""\x00" 400 "#));
    server.wait_for_error(|line| {
        line == "wasi-httpd: warning: 127.0.0.1 has sent a PROXY header and gets a 400; --proxy-protocol-from 127.0.0.1 \
                 accepts it"
    });
    // Others need none.
    assert_eq!(server.get("/a.txt").text(), "hello");
}

#[test]
fn x_forwarded_for_is_read_from_its_end() {
    let site = site();
    let flags = ["--x-forwarded-from", "127.0.0.1", "--x-forwarded-from", "10.0.0.0/8"];
    let server = programs!().ours(&site, &flags);
    let mut client = server.connect();
    for (at, value, expected) in [
        (1, "192.0.2.1", "192.0.2.1"),
        (2, "127.0.0.1, 198.51.100.1, 192.0.2.2, 10.0.0.9", "192.0.2.2"),
        (3, "unknown", "127.0.0.1"),
        (4, "2001:db8::1", "2001:db8::1"),
        (5, "\"; DROP TABLE", "127.0.0.1"),
    ] {
        let target = format!("/a.txt?{at}");
        assert_eq!(client.request("GET", &target, &[("X-Forwarded-For", value)]).text(), "hello");
        assert_eq!(peer(&server, &target), expected, "{value}");
    }
    // A connection of a proxy has requests of many clients.
    assert_eq!(client.request("GET", "/a.txt?none", &[]).text(), "hello");
    assert_eq!(peer(&server, "/a.txt?none"), "127.0.0.1");
    // The other field is the client's own.
    client.request("GET", "/a.txt?other", &[("Forwarded", "for=192.0.2.7")]);
    assert_eq!(peer(&server, "/a.txt?other"), "127.0.0.1");
}

#[test]
fn what_others_forward_is_not_believed() {
    let site = site();
    let server = programs!().ours(&site, &["--x-forwarded-from", "192.0.2.1", "--forwarded-from", "unix"]);
    let fields = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1;host=\"")];
    assert_eq!(server.get_with("/a.txt?1", &fields).status, 200);
    assert_eq!(peer(&server, "/a.txt?1"), "127.0.0.1");
}

/// A guest that answers with the scheme and the authority of the request.
fn echo() -> GuestFile {
    let imports = r#"
        (import "wasi:http/types@0.2.12" "[method]incoming-request.authority" (func $authority (param i32 i32)))
        (import "wasi:http/types@0.2.12" "[method]incoming-request.scheme" (func $scheme (param i32 i32)))"#;
    let definitions = r#"(data (i32.const 3000) "http https ")"#;
    let body = "
        (local.set $stream (call $respond (local.get $out)))
        (call $scheme (local.get $request) (i32.const 96))
        (if (i32.eqz (i32.load8_u offset=4 (i32.const 96)))
            (then (call $say (local.get $stream) (i32.const 3000) (i32.const 5)))
            (else (call $say (local.get $stream) (i32.const 3005) (i32.const 6))))
        (call $authority (local.get $request) (i32.const 112))
        (call $say (local.get $stream)
            (i32.load offset=4 (i32.const 112)) (i32.load offset=8 (i32.const 112)))
        (call $complete (local.get $stream))";
    GuestFile::new(guests::handler_and(imports, definitions, body))
}

#[test]
fn a_guest_gets_the_scheme_and_the_authority_that_the_client_used() {
    let guest = echo();
    let server =
        programs!().ours_with_guest(&guest.path, &["--forwarded-from", "127.0.0.1", "--allow-name", "*"]);
    let asked = |forwarded: &str| server.get_with("/", &[("Forwarded", forwarded)]).text().to_owned();
    assert_eq!(asked("for=192.0.2.1"), "http localhost");
    assert_eq!(asked("for=192.0.2.1;proto=https"), "https localhost");
    assert_eq!(asked("for=192.0.2.1;proto=https;host=www.example.com"), "https www.example.com");
    assert_eq!(asked("for=6.6.6.6;host=evil.example, for=192.0.2.1"), "http localhost");
}

#[test]
fn a_host_that_is_forwarded_is_checked_like_one_that_is_sent() {
    let site = site();
    let server =
        programs!().ours(&site, &["--forwarded-from", "127.0.0.1", "--allow-name", "www.example.com"]);
    let status = |forwarded: &str| server.get_with("/a.txt", &[("Forwarded", forwarded)]).status;
    assert_eq!(status("for=192.0.2.1;host=www.example.com"), 200);
    assert_eq!(status("for=192.0.2.1;host=evil.example"), 421);
    assert_eq!(status("for=192.0.2.1;host=\"a b\""), 400);
    assert_eq!(status("for=\"192.0.2.1"), 400);
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\nForwarded: host=localhost\r\n\r\n");
    assert_eq!(client.response("GET").status, 400);
}

#[test]
fn a_proxy_at_a_unix_socket_is_named_as_unix() {
    let site = site();
    let socket = site.outside().join("http.sock");
    for (flag, before, field) in [
        ("--x-forwarded-from", "", "X-Forwarded-For: 192.0.2.1\r\n"),
        ("--forwarded-from", "", "Forwarded: for=192.0.2.1\r\n"),
        ("--proxy-protocol-from", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ""),
    ] {
        let mut command = programs!().command();
        command.arg("--addr").arg(format!("unix:{}", socket.display())).args([flag, "unix"]);
        let server = Process::start(command.arg("--dir").arg(site.root()).stdin(Stdio::null()));
        server.wait_for_error(|line| line.starts_with("Listening on unix:"));
        let mut client = Client::connect_unix(&socket);
        client.send(format!("{before}GET /a.txt HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"));
        assert_eq!(client.response("GET").text(), "hello", "{flag}");
        server.wait_for_output(|line| line.starts_with("192.0.2.1 - - "));
        server.signal("TERM");
        server.wait();
    }
}

/// The two ways together: a balancer speaks the PROXY protocol for a proxy that forwards.
#[test]
fn who_forwards_is_the_peer_that_the_header_names() {
    let site = site();
    let flags = ["--proxy-protocol-from", "127.0.0.1", "--x-forwarded-from", "10.0.0.1"];
    let server = programs!().ours(&site, &flags);
    for (at, from, expected) in [(1, [10, 0, 0, 1], "192.0.2.1"), (2, [10, 0, 0, 2], "10.0.0.2")] {
        let target = format!("/a.txt?{at}");
        let mut client = server.connect();
        client.send(version_2(from.into()));
        client.request("GET", &target, &[("X-Forwarded-For", "192.0.2.1")]);
        assert_eq!(peer(&server, &target), expected);
    }
}

#[test]
fn wrong_flags_are_one_line() {
    for (arguments, words) in [
        (
            &["--proxy-protocol-from", "localhost"][..],
            "--proxy-protocol-from takes an address, a network or `unix`",
        ),
        (&["--forwarded-from", "10.0.0.0/33"], "such as 192.0.2.1 or 10.0.0.0/8, not `10.0.0.0/33`"),
        (&["--x-forwarded-from", "127.0.0.1", "--forwarded-from", "127.0.0.0/8"], "both name 127.0.0.0/8"),
    ] {
        let output = programs!().command().args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

/// Two addresses on this machine are two peers.
#[test]
fn a_flag_names_one_address_and_no_other() {
    let site = site();
    let server = programs!().ours(&site, &["--x-forwarded-from", "127.0.0.2"]);
    for (at, from, expected) in [(1, [127, 0, 0, 1], "127.0.0.1"), (2, [127, 0, 0, 2], "192.0.2.1")] {
        let target = format!("/a.txt?{at}");
        let mut client = Client::connect_from(SocketAddr::from((from, 0)), server.address());
        client.request("GET", &target, &[("X-Forwarded-For", "192.0.2.1")]);
        assert_eq!(peer(&server, &target), expected);
    }
}

/// Answers with the field `client-address` of the request, or with how many there are.
fn address() -> GuestFile {
    GuestFile::new(guests::handler_and(
        r#"(import "wasi:http/types@0.2.12" "[method]incoming-request.headers" (func $headers (param i32) (result i32)))
           (import "wasi:http/types@0.2.12" "[method]fields.get" (func $get (param i32 i32 i32 i32)))"#,
        r#"(data (i32.const 3072) "client-address")"#,
        "(local.set $stream (call $respond (local.get $out)))
         (call $get (call $headers (local.get $request)) (i32.const 3072) (i32.const 14) (i32.const 80))
         (local.set $count (i32.load offset=4 (i32.const 80)))
         (if (i32.eq (local.get $count) (i32.const 1))
            (then (call $say (local.get $stream)
                (i32.load (i32.load (i32.const 80))) (i32.load offset=4 (i32.load (i32.const 80)))))
            (else
                (i32.store8 (i32.const 3200) (i32.add (i32.const 48) (local.get $count)))
                (call $say (local.get $stream) (i32.const 3200) (i32.const 1))))
         (call $complete (local.get $stream))",
    ))
}

#[test]
fn components_are_told_the_address_and_nothing_that_a_client_makes_up() {
    let guest = address();
    let forged = [("Client-Address", "192.0.2.1"), ("client-address", "192.0.2.2")];
    let proxied = [("X-Forwarded-For", "2001:db8::7"), ("Client-Address", "192.0.2.1")];
    for executor in ["auto", "component"] {
        let flags = ["--executor", executor, "--x-forwarded-from", "127.0.0.1"];
        let server = programs!().ours_with_guest(&guest.path, &flags);
        assert_eq!((server.get("/").text(), server.get_with("/", &forged).text()), ("0", "2"));
        let told = [&flags[..], &["--client-address", "Client-Address"]].concat();
        let server = programs!().ours_with_guest(&guest.path, &told);
        for (fields, expected) in [(&[][..], "127.0.0.1"), (&forged, "127.0.0.1"), (&proxied, "2001:db8::7")]
        {
            assert_eq!(server.get_with("/", fields).text(), expected);
            let mut client = tests::http2::Http2::connect(server.address());
            assert_eq!(client.request("GET", "/", fields).text(), expected);
        }
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("socket");
    let unix = format!("unix:{}", path.display());
    let server =
        programs!().ours_with_guest(&guest.path, &["--addr", &unix, "--client-address", "Client-Address"]);
    assert_eq!(Client::connect_unix(&path).request("GET", "/", &forged).text(), "unix");
    drop(server);
}

#[test]
fn the_address_has_a_field_of_its_own() {
    for field in ["Host", "Content-Length", "a b"] {
        let output =
            programs!().command().args(["--client-address", field]).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("--client-address takes the name of a field") && text.contains(field),
            "{text}"
        );
    }
}
