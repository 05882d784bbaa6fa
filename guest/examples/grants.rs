//! What a component of WASI 0.3 does with what it is granted: it keeps values, reads its configuration, writes files, sends
//! requests, and connects, by the path of the request. The answer says what came of it. The tests run it, with and without grants.

#![cfg(target_family = "wasm")]

use bindings::wasi::config::store as config;
use bindings::wasi::filesystem::preopens;
use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode as FileError, OpenFlags, PathFlags,
};
use bindings::wasi::http::client;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use bindings::wasi::keyvalue::{atomics, batch, store};
use bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use bindings::wasi::sockets::types::{
    ErrorCode as SocketError, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use bindings::{wit_future, wit_stream};
use std::fmt::Debug;
use std::net::SocketAddrV4;
use wit_bindgen::spawn_local;

/// The bindings of the world: generated code, and the only code here that may be `unsafe`.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit/p3",
        world: "grants",
        generate_all,
    });

    export!(Grants with_types_in self);
    use super::Grants;
}

struct Grants;

/// The key under which values are kept.
const KEY: &str = "n";

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// What is sent by TCP.
const GREETING: &[u8] = b"hello\n";

impl bindings::exports::wasi::http::handler::Guest for Grants {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, argument) = target.split_once('?').unwrap_or((&target, ""));
        Ok(text(match path {
            "/count" => said(count(argument)),
            "/values" => said(values(argument)),
            "/config" => said(configuration(argument)),
            "/create" => said(create(argument).await.map(|_| "created".to_owned())),
            "/create-and-trap" => {
                let _file = create(argument).await;
                std::process::abort()
            }
            "/symlink" => said(symlink(argument).await.map(|()| "linked".to_owned())),
            "/write" => said(write(argument).await),
            "/fill" => said(fill(argument).await),
            "/file" => return file(argument).await,
            "/ask" => said(ask(argument).await),
            "/pass" => return pass_on(request, argument).await,
            "/connect" => said(connect(argument).await),
            "/listen" => said(listen(argument).map(|()| "listening".to_owned())),
            "/datagrams" => said(UdpSocket::create(IpAddressFamily::Ipv4).map(|_| "created".to_owned())),
            "/addresses" => said(resolve_addresses(argument.to_owned()).await.map(|all| format!("{all:?}"))),
            _ => "there is no such grant".to_owned(),
        }))
    }
}

/// A text, or the name of an error.
fn said<E: Debug>(outcome: Result<String, E>) -> String {
    outcome.unwrap_or_else(|error| format!("{error:?}"))
}

fn text(text: String) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        writer.write_all(text.into_bytes()).await;
    });
    Response::new(Fields::new(), Some(reader), no_trailers).0
}

/// Adds one to a number in a store.
fn count(name: &str) -> Result<String, store::Error> {
    let store = store::open(name)?;
    Ok(atomics::increment(&store, KEY, 1)?.to_string())
}

