//! TLS, and HTTP/2 over it. The server is hyper's.

use super::acceptor::acceptor;
use super::{PATIENT, answer, channel, client, client_trusting, full, listen, request, send};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use wasmtime_wasi_http::{Error, WasiBody};

/// A server for `localhost`, and the file with its certificate.
struct Secured {
    url: String,
    connections: Arc<AtomicUsize>,
    certificate: PathBuf,
    _place: TempDir,
}

/// Sends back what a request has, trailers included, and says in the head which version of HTTP it came with.
async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    let version = format!("{:?}", request.version());
    let host = request.headers().get("host").map_or("none", |host| host.to_str().unwrap()).to_owned();
    let authority = request.uri().authority().map_or("none".to_owned(), ToString::to_string);
    let response = Response::builder().header("x-version", version).header("x-host", host);
    let response = response.header("x-authority", authority).header("trailer", "x-end");
    Ok(response.body(request.into_body()).unwrap())
}

async fn secured(protocols: &[&[u8]]) -> Secured {
    let place = tempfile::tempdir().unwrap();
    let (acceptor, certificate) = acceptor(place.path(), protocols);

    let (listener, address) = listen("127.0.0.1:0").await;
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = TokioIo::new(stream);
                if is_http2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(stream, service_fn(echo)).await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(stream, service_fn(echo)).await;
                }
            });
        }
    });
    let url = format!("https://localhost:{}/", address.port());
    Secured { url, connections, certificate, _place: place }
}

/// A body of two pieces and trailers.
fn with_trailers() -> WasiBody {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "here".parse().unwrap());
    let frames = [
        http_body::Frame::data(Bytes::from_static(b"first ")),
        http_body::Frame::data(Bytes::from_static(b"second")),
        http_body::Frame::trailers(trailers),
    ];
    StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Error>))).boxed_unsync()
}

#[tokio::test]
async fn the_best_version_that_both_speak_is_taken_and_trailers_go_both_ways() {
    for (protocols, version) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Version::HTTP_2),
        (&[b"http/1.1".as_slice()], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let server = secured(protocols).await;
        let client = client_trusting(server.certificate.clone());
        for _ in 0..2 {
            let mut asked = request("POST", &server.url, with_trailers());
            let fields = asked.headers_mut();
            fields.insert("trailer", "x-end".parse().unwrap());
            fields.insert("te", "trailers".parse().unwrap());
            let (response, sending) = send(&client, asked, PATIENT).await.unwrap();
            let field = |name| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(field("x-version"), format!("{version:?}"));
            let authority = server.url.trim_start_matches("https://").trim_end_matches('/');
            let named = if version == Version::HTTP_2 { "x-authority" } else { "x-host" };
            assert_eq!(field(named), authority);
            let whole = response.into_body().collect().await.unwrap();
            assert_eq!(whole.trailers().unwrap()["x-end"], "here");
            assert_eq!(whole.to_bytes(), "first second");
            Box::into_pin(sending).await.unwrap();
        }
        assert_eq!(server.connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_connection_with_http2() {
    let server = secured(&[b"h2"]).await;
    let client = client_trusting(server.certificate.clone());
    answer(&client, request("GET", &server.url, full(""))).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..50 {
        let (pieces, body) = channel();
        let (response, sending) = send(&client, request("POST", &server.url, body), PATIENT).await.unwrap();
        open.push((pieces, response.into_body(), sending));
    }
    for (pieces, body, _) in &mut open {
        pieces.send(Bytes::from_static(b"piece")).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "piece");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
    // One that is left ends alone.
    let (pieces, body, sending) = open.pop().unwrap();
    drop((body, sending));
    pieces.closed().await;
    let (pieces, body, _) = &mut open[0];
    pieces.send(Bytes::from_static(b"more")).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "more");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let server = secured(&[b"h2"]).await;
    let error = answer(&client(), request("GET", &server.url, full(""))).await.unwrap_err();
    let Error::Tls(error) = error else { panic!("{error:?}") };
    let error = error.get_ref().unwrap().downcast_ref().unwrap();
    assert!(
        matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
        "{error:?}"
    );
    // Nor for another name.
    let client = client_trusting(server.certificate.clone());
    let url = server.url.replace("localhost", "127.0.0.1");
    let error = answer(&client, request("GET", &url, full(""))).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
}
