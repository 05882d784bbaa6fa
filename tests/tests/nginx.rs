//! Requests that a guest sends to a real server: Debian's nginx, which has to be installed.

use std::collections::HashSet;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use tests::guests::{GuestFile, asking_by};
use tests::process::{Process, eventually};
use tests::tls::{Authority, Files};
use tests::{Server, programs};

fn serve(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

/// nginx at a free port of both loopback addresses. It writes a line for each request.
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
