//! Which connection a request takes, and what happens to it afterwards.

use super::{LONG, OK, PATIENT, answer, channel, client, full, listen, read_request, request, send, write};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Uri};
use http_body_util::BodyExt as _;
use std::task::{Context, Waker};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;

/// Answers every request on every connection with the number of the connection and that of the request on it.
async fn counting(listener: TcpListener) {
    for connection in 1.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            for at in 1.. {
                if read_request(&mut stream).await.is_none() {
                    break;
                }
                let body = format!("{connection}.{at}");
                let length = body.len();
                write(&mut stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"))
                    .await;
            }
        });
    }
}

#[tokio::test]
async fn requests_of_one_client_follow_each_other_on_one_connection() {
    let (listener, address) = listen("127.0.0.1:0").await;
    tokio::spawn(counting(listener));
    let (one, other) = (client(), client());
    let url = format!("http://{address}/a");
    let ask = async |client: &_, method| answer(client, request(method, &url, full("x"))).await.unwrap().1;
    assert_eq!(ask(&one, "GET").await, "1.1");
    assert_eq!(ask(&one, "POST").await, "1.2");
    // Another client may have other rights, and shares nothing.
    assert_eq!(ask(&other, "GET").await, "2.1");
    assert_eq!(ask(&one, "GET").await, "1.3");
    assert_eq!(ask(&other, "GET").await, "2.2");
    // The same server by another name is another one.
    let named = format!("http://localhost:{}/a", address.port());
    assert_eq!(answer(&one, request("GET", &named, full(""))).await.unwrap().1, "3.1");
}

#[tokio::test]
async fn a_request_whose_body_is_not_asked_for_its_end_is_complete() {
    let (listener, address) = listen("127.0.0.1:0").await;
    tokio::spawn(counting(listener));
    let client = client();
    let url = format!("http://{address}/");
    // A body of pieces does not know its length. hyper takes that of the field, and sends none with GET.
    for (at, method) in [(1, "GET"), (2, "POST"), (3, "GET")] {
        let (pieces, body) = channel();
        let mut request = request(method, &url, body);
        if method == "POST" {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("4"));
            pieces.send(Bytes::from_static(b"ping")).await.unwrap();
        }
        let (response, sending) = send(&client, request, PATIENT).await.unwrap();
        assert!(timeout(LONG, Box::into_pin(sending)).await.unwrap().is_ok(), "{method}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("1.{at}"), "{method}");
    }
}

#[tokio::test]
async fn an_empty_path_is_sent_as_a_slash() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut lines = Vec::new();
        for _ in 0..2 {
            let request = read_request(&mut stream).await.unwrap();
            lines.push(request.lines().next().unwrap().to_owned());
            write(&mut stream, OK).await;
        }
        lines
    });
    let client = client();
    for path in ["", "?a"] {
        let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path);
        let mut request = request("GET", "/", full(""));
        *request.uri_mut() = uri.build().unwrap();
        answer(&client, request).await.unwrap();
    }
    assert_eq!(server.await.unwrap(), ["GET / HTTP/1.1", "GET /?a HTTP/1.1"]);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_not_lost() {
    let (listener, address) = listen("127.0.0.1:0").await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = [0; 4096];
        while !received.starts_with(b"POST") {
            let _ = stream.read(&mut received).await.unwrap();
        }
        write(
            &mut stream,
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .await;
    });
    let (pieces, body) = channel();
    let url = format!("http://{address}/");
    let (response, sending) = send(&client(), request("POST", &url, body), PATIENT).await.unwrap();
    assert_eq!(response.status(), 413);
    // The connection has ended, and the rest of the request with it.
    pieces.closed().await;
    let mut sending = Box::into_pin(sending);
    // As wasmtime asks for the first time.
    assert!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(matches!(timeout(LONG, sending).await.unwrap(), Err(Error::ConnectionTerminated)));
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_ends_the_connection() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let client = client();
    let url = format!("http://{address}/");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    });
    let (response, sending) = send(&client, request("GET", &url, full("")), PATIENT).await.unwrap();
    drop((response, sending));
    assert_eq!(timeout(LONG, server).await.unwrap().unwrap(), b"");
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_is_not_sent_on() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let client = client();
    let url = format!("http://{address}/");
    let (begun, begins) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 1];
        stream.read_exact(&mut received).await.unwrap();
        begun.send(()).unwrap();
        // Until the connection ends, which the client does before it has sent everything.
        let _ = stream.read_to_end(&mut received).await;
        received.ends_with(b"0\r\n\r\n")
    });
    let (pieces, body) = channel();
    let asking =
        tokio::spawn(async move { send(&client, request("POST", &url, body), PATIENT).await.map(drop) });
    pieces.send(Bytes::from_static(b"piece")).await.unwrap();
    begins.await.unwrap();
    asking.abort();
    let was_complete = timeout(LONG, server).await.unwrap().unwrap();
    assert!(!was_complete);
    pieces.closed().await;
}