/// Keeps a value in a store, reads it in each way, and removes it.
fn values(name: &str) -> Result<String, store::Error> {
    let store = store::open(name)?;
    store.set(KEY, b"one")?;
    let value = store.get(KEY)?.unwrap_or_default();
    batch::set_many(&store, &[(KEY.to_owned(), b"two".to_vec())])?;
    let many = batch::get_many(&store, &[KEY.to_owned(), "other".to_owned()])?;
    let many = many.into_iter().flatten().flat_map(|(_, value)| value).collect();
    let (value, many) = (lossy(value), lossy(many));
    let keys = store.list_keys(None)?.keys;
    let is_there = store.exists(KEY)?;
    store.delete(KEY)?;
    batch::delete_many(&store, &[KEY.to_owned()])?;
    let left = store.list_keys(None)?.keys.len();
    Ok(format!("{value} {many} {keys:?} {is_there} {left}"))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value of the configuration, and how many there are.
fn configuration(name: &str) -> Result<String, config::Error> {
    Ok(format!("{:?} {}", config::get(name)?, config::get_all()?.len()))
}

/// The directory that was given last.
fn directory() -> Result<Descriptor, FileError> {
    preopens::get_directories().pop().map(|(directory, _)| directory).ok_or(FileError::NoEntry)
}

/// Makes a file that must not be there.
async fn create(path: &str) -> Result<Descriptor, FileError> {
    create_in(&directory()?, path).await
}

async fn create_in(directory: &Descriptor, path: &str) -> Result<Descriptor, FileError> {
    let (how, access) =
        (OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::READ | DescriptorFlags::WRITE);
    directory.open_at(PathFlags::empty(), path.to_owned(), how, access).await
}

async fn symlink(path: &str) -> Result<(), FileError> {
    directory()?.symlink_at("..".to_owned(), path.to_owned()).await
}

/// Makes a file, writes to it in each way, and reads it.
async fn write(path: &str) -> Result<String, FileError> {
    let file = create(path).await?;
    for (at, bytes) in [(Some(0), "hello, WORLD"), (Some(7), "world"), (None, "!")] {
        let (mut writer, reader) = wit_stream::new();
        let written = match at {
            Some(at) => file.write_via_stream(reader, at),
            None => file.append_via_stream(reader),
        };
        writer.write_all(bytes.into()).await;
        drop(writer);
        written.await?;
    }
    let size = file.stat().await?.size;
    let (stream, read) = file.read_via_stream(0);
    let bytes = stream.collect().await;
    read.await?;
    Ok(format!("{} {size}", lossy(bytes)))
}

/// Makes a file, fills it until there is no room, and deletes it, twice. Says how many pieces have fitted.
async fn fill(path: &str) -> Result<String, FileError> {
    let directory = directory()?;
    let mut said = Vec::new();
    for _ in 0..2 {
        let file = create_in(&directory, path).await?;
        let (mut writer, reader) = wit_stream::new();
        let written = file.write_via_stream(reader, 0);
        let mut pieces = 0;
        while writer.write_all(vec![b'x'; PIECE_BYTES]).await.is_empty() {
            pieces += 1;
        }
        let outcome = written.await;
        let grown = file.set_size(1 << 30).await;
        said.push(format!("{pieces} {outcome:?} {grown:?}"));
        directory.unlink_file_at(path.to_owned()).await?;
    }
    Ok(said.join("\n"))
}

/// Answers with a file of the directory that was given last, which is not read. Its address, before a comma, is connected to
/// before the trailers of the response are there.
async fn file(argument: &str) -> Result<Response, ErrorCode> {
    let failed = || ErrorCode::InternalError(Some("there is no such file".to_owned()));
    let (address, path) = argument.split_once(',').ok_or_else(failed)?;
    let directory = directory().map_err(|_| failed())?;
    let opened =
        directory.open_at(PathFlags::empty(), path.to_owned(), OpenFlags::empty(), DescriptorFlags::READ);
    let file = opened.await.map_err(|_| failed())?;
    let size = file.stat().await.map_err(|_| failed())?.size;
    let fields = [("content-length".to_owned(), size.to_string().into_bytes())];
    let fields = Fields::from_list(&fields).map_err(|_| failed())?;
    let (contents, _) = file.read_via_stream(0);
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let address = address.to_owned();
    spawn_local(async move {
        let _ = connect(&address).await;
        drop(trailers);
    });
    Ok(Response::new(fields, Some(contents), no_trailers).0)
}

fn addressed(request: &Request, authority: &str) -> Option<()> {
    request.set_scheme(Some(&Scheme::Http)).ok()?;
    request.set_authority(Some(authority)).ok()?;
    request.set_path_with_query(Some("/x")).ok()
}

/// Sends a request, and gives the status and the body of the response.
async fn ask(authority: &str) -> Result<String, ErrorCode> {
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, no_trailers, None);
    addressed(&request, authority).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, done);
    let body = body.collect().await;
    trailers.await?;
    Ok(format!("{status} {}", lossy(body)))
}

/// Sends the body of the request on unread, with its trailers, and gives the response as it came.
async fn pass_on(request: Request, authority: &str) -> Result<Response, ErrorCode> {
    let method = request.get_method();
    let (_, done) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, done);
    let fields = Fields::from_list(&[("trailer".to_owned(), b"x-end".to_vec())])
        .map_err(|_| ErrorCode::InternalError(None))?;
    let (request, _) = Request::new(fields, Some(body), trailers, None);
    request.set_method(&method).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    addressed(&request, authority).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    client::send(request).await
}

fn socket_address(text: &str) -> Result<IpSocketAddress, SocketError> {
    let address: SocketAddrV4 = text.parse().map_err(|_| SocketError::InvalidArgument)?;
    let port = address.port();
    Ok(IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: address.ip().octets().into() }))
}

/// Connects by TCP, sends a greeting, and gives the answer.
async fn connect(address: &str) -> Result<String, SocketError> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.connect(socket_address(address)?).await?;
    let (mut writer, reader) = wit_stream::new();
    let sent = socket.send(reader);
    writer.write_all(GREETING.to_vec()).await;
    drop(writer);
    sent.await?;
    let (stream, received) = socket.receive();
    let answer = stream.collect().await;
    received.await?;
    Ok(lossy(answer))
}

fn listen(address: &str) -> Result<(), SocketError> {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.bind(socket_address(address)?)?;
    socket.listen().map(drop)
}
