//! Requests to servers of loopback, which do what real ones do, and what those should not do.

pub(crate) mod acceptor;
mod connections;
mod failures;
mod http2;

use super::{Client, Sending, Times, trust};
use crate::config::Roots;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, WasiBody};

/// A time that no test waits for.
const LONG: Duration = Duration::from_mins(1);

/// A time that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

const PATIENT: Times = Times { connect: LONG, first_byte: LONG, between_bytes: LONG, total: LONG };

/// An answer that leaves the connection open.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn client() -> Client {
    Client::new(trust::client_config(Some(Roots::Webpki), &[]).unwrap())
}

/// A client that trusts the certificates in a file.
fn client_trusting(file: PathBuf) -> Client {
    Client::new(trust::client_config(Some(Roots::Webpki), &[file]).unwrap())
}

fn full(text: &'static str) -> WasiBody {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

/// A body of pieces that a test sends.
fn channel() -> (tokio::sync::mpsc::Sender<Bytes>, WasiBody) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|piece| piece.map(|piece| Ok::<_, Error>(http_body::Frame::data(piece))))
    });
    (sender, http_body_util::StreamBody::new(frames).boxed_unsync())
}

fn request(method: &str, url: &str, body: WasiBody) -> Request<WasiBody> {
    Request::builder().method(method).uri(url).body(body).unwrap()
}

async fn send(
    client: &Client,
    request: Request<WasiBody>,
    times: Times,
) -> Result<(Response<WasiBody>, Sending), Error> {
    client.send(request, times, ()).await
}

/// The status and the whole body of an answer.
async fn answer(client: &Client, request: Request<WasiBody>) -> Result<(u16, String), Error> {
    let (response, _sending) = send(client, request, PATIENT).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

async fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads the head of a request and as much of the body as its `Content-Length` says. Gives none where the connection ends.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if text.len() >= end + 4 + length {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => text.push_str(std::str::from_utf8(&buffer[..length]).unwrap()),
        }
    }
}

async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}
