//! HTTP over TLS: handshakes, and what is sent over a connection. `TESTS_OVER_TLS=1` runs the other suites over TLS, too.

use rustix::net::sockopt::set_socket_linger;
use rustls::{HandshakeKind, ProtocolVersion, version};
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;
use tests::client::connect;
use tests::guests::{self, GuestFile};
use tests::site::{Site, noise};
use tests::tls::{Authority, Clients, Files};
use tests::{Client, Server, programs};

/// A server that speaks TLS as `localhost`, and the authority that says so.
fn server(site: &Site, options: &[&str]) -> (Server, Authority) {
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let options: Vec<_> = files.flags().into_iter().chain(options.iter().copied()).collect();
    let server = programs!().ours(site, &options).with_clients(authority.clients());
    (server, authority)
}

/// A server with another guest.
fn server_with_guest(guest: &GuestFile, site: &Site, options: &[&str]) -> Server {
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let options: Vec<_> = files.flags().into_iter().chain(options.iter().copied()).collect();
    programs!().ours_with_guest(&guest.path, &options).with_clients(authority.clients())
}

#[test]
fn files_arrive_as_they_are_whatever_their_length() {
    let site = Site::new();
    // Around a record, around what is read at once, around what is sent as a range of a file.
    let lengths = [0, 1, 16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 65_537, 3_000_001];
    for length in lengths {
        site.file(&format!("{length}.bin"), noise(length));
    }
    let (server, _) = server(&site, &[]);
    server.wait_for_error(|line| line == format!("Listening on https://{}/", server.address()));
    let mut client = server.connect();
    for length in lengths {
        let response = client.request("GET", &format!("/{length}.bin"), &[]);
        assert!(
            (response.status, response.complete) == (200, true) && response.body == noise(length),
            "{length}"
        );
        let head = client.request("HEAD", &format!("/{length}.bin"), &[]);
        assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
    }
    let content = noise(3_000_001);
    let range = client.request("GET", "/3000001.bin", &[("range", "bytes=70000-2999999")]);
    assert!(range.status == 206 && range.body == content[70_000..3_000_000]);
    let several = client.request("GET", "/3000001.bin", &[("range", "bytes=0-99999,200000-399999")]);
    assert_eq!(several.status, 206);
    let parts = [&content[..100_000], &content[200_000..400_000]];
    assert!(parts.iter().all(|part| several.body.windows(part.len()).any(|window| window == *part)));
}

#[test]
fn requests_are_pipelined_and_the_connection_ends_in_order() {
    let site = Site::new();
    let content = noise(200_000);
    site.file("big.bin", &content).file("a.txt", "a");
    let (server, _) = server(&site, &[]);
    let mut client = server.connect();
    let request = |name: &str| format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n");
    client.send(format!("{0}\r\n{1}\r\n{0}Connection: close\r\n\r\n", request("big.bin"), request("a.txt")));
    assert!(client.response("GET").body == content);
    assert_eq!(client.response("GET").text(), "a");
    assert!(client.response("GET").body == content);
    assert!(client.is_closed(), "by close_notify");
    // HTTP/1.0 has no other end of such a body.
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    assert_eq!(client.response("GET").text(), "a");
    assert!(client.is_closed());
}

#[test]
fn a_client_that_has_finished_sending_gets_its_answer() {
    let site = Site::new();
    let content = noise(1_000_000);
    site.file("big.bin", &content);
    let (server, _) = server(&site, &[]);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").finish_sending();
    let response = client.response("GET");
    assert!(response.complete && response.body == content);
    assert!(client.is_closed(), "by close_notify");
    // Some clients only end the connection below TLS.
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    rustix::net::shutdown(client.socket(), rustix::net::Shutdown::Write).unwrap();
    assert!(client.response("GET").body == content);
}

#[test]
fn both_versions_are_spoken_and_sessions_are_resumed() {
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, authority) = server(&site, &[]);
    for (version, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let clients = authority.clients_of(&[version]);
        let kinds = [(); 3].map(|()| {
            let connection = clients.begin(connect(server.address())).unwrap();
            let session = connection.session();
            assert_eq!(session.protocol_version(), Some(expected));
            assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
            let kind = session.handshake_kind().unwrap();
            // The tickets of TLS 1.3 come with the first answer.
            assert_eq!(Client::over_tls(connection).request("GET", "/a.txt", &[]).text(), "a");
            kind
        });
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 2], "{version:?}");
        assert_ne!(kinds[0], HandshakeKind::Resumed);
    }
}

