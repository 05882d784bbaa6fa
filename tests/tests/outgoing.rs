//! Requests that a guest sends: only to the hosts that `--allow-host` names. Those to a real server are to Debian's nginx.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use tests::guests::{self, GuestFile};
use tests::process::{Process, eventually};
use tests::tls::{Authority, Files};
use tests::{Server, programs};

/// A guest that requests `/x` from this authority, and answers `had an answer` or `had none`.
fn asking(authority: &str) -> GuestFile {
    asking_by("http", authority)
}

/// The same by this scheme.
fn asking_by(scheme: &str, authority: &str) -> GuestFile {
    let length = authority.len();
    let scheme = u8::from(scheme == "https");
    GuestFile::new(guests::component(
        "guest",
        &format!(
            r#"(module
            (import "wasi:http/types@0.2.12" "[constructor]outgoing-request"
                (func $new-request (param i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-scheme"
                (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-authority"
                (func $set-authority (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-path-with-query"
                (func $set-path (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/outgoing-handler@0.2.12" "handle" (func $send (param i32 i32 i32 i32)))
            (import "wasi:http/types@0.2.12" "[method]future-incoming-response.subscribe"
                (func $subscribe (param i32) (result i32)))
            (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:http/types@0.2.12" "[method]future-incoming-response.get"
                (func $get (param i32 i32)))
            {prelude}
            (data (i32.const 3072) "{authority}")
            (data (i32.const 3200) "/x")
            (data (i32.const 3216) "had an answer")
            (data (i32.const 3232) "had none")
            ;; Whether the request was answered.
            (func $ask (result i32) (local $request i32) (local $future i32)
                (local.set $request (call $new-request (call $fields)))
                (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const {scheme}) (i32.const 0) (i32.const 0)))
                (if (call $set-authority (local.get $request) (i32.const 1) (i32.const 3072) (i32.const {length}))
                    (then unreachable))
                (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 3200) (i32.const 2)))
                (call $send (local.get $request) (i32.const 0) (i32.const 0) (i32.const 128))
                (if (i32.load8_u (i32.const 128)) (then (return (i32.const 0))))
                (local.set $future (i32.load offset=8 (i32.const 128)))
                (call $block (call $subscribe (local.get $future)))
                (call $get (local.get $future) (i32.const 128))
                (i32.eqz (i32.load8_u offset=16 (i32.const 128))))
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $in i32) (param $out i32)
                (local $answered i32) (local $stream i32)
                (local.set $answered (call $ask))
                (local.set $stream (call $respond (local.get $out)))
                (if (local.get $answered)
                    (then (call $say (local.get $stream) (i32.const 3216) (i32.const 13)))
                    (else (call $say (local.get $stream) (i32.const 3232) (i32.const 8))))
                (call $complete (local.get $stream))))"#,
            prelude = guests::PRELUDE,
        ),
    ))
}

/// Starts a server that answers one request. Its thread returns the lines of the request's head.
fn answering() -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(&stream).lines().map(Result::unwrap);
        let lines = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        lines
    });
    (address, thread)
}

fn serve(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

fn refuses(authority: &str, options: &[&str], flag: &str) {
    let guest = asking(authority);
    let server = serve(&guest, options);
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "had none", "{authority} with {options:?}");
    }
    server.signal("TERM");
    let (_, _, errors) = server.wait();
    let usual = [
        "Running ",
        "Not granted to ",
        "Locked down: ",
        "Listening on ",
        "wasi-httpd: warning: at most ",
        "wasi-httpd: warning: this runs as root",
    ];
    let said: Vec<_> =
        errors.iter().filter(|line| !usual.iter().any(|start| line.starts_with(start))).collect();
    match flag {
        "" => assert_eq!(said, Vec::<&String>::new()),
        // Each different refusal is reported once.
        flag => {
            assert_eq!(said.len(), 1, "{said:?}");
            let (start, end) =
                ("wasi-httpd: warning: the guest may not send requests", format!("{flag} allows it"));
            assert!(said[0].starts_with(start) && said[0].ends_with(&end), "{said:?}");
        }
    }
}

