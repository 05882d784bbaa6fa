//! `hello-socket`: HTTP written by hand, for one client after another, even if a client misbehaves.

use std::net::{SocketAddr, TcpStream};
use tests::guests::{GuestFile, HELLO_SOCKET};
use tests::{Client, Process, programs};

/// Starts a server on a free port. Returns it with its address.
fn start() -> (Process, SocketAddr, GuestFile) {
    let guest = GuestFile::new(HELLO_SOCKET);
    let options = ["--allow-tcp-listen", "127.0.0.1:0"];
    let process = Process::start(&mut programs!().run(&options, &guest.path, &["127.0.0.1:0"]));
    let line = process.wait_for_output(|line| line.starts_with("Listening on "));
    let address = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    (process, address, guest)
}

/// Expects this answer, and the end of the connection.
fn says(client: &mut Client, method: &str, status: u16, body: &str) {
    let response = client.response(method);
    assert_eq!((response.status, response.text(), response.complete), (status, body, true));
    let length = if method == "HEAD" { "Hello World".len() } else { body.len() };
    let expected = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", &length.to_string()),
        ("connection", "close"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(response.headers, expected);
    assert!(client.is_closed());
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn it_answers_one_client_after_another() {
    let (process, address, _guest) = start();
    for _ in 0..100 {
        says(Client::connect(address).send(GET), "GET", 200, "Hello World");
    }
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    says(Client::connect(address).send(head), "HEAD", 200, "");
    let line = process.wait_for_output(|line| line.ends_with("HEAD / HTTP/1.1"));
    assert!(line.starts_with("127.0.0.1:"), "{line}");
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let (_process, address, _guest) = start();
    let mut client = Client::connect(address);
    for byte in GET.bytes() {
        client.send([byte]);
    }
    says(&mut client, "GET", 200, "Hello World");
}

#[test]
fn an_unread_request_body_does_not_lose_the_answer() {
    let (_process, address, _guest) = start();
    let mut client = Client::connect(address);
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    says(&mut client, "POST", 200, "Hello World");
}

#[test]
fn invalid_requests_get_a_400_and_long_heads_a_431() {
    let (_process, address, _guest) = start();
    for request in ["hello\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "\u{0}\u{1}\r\n\r\n"] {
        says(Client::connect(address).send(request), "GET", 400, "This is not HTTP/1.1.\n");
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    says(Client::connect(address).send(long), "GET", 431, "The request is too long.\n");
}

#[test]
fn a_silent_client_does_not_block_the_next_one_for_long() {
    let (process, address, _guest) = start();
    let silent = TcpStream::connect(address).unwrap();
    let ours = silent.local_addr().unwrap();
    says(Client::connect(address).send(GET), "GET", 200, "Hello World");
    // The server gave the silent client up; this end of its connection is still open.
    let line = process.wait_for_output(|line| line.starts_with(&ours.to_string()));
    assert!(line.contains("timed out") && line.contains("2 s"), "{line}");
    drop(silent);

    // Clients that disconnect before and after their request.
    drop(TcpStream::connect(address).unwrap());
    let mut hasty = Client::connect(address);
    hasty.send(GET);
    drop(hasty);
    says(Client::connect(address).send(GET), "GET", 200, "Hello World");
}