#[test]
fn the_protocol_after_the_handshake_is_agreed_on() {
    /// What clients of HTTP/2 begin with: the preface, and settings that leave everything as it is (RFC 9113 §3.4, §6.5).
    const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let site = Site::new();
    let (server, authority) = server(&site, &[]);
    let begin =
        |protocols: &[&[u8]]| authority.clients().speaking(protocols).begin(connect(server.address()));
    for (offered, agreed) in [
        (&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])),
        (&[b"http/1.1", b"http/1.0"], Some(b"http/1.1")),
        (&[], None),
    ] {
        assert_eq!(begin(offered).unwrap().session().alpn_protocol(), agreed);
    }
    let error = begin(&[b"imap"]).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let mut connection = begin(&[b"h2"]).unwrap();
    connection.write_all(BEGINNING).unwrap();
    let mut frame = [0; 9];
    connection.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "SETTINGS: {frame:?}");
    // A client that agrees on it and speaks HTTP/1.1 gets no answer in HTTP/1.1.
    let mut connection = begin(&[b"h2"]).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut received = Vec::new();
    let _ = connection.read_to_end(&mut received);
    assert!(!received.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&received));
}

#[test]
fn an_answer_that_is_cut_short_ends_without_close_notify() {
    let site = Site::new();
    // Sends a head and the beginning of a body, and traps a little later.
    let body = "(local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
        (call $block (call $after (i64.const 200000000))) unreachable";
    let guest = GuestFile::new(guests::handler_with(guests::WAITING, body));
    let server = server_with_guest(&guest, &site, &[]);
    for version in ["1.0", "1.1"] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        let error = client.reader().read_to_end(&mut Vec::new()).unwrap_err();
        let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{version}: {error}");
    }
}

#[test]
fn a_file_that_has_become_shorter_cuts_the_answer_short() {
    let site = Site::new();
    site.file("big.bin", noise(64 << 20));
    let (server, _) = server(&site, &[]);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    std::fs::OpenOptions::new().write(true).open(site.path("big.bin")).unwrap().set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    let error = client.reader().read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    server.wait_for_error(|line| {
        line.contains("GET /big.bin [") && line.contains("] was cut short: a file has become shorter")
    });
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let site = Site::new();
    let length = 64 << 20;
    site.file("big.bin", noise(length));
    let (server, _) = server(&site, &["--stall-timeout", "1"]);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /big.bin?{at} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.head().status, 200);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        // The line is written when the answer is over.
        server.wait_for_log(|line| line.contains(&format!("/big.bin?{at} ")));
        let error = client.reader().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "what was not delivered is gone");
    }
    assert_eq!(server.get("/missing").status, 404);
}