#[test]
fn a_request_is_refused_unless_its_host_is_named() {
    // The requests are refused without a connection, so nothing needs to listen there.
    refuses("127.0.0.1:9", &[], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1", &[], "--allow-host 127.0.0.1:80");
    refuses("127.0.0.1:9", &["--allow-host", "127.0.0.1"], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1:9", &["--allow-host", "127.0.0.1:10"], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1:9", &["--allow-host", "localhost:9"], "--allow-host 127.0.0.1:9");
    refuses("localhost:9", &["--allow-host", "127.0.0.1:9"], "--allow-host localhost:9");
}

#[test]
fn a_request_to_a_named_host_is_sent() {
    for name in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let (address, answered) = answering();
        let authority = format!("{}:{}", name.to_ascii_lowercase(), address.port());
        let guest = asking(&authority);
        let server = serve(&guest, &["--allow-host", &format!("{name}:{}", address.port())]);
        assert_eq!(server.get("/").text(), "had an answer");
        let request = answered.join().unwrap();
        assert_eq!(request[0], "GET /x HTTP/1.1");
        assert!(request.contains(&format!("host: {authority}")), "{request:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn an_unreachable_or_silent_host_is_an_error_for_the_guest() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refuses(&closed, &["--allow-host", &closed], "");

    // This host accepts and never answers. The request fails while the guest still has time to answer its own client.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let guest = asking(&address);
    let server = serve(&guest, &["--allow-host", &address, "--timeout", "4"]);
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (200, "had none"));
}

#[test]
fn user_information_does_not_change_the_host() {
    let guest = asking("127.0.0.1@localhost:9");
    let server = serve(&guest, &["--allow-host", "127.0.0.1:9", "--allow-host", "localhost:9"]);
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (200, "had none"));
}

/// Debian's nginx at a free port of both loopback addresses. It writes a line for each request.
struct Nginx {
    process: Process,
    port: u16,
    authority: String,
    _place: tempfile::TempDir,
}

impl Nginx {
    /// Starts it with TLS, and with these parameters of `listen` and lines of its configuration besides.
    fn start(parameters: &str, lines: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let files = Files::write(place.path(), "server", &authority.issue(&["localhost", "127.0.0.1"]));
        let trusted = place.path().join("authority.pem");
        std::fs::write(&trusted, authority.pem()).unwrap();

        let (first, second) = loop {
            let first = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            if let Ok(second) = TcpListener::bind(("::1", port)) {
                break (first, second);
            }
        };
        let port = first.local_addr().unwrap().port();
        // It takes no sockets that are open, but the kernel gives these numbers to nobody else so soon.
        drop((first, second));
        let root = place.path().display();
        let configuration = place.path().join("nginx.conf");
        std::fs::write(
            &configuration,
            format!(
                r"
                daemon off;
                master_process off;
                pid {root}/pid;
                error_log stderr warn;
                events {{}}
                http {{
                    log_format line '$server_protocol $connection $connection_requests $request_method $host';
                    access_log /dev/stdout line;
                    client_body_temp_path {root}/body;
                    proxy_temp_path {root}/proxy;
                    fastcgi_temp_path {root}/fastcgi;
                    uwsgi_temp_path {root}/uwsgi;
                    scgi_temp_path {root}/scgi;
                    ssl_certificate {};
                    ssl_certificate_key {};
                    {lines}
                    server {{
                        listen 127.0.0.1:{port} {parameters};
                        listen [::1]:{port} {parameters};
                        location / {{ return 204; }}
                    }}
                }}",
                files.certificate.display(),
                files.key.display()
            ),
        )
        .unwrap();
        let mut command = Command::new("nginx");
        command.stdin(Stdio::null());
        command.arg("-p").arg(place.path()).args(["-e", "stderr"]).arg("-c").arg(&configuration);
        let process = Process::start(&mut command);
        eventually("nginx listens", || TcpStream::connect(("::1", port)).is_ok());
        Self { process, port, authority: trusted.to_str().unwrap().to_owned(), _place: place }
    }

