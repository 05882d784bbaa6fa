//! Servers that do not answer, or wrongly, each in one phase of a request.

use super::{
    LONG, PATIENT, SHORT, Times, answer, channel, client, full, listen, read_request, request, send, write,
};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use unresponsive::full_backlog;
use wasmtime_wasi_http::Error;

/// A listener whose queue is full: the kernel answers no more attempts to connect to it.
mod unresponsive {
    use rustix::net::{AddressFamily, SocketAddrAny, SocketType, bind, getsockname, listen, socket};
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::OwnedFd;

    pub(super) fn full_backlog(address: SocketAddr) -> (SocketAddr, OwnedFd, Vec<TcpStream>) {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let listener = socket(family, SocketType::STREAM, None).unwrap();
        bind(&listener, &address).unwrap();
        listen(&listener, 0).unwrap();
        let address: SocketAddr = SocketAddrAny::try_into(getsockname(&listener).unwrap()).unwrap();
        // It takes one more than the number says.
        let waiting = vec![TcpStream::connect(address).unwrap()];
        (address, listener, waiting)
    }
}

async fn fails(url: &str, times: Times) -> Error {
    match timeout(LONG, send(&client(), request("GET", url, full("")), times)).await.unwrap() {
        Ok((response, _)) => panic!("{} from {url}", response.status()),
        Err(error) => error,
    }
}

/// What comes of a server that sends this.
async fn outcome(bytes: &'static str) -> Result<(u16, String), Error> {
    let (listener, address) = listen("127.0.0.1:0").await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        write(&mut stream, bytes).await;
    });
    answer(&client(), request("GET", &format!("http://{address}/"), full(""))).await
}

#[tokio::test]
async fn each_phase_has_a_time_out() {
    let hurried = Times { connect: SHORT, ..PATIENT };
    let (address, _listener, _waiting) = full_backlog("127.0.0.1:0".parse().unwrap());
    let error = fails(&format!("http://{address}/"), hurried).await;
    assert!(matches!(error, Error::ConnectionTimeout), "TCP: {error:?}");

    // The kernel accepts.
    let (_silent, address) = listen("127.0.0.1:0").await;
    let error = fails(&format!("https://{address}/"), hurried).await;
    assert!(matches!(error, Error::ConnectionTimeout), "TLS: {error:?}");
    for hurried in [Times { first_byte: SHORT, ..PATIENT }, Times { total: SHORT, ..PATIENT }] {
        let error = fails(&format!("http://{address}/"), hurried).await;
        assert!(matches!(error, Error::ConnectionReadTimeout), "first byte: {error:?}");
    }

    let (listener, address) = listen("127.0.0.1:0").await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
        // Ends when the client gives it up.
        read_request(&mut stream).await
    });
    let hurried = Times { between_bytes: SHORT, ..PATIENT };
    let request = request("GET", &format!("http://{address}/"), full(""));
    let (response, _sending) = send(&client(), request, hurried).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "between bytes: {error:?}");
    assert_eq!(timeout(LONG, server).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn a_request_that_makes_progress_is_waited_for() {
    let (listener, address) = listen("127.0.0.1:0").await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"0\r\n\r\n") {
            stream.readable().await.unwrap();
            let _ = stream.try_read_buf(&mut received);
        }
        write(&mut stream, super::OK).await;
    });
    let (pieces, body) = channel();
    // The whole takes longer than the time for the first byte, and each piece a quarter of it.
    let hurried = Times { first_byte: 4 * SHORT, total: 4 * SHORT, ..PATIENT };
    tokio::spawn(async move {
        for _ in 0..6 {
            tokio::time::sleep(SHORT).await;
            pieces.send(Bytes::from_static(b"piece")).await.unwrap();
        }
    });
    let request = request("POST", &format!("http://{address}/"), body);
    assert_eq!(send(&client(), request, hurried).await.unwrap().0.status(), 200);
}

#[tokio::test]
async fn one_dead_address_of_a_name_does_not_matter() {
    // `localhost` has both, and nothing comes of the first one.
    let (address, _listener, _waiting) = full_backlog("[::1]:0".parse().unwrap());
    let Ok(listener) = TcpListener::bind(("127.0.0.1", address.port())).await else {
        panic!("port {} is taken", address.port());
    };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        write(&mut stream, super::OK).await;
    });
    let url = format!("http://localhost:{}/", address.port());
    assert_eq!(answer(&client(), request("GET", &url, full(""))).await.unwrap().0, 200);
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    let (listener, address) = listen("127.0.0.1:0").await;
    drop(listener);
    let error = fails(&format!("http://{address}/"), PATIENT).await;
    assert!(matches!(error, Error::ConnectionRefused), "{error:?}");
    let error = fails("http://no-such-name.invalid/", PATIENT).await;
    assert!(matches!(error, Error::DnsError { .. } | Error::DnsTimeout), "{error:?}");
}

#[tokio::test]
async fn wrong_answers_are_errors() {
    let error = outcome("").await.unwrap_err();
    assert!(matches!(error, Error::ConnectionTerminated), "{error:?}");
    let error = outcome("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort").await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseIncomplete), "{error:?}");
    let error = outcome("SSH-2.0-OpenSSH_9.2\r\n\r\n").await.unwrap_err();
    assert!(matches!(error, Error::HttpProtocolError), "{error:?}");
    let error =
        outcome("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await;
    assert!(matches!(error, Err(Error::HttpUpgradeFailed)), "{error:?}");
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000)).leak();
    let error = outcome(large).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseHeaderSectionSize(_)), "{error:?}");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1_000)).leak();
    let error = outcome(many).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseHeaderSectionSize(_)), "{error:?}");
    // Until the connection ends.
    assert_eq!(outcome("HTTP/1.0 200 OK\r\n\r\nall of it").await.unwrap(), (200, "all of it".to_owned()));
}

#[tokio::test]
async fn tunnels_are_not_made() {
    let error = answer(&client(), request("CONNECT", "http://127.0.0.1:9/", full(""))).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestMethodInvalid), "{error:?}");
}