#[test]
fn a_client_that_leaves_ends_its_instance() {
    let body = "(local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream) (i32.const 1024) (i32.const 4))
        (call $block (call $after (i64.const 3600000000000)))";
    let site = Site::new();
    let guest = GuestFile::new(guests::handler_with(guests::WAITING, body));
    let server = server_with_guest(&guest, &site, &["--max-instances", "1"]);
    let reset = |client: Client| set_socket_linger(client.socket(), Some(Duration::ZERO)).unwrap();
    for leave in [drop, reset, drop] {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // There is one instance: the client before has to be gone.
        assert_eq!(client.head().status, 200);
        leave(client);
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn clear_http_at_a_tls_port_is_told_so() {
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, _) = server(&site, &[]);
    let mut client = Client::connect(server.address());
    let response = client.request("GET", "/a.txt", &[]);
    assert_eq!((response.status, response.header("connection")), (400, Some("close")));
    assert_eq!(response.text(), "400 Bad Request: this port speaks TLS; use https: instead of http:.\n");
    assert!(client.is_closed());
    server.wait_for_log(|line| line.contains("\"GET /a.txt HTTP/1.1\" 400 68 "));
    // What is neither is answered as at any port.
    let response = Client::connect(server.address()).send("\0\0\r\n\r\n").response("GET");
    assert_eq!(response.status, 400);
}

#[test]
fn tls_at_a_clear_port_gets_an_alert() {
    let site = Site::new();
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    // Not by `ours`, which would speak TLS where all suites do.
    let process = tests::Process::start(command.stdin(std::process::Stdio::null()));
    let line = process.wait_for_error(|line| line.starts_with("Listening on http://"));
    let address = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    let error = Authority::new().clients().begin(connect(address)).unwrap_err();
    assert!(error.to_string().contains("HandshakeFailure"), "{error}");
    let log = process.wait_for_output(|line| line.contains("\"-\" 400 - "));
    assert!(!log.contains("\\x"), "{log}");
}

#[test]
fn a_handshake_that_does_not_go_on_is_ended() {
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, _) = server(&site, &["--head-timeout", "1"]);
    // Nothing, half of a record, and a record that is no client's first.
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"] {
        let mut stream = connect(server.address());
        stream.write_all(start).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest[0] == 21, "an alert, if anything: {rest:?}");
    }
    assert_eq!(server.get("/a.txt").text(), "a");
}

#[test]
fn a_client_that_trickles_records_is_idle() {
    let site = Site::new();
    let (server, authority) = server(&site, &["--idle-timeout", "2"]);
    let connection = authority.clients().begin(connect(server.address())).unwrap();
    let mut socket = connection.socket();
    // The beginning of a record of application data, byte by byte: there is no request, however long that goes on.
    for byte in [23, 3, 3, 0x40].into_iter().chain(std::iter::repeat(0)) {
        if socket.write_all(&[byte]).is_err() {
            break;
        }
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        match socket.read(&mut [0; 1024]) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            _ => {}
        }
    }
}

#[test]
fn a_server_that_stops_finishes_answers_and_waits_for_no_handshake() {
    let site = Site::new();
    let content = noise(64 << 20);
    site.file("big.bin", &content);
    let (server, _) = server(&site, &[]);
    let mut idle = server.connect();
    assert_eq!(idle.request("HEAD", "/big.bin", &[]).status, 200);
    let mut silent = connect(server.address());
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head();
    server.signal("TERM");
    assert_eq!(silent.read(&mut [0]).unwrap_or_default(), 0);
    assert!(idle.is_closed(), "by close_notify");
    assert!(client.read(content.len()) == content);
    assert!(client.is_closed(), "by close_notify");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn the_scheme_reaches_the_guest_and_the_checks() {
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, _) = server(&site, &[]);
    let absolute = |scheme: &str| {
        let mut client = server.connect();
        client.send(format!("GET {scheme}://localhost/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client.response("GET")
    };
    assert_eq!(absolute("https").text(), "a");
    let response = absolute("http");
    assert_eq!(response.status, 421);
    assert_eq!(response.text(), "421 Misdirected Request: this server answers for https: here.\n");
}

#[test]
fn a_certificate_for_this_machine_is_made_once() {
    let site = Site::new();
    site.file("a.txt", "a");
    let data = site.outside().join("data");
    let start = || {
        let mut command = programs!().command();
        command.args(["--tls-dev", "--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
        command.env("XDG_DATA_HOME", &data).stdin(std::process::Stdio::null());
        let process = tests::Process::start(&mut command);
        let line = process.wait_for_error(|line| line.starts_with("Listening on https://"));
        let address = line.trim_start_matches("Listening on https://").trim_end_matches('/').parse().unwrap();
        let about = process.wait_for_error(|line| line.starts_with("Certificate for localhost in "));
        let clients = Clients::trusting(&data.join("wasi-httpd/localhost.pem"));
        for name in ["localhost", "127.0.0.1", "::1"] {
            let mut client = Client::connect_over_tls(address, &clients.asking_for(name));
            assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
        }
        about
    };
    let first = start();
    assert_eq!(start(), first);
    let (_, fingerprint) = first.split_once("SHA-256 ").unwrap();
    assert_eq!(fingerprint.split(':').count(), 32, "{first}");
}