#[tokio::test]
async fn the_rest_of_a_request_goes_with_the_guest() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let client = client();
    let url = format!("http://{address}/");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 1];
        stream.read_exact(&mut received).await.unwrap();
        write(&mut stream, OK).await;
        let _ = stream.read_to_end(&mut received).await;
    });
    let (pieces, body) = channel();
    let (response, sending) = send(&client, request("POST", &url, body), PATIENT).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    // The answer was read, and the request still has a body to come.
    pieces.send(Bytes::from_static(b"piece")).await.unwrap();
    drop(sending);
    pieces.closed().await;
    timeout(LONG, server).await.unwrap().unwrap();
}

/// Answers one request, and closes the connection as soon as the second one has come. Answers what comes on further
/// connections, and gives all requests.
async fn closing(listener: TcpListener) -> Vec<String> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut all = vec![read_request(&mut stream).await.unwrap()];
    write(&mut stream, OK).await;
    all.push(read_request(&mut stream).await.unwrap());
    drop(stream);
    while let Ok(Ok((mut stream, _))) = timeout(super::SHORT, listener.accept()).await {
        all.push(read_request(&mut stream).await.unwrap());
        write(&mut stream, OK).await;
    }
    all
}

#[tokio::test]
async fn an_idempotent_request_outlives_a_connection_that_was_closed_meanwhile() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let server = tokio::spawn(closing(listener));
    let client = client();
    let url = format!("http://{address}/");
    for method in ["GET", "DELETE"] {
        assert_eq!(answer(&client, request(method, &url, full(""))).await.unwrap(), (200, "ok".to_owned()));
    }
    let all = server.await.unwrap();
    let methods: Vec<_> = all.iter().map(|request| request.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["GET", "DELETE", "DELETE"]);
    assert_eq!(all[1], all[2]);
}

#[tokio::test]
async fn a_body_that_is_not_sent_is_none_that_could_be_lost() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let server = tokio::spawn(closing(listener));
    let client = client();
    let url = format!("http://{address}/");
    for _ in 0..2 {
        let (_pieces, body) = channel();
        assert_eq!(answer(&client, request("GET", &url, body)).await.unwrap(), (200, "ok".to_owned()));
    }
    assert_eq!(server.await.unwrap().len(), 3);
}

#[tokio::test]
async fn another_request_is_sent_once_only() {
    for (method, body) in [("POST", "twice?"), ("PUT", "body"), ("POST", "")] {
        let (listener, address) = listen("127.0.0.1:0").await;
        let server = tokio::spawn(closing(listener));
        let client = client();
        let url = format!("http://{address}/");
        answer(&client, request("GET", &url, full(""))).await.unwrap();
        let error = answer(&client, request(method, &url, full(body))).await.unwrap_err();
        assert!(matches!(error, Error::ConnectionTerminated), "{error:?}");
        assert_eq!(server.await.unwrap().len(), 2, "{method}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_before_is_replaced_for_every_request() {
    let (listener, address) = listen("127.0.0.1:0").await;
    let client = client();
    let url = format!("http://{address}/");
    for _ in 0..5 {
        let answered = tokio::spawn({
            let (client, url) = (client.clone(), url.clone());
            async move { answer(&client, request("POST", &url, full("body"))).await }
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        // Without `Connection: close`.
        write(&mut stream, OK).await;
        assert_eq!(answered.await.unwrap().unwrap(), (200, "ok".to_owned()));
        drop(stream);
    }
}

#[tokio::test]
async fn addresses_of_both_families_are_reached() {
    for (bind, host) in [("[::1]:0", "[::1]"), ("[::1]:0", "localhost"), ("127.0.0.1:0", "localhost")] {
        let (listener, address) = listen(bind).await;
        tokio::spawn(counting(listener));
        let url = format!("http://{host}:{}/", address.port());
        assert_eq!(answer(&client(), request("GET", &url, full(""))).await.unwrap().1, "1.1", "{url}");
    }
}
