//! `--redirect-http` and `--hsts`: clear HTTP leads to TLS, and browsers are told to stay there.

use std::net::SocketAddr;
use tests::guests::{self, GuestFile};
use tests::site::Site;
use tests::tls::{Authority, Files};
use tests::{Client, Response, Server, programs};

/// A server with TLS, and where it redirects clear HTTP.
fn server(site: &Site, options: &[&str]) -> (Server, SocketAddr) {
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let options: Vec<_> = files.flags().into_iter().chain(options.iter().copied()).collect();
    let options = [&options[..], &["--redirect-http", "127.0.0.1:0"]].concat();
    let server = programs!().ours(site, &options).with_clients(authority.clients());
    let line = server.wait_for_error(|line| line.starts_with("Redirecting http://"));
    let address = line.strip_prefix("Redirecting http://").and_then(|line| line.strip_suffix("/ to https:"));
    (server, address.unwrap().parse().unwrap())
}

fn ask(address: SocketAddr, request: &str) -> Response {
    Client::connect(address).send(request).response(request.split(' ').next().unwrap())
}

#[test]
fn every_get_and_head_is_redirected_to_the_port_of_tls() {
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, clear) = server(&site, &["--allow-name", "example.com"]);
    let port = server.address().port();
    for (request, location) in [
        ("GET /a.txt HTTP/1.1\r\nHost: localhost:80\r\n\r\n", "https://localhost:PORT/a.txt"),
        ("HEAD /a.txt?b=c%0d HTTP/1.1\r\nHost: localhost\r\n\r\n", "https://localhost:PORT/a.txt?b=c%0d"),
        ("GET //evil/.. HTTP/1.1\r\nHost: EXAMPLE.com\r\n\r\n", "https://EXAMPLE.com:PORT//evil/.."),
        ("GET http://127.0.0.1/a HTTP/1.1\r\nHost: x\r\n\r\n", "https://127.0.0.1:PORT/a"),
        ("GET / HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", "https://[::1]:PORT/"),
        ("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", "https://localhost:PORT/"),
    ] {
        let response = ask(clear, request);
        assert_eq!(response.status, 308, "{request}");
        assert_eq!(response.header("location"), Some(location.replace("PORT", &port.to_string()).as_str()));
        assert_eq!(response.body, b"");
    }
    server.wait_for_log(|line| line.contains("\"GET /a.txt HTTP/1.1\" 308 - "));
    // It leads there.
    assert_eq!(server.get("/a.txt").text(), "a");
}

#[test]
fn nothing_else_is_answered_and_no_guest_is_reached() {
    let site = Site::new();
    let guest = GuestFile::new(guests::handler("unreachable"));
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let options = [&files.flags()[..], &["--redirect-http", "127.0.0.1:0"]].concat();
    let server = programs!().ours_with_guest(&guest.path, &options);
    let line = server.wait_for_error(|line| line.starts_with("Redirecting http://"));
    let clear = line["Redirecting http://".len()..].split('/').next().unwrap().parse().unwrap();
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET https://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        ("nonsense\r\n\r\n", 400),
    ] {
        let response = ask(clear, request);
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.header("location"), None);
        assert_eq!(response.header("allow"), (status == 405).then_some("GET, HEAD"));
        assert!(!response.text().is_empty());
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn hsts_is_in_every_answer_over_tls_and_in_none_in_the_clear() {
    const FIELD: &str = "strict-transport-security";
    let site = Site::new();
    site.file("a.txt", "a");
    let (server, clear) = server(&site, &["--hsts=300,includeSubDomains", "--head-timeout", "1"]);
    let expected = Some("max-age=300; includeSubDomains");
    let mut client = server.connect();
    for (target, status) in [("/a.txt", 200), ("/missing", 404)] {
        let response = client.request("GET", target, &[]);
        assert_eq!((response.status, response.header(FIELD)), (status, expected));
    }
    // The host's own answers, to requests that it has read and to others.
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("non sense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n", 408),
    ] {
        let response = server.connect().send(request).response("GET");
        assert_eq!((response.status, response.header(FIELD)), (status, expected), "{request}");
    }
    for address in [clear, server.address()] {
        assert_eq!(ask(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").header(FIELD), None);
        assert_eq!(ask(address, "nonsense\r\n\r\n").header(FIELD), None);
    }
}

#[test]
fn without_the_flag_there_is_no_hsts() {
    let site = Site::new();
    let (server, _) = server(&site, &[]);
    assert_eq!(server.get("/").header("strict-transport-security"), None);
}