    /// Has a guest ask so often, one after another, and gives what nginx writes of that: the version of HTTP, the numbers of the
    /// connection and of the request on it, the method and the host.
    fn asked(&self, host: &str, scheme: &str, times: usize) -> Vec<Vec<String>> {
        let name = format!("{host}:{}", self.port);
        let guest = asking_by(scheme, &name);
        let server = serve(&guest, &["--allow-host", &name, "--outgoing-ca", &self.authority]);
        for _ in 0..times {
            assert_eq!(server.get("/").text(), "had an answer");
        }
        assert_eq!(server.errors(), Vec::<String>::new());
        eventually("all lines", || self.process.output().len() >= times);
        self.process.output().iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }
}

fn connections(lines: &[Vec<String>]) -> usize {
    lines.iter().map(|line| &line[1]).collect::<HashSet<_>>().len()
}

#[test]
fn nginx_is_asked_by_http_2_on_one_connection() {
    let nginx = Nginx::start("ssl http2", "");
    let lines = nginx.asked("localhost", "https", 20);
    assert_eq!(connections(&lines), 1);
    for (at, line) in (1..).zip(&lines) {
        assert_eq!(line[..], ["HTTP/2.0", &line[1], &at.to_string(), "GET", "localhost"]);
    }
}

#[test]
fn nginx_is_asked_by_http_1_where_it_has_no_other() {
    for (parameters, scheme) in [("ssl", "https"), ("", "http")] {
        let nginx = Nginx::start(parameters, "");
        let lines = nginx.asked("127.0.0.1", scheme, 20);
        assert_eq!(connections(&lines), 1);
        assert_eq!(lines[19][..], ["HTTP/1.1", &lines[0][1], "20", "GET", "127.0.0.1"]);
    }
}

#[test]
fn nginx_is_asked_by_ipv6() {
    let nginx = Nginx::start("", "");
    let lines = nginx.asked("[::1]", "http", 2);
    assert_eq!(lines[1][..], ["HTTP/1.1", &lines[0][1], "2", "GET", "[::1]"]);
}

#[test]
fn connections_that_nginx_closes_are_replaced() {
    // After every third request, with either version of HTTP.
    for parameters in ["ssl", "ssl http2"] {
        let nginx = Nginx::start(parameters, "keepalive_requests 3;");
        let lines = nginx.asked("localhost", "https", 10);
        assert_eq!((lines.len(), connections(&lines)), (10, 4), "{lines:?}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_once() {
    let nginx = Nginx::start("ssl http2", "");
    let name = format!("localhost:{}", nginx.port);
    let guest = asking_by("https", &name);
    for roots in [&[][..], &["--outgoing-roots", "webpki"]] {
        let server = serve(&guest, &[&["--allow-host", &name], roots].concat());
        for _ in 0..3 {
            assert_eq!(server.get("/").text(), "had none");
        }
        server.signal("TERM");
        let (_, _, errors) = server.wait();
        let said: Vec<_> = errors.iter().filter(|line| line.contains("certificate")).collect();
        let expected = format!(
            "wasi-httpd: warning: requests of the guest to {name} fail, because its certificate is not trusted: UnknownIssuer; \
             --outgoing-ca FILE trusts another authority"
        );
        assert_eq!(said, [&expected]);
    }
    assert_eq!(nginx.process.output(), Vec::<String>::new());
}

#[test]
fn authorities_are_read_at_the_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("authority.pem");
    let guest = asking("localhost:9");
    let start = || {
        let mut command = programs!().command();
        command.args(["--addr", "127.0.0.1:0", "--allow-host", "localhost:9", "--outgoing-ca"]);
        Process::start(command.arg(&file).arg(&guest.path).stdin(Stdio::null())).wait()
    };
    for (text, why) in [(None, "cannot be read"), (Some("text"), "has no certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let (status, _, errors) = start();
        assert_eq!(status.code(), Some(1));
        let last = errors.last().unwrap();
        let start = format!("wasi-httpd: --outgoing-ca {}: {why}", file.display());
        assert!(last.starts_with(&start), "{errors:?}");
    }
}
