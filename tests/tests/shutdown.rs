//! Shutdown: the server accepts no more connections, finishes answers that have begun, and exits with status 0.

use std::net::TcpStream;
use tests::eventually;
use tests::site::{Site, noise};
use tests::{Client, Server, programs};

/// More bytes than all buffers between the server and a client that does not read.
const LENGTH: usize = 64 << 20;

/// A client that has sent this many pipelined requests for `/big.bin` and has read the first head.
fn download(server: &Server, requests: usize) -> Client {
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(requests));
    client.head();
    client
}

/// Waits until the server no longer accepts connections, which shows that it has received a signal.
fn accepts_no_more(server: &Server) {
    let address = server.address();
    eventually("the server accepts no more connections", || TcpStream::connect(address).is_err());
}

#[test]
fn an_idle_server_stops_at_once() {
    let site = Site::new();
    for signal in ["INT", "TERM"] {
        let server = programs!().ours(&site, &[]);
        let mut idle = server.connect();
        assert_eq!(idle.request("GET", "/", &[]).status, 404);
        let mut silent = server.connect();
        server.signal(signal);
        let (status, _, errors) = server.wait();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(!errors.iter().any(|line| line.starts_with("wasi-httpd: error")), "{errors:?}");
        assert!(idle.is_closed());
        assert!(silent.is_closed());
    }
}

#[test]
fn an_answer_that_has_begun_is_finished() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    let server = programs!().ours(&site, &[]);
    let mut client = download(&server, 1);
    server.signal("TERM");
    accepts_no_more(&server);
    assert!(client.read(LENGTH) == content);
    assert!(client.is_closed(), "the connection is kept for another request");
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(log[0].contains(&format!("200 {LENGTH}")), "{log:?}");
}

#[test]
fn an_answer_with_a_pipelined_request_behind_it_is_finished() {
    let site = Site::new();
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    let server = programs!().ours(&site, &[]);
    let mut client = download(&server, 2);
    server.signal("TERM");
    accepts_no_more(&server);
    assert!(client.read(LENGTH) == content);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_does_not_read_does_not_block_the_shutdown() {
    let site = Site::new();
    site.file("big.bin", noise(LENGTH));
    let server = programs!().ours(&site, &[]);
    let mut client = download(&server, 1);
    server.signal("TERM");
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(client.read(LENGTH).len() < LENGTH);
    assert!(log.len() == 1 && log[0].contains("GET /big.bin HTTP/1.1\" 200 "), "{log:?}");
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let site = Site::new();
    site.file("big.bin", noise(LENGTH));
    let server = programs!().ours(&site, &[]);
    let _client = download(&server, 1);
    server.signal("TERM");
    accepts_no_more(&server);
    server.signal("INT");
    let (status, _, _) = server.wait();
    assert_eq!(status.code(), Some(0));
}

/// Waits until the server has received a signal and serves on, which its answers tell.
fn leaves(server: &Server) {
    eventually("the server has its clients leave", || server.get("/").header("connection") == Some("close"));
}

#[test]
fn during_the_grace_each_connection_ends_with_an_answer() {
    let site = Site::new();
    site.file("index.html", "hello");
    let server = programs!().ours(&site, &["--grace", "300"]);
    let mut kept: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut kept {
        let response = client.request("GET", "/", &[]);
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    let mut silent = server.connect();
    server.signal("TERM");
    leaves(&server);
    for mut client in kept.into_iter().chain(std::iter::once_with(|| server.connect())) {
        let response = client.request("GET", "/", &[]);
        assert_eq!((response.status, response.text(), response.complete), (200, "hello", true));
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
    assert_eq!(silent.request("GET", "/", &[]).status, 200);
    server.signal("TERM");
    let (status, _, errors) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!errors.iter().any(|line| line.starts_with("wasi-httpd: error")), "{errors:?}");
}

#[test]
fn after_the_grace_the_server_stops() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--grace", "1"]);
    let mut idle = server.connect();
    assert_eq!(idle.request("GET", "/", &[]).status, 404);
    server.signal("TERM");
    let (status, _, errors) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!errors.iter().any(|line| line.starts_with("wasi-httpd: error")), "{errors:?}");
    assert!(idle.is_closed());
}

#[test]
fn answers_under_way_take_no_longer_than_the_drain_may() {
    let site = Site::new();
    site.file("big.bin", noise(LENGTH));
    for times in [&["--drain-timeout", "0"][..], &["--grace", "1", "--drain-timeout", "1"]] {
        let server = programs!().ours(&site, times);
        let mut client = download(&server, 1);
        server.signal("INT");
        let (status, log, _) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(client.read(LENGTH).len() < LENGTH);
        assert_eq!(log.len(), 1, "{log:?}");
    }
}
