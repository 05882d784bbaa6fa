//! The grace before a shutdown, byte for byte and frame for frame: no request is lost, and no answer is half there. The clients
//! speak in the clear.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use tests::http2::{Frame, Frames, code, frame, kind};
use tests::programs;
use tests::site::Site;

#[test]
fn during_the_grace_a_connection_with_http2_is_told_to_go_and_loses_no_request() {
    /// What the first GOAWAY of an orderly end names: all streams (RFC 9113 §6.8).
    const ALL: u32 = (1 << 31) - 1;
    /// The flag of a PING that answers one.
    const ACK: u8 = 1;

    let site = Site::new();
    site.file("index.html", "hello");
    let server = programs!().ours(&site, &["--grace", "300"]);
    let mut client = Frames::begin(server.address(), &[]);
    assert_eq!(client.request(1, "/").next_of(kind::HEADERS).status(), 200);
    server.signal("TERM");
    let last = |goaway: &Frame| u32::from_be_bytes(goaway.payload[..4].try_into().unwrap());
    let goaway = client.next_of(kind::GOAWAY);
    assert_eq!((last(&goaway), goaway.code()), (ALL, code::NO_ERROR));
    let ping = client.next_of(kind::PING);
    // A request that was sent before that was heard.
    assert_eq!(client.request(3, "/").next_on(3).status(), 200);
    assert_eq!(client.next_on(3).payload, b"hello");
    client.send(frame(kind::PING, ACK, 0, &ping.payload));
    let goaway = client.next_of(kind::GOAWAY);
    assert_eq!((last(&goaway), goaway.code()), (3, code::NO_ERROR));
    assert_eq!(client.frame(), None);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Sends a request for a file with the content `hello`. `None` where the connection ends before a byte of the answer, or
/// whether it was told to end with it.
fn ask(stream: &mut TcpStream) -> Option<bool> {
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => {
                assert!(answer.is_empty(), "half of an answer: {:?}", String::from_utf8_lossy(&answer));
                return None;
            }
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
        if answer.ends_with(b"\r\n\r\nhello") {
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            return Some(answer.windows(19).any(|window| window == b"\r\nconnection: close"));
        }
    }
}

#[test]
fn under_load_each_request_is_answered_in_full_or_not_at_all() {
    let site = Site::new();
    site.file("index.html", "hello");
    let server = programs!().ours(&site, &["--grace", "1"]);
    let address = server.address();
    let (answered, told) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let (mut answered, mut told) = (0, 0);
                    while let Ok(mut stream) = TcpStream::connect(address) {
                        while let Some(is_last) = ask(&mut stream) {
                            answered += 1;
                            if is_last {
                                told += 1;
                                assert_eq!(ask(&mut stream), None, "an answer after the last one");
                                break;
                            }
                        }
                    }
                    (answered, told)
                })
            })
            .collect();
        server.wait_for_log(|line| line.contains("GET /"));
        server.signal("TERM");
        clients.into_iter().map(|client| client.join().unwrap()).fold((0, 0), |(a, t), (b, u)| (a + b, t + u))
    });
    let (status, log, errors) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(told > 0, "of {answered} answers, none was the last one of its connection");
    assert_eq!(log.iter().filter(|line| line.contains("\" 200 5 ")).count(), answered);
    assert!(!errors.iter().any(|line| line.starts_with("wasi-httpd: error")), "{errors:?}");
}
