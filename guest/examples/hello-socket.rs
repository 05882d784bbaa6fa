//! Hello over a socket: HTTP/1.1 by hand, on top of TCP. Open it in a browser.
//!
//! `hello-socket [ADDRESS]` listens at 127.0.0.1:8080 unless told otherwise, and answers one client after another: it
//! accepts, reads the request up to the empty line, answers, and closes.

#![cfg(target_family = "wasm")]

mod net;

use net::{Connection, Failure, Patience, say};
use wasi::cli::environment;

net::bindings!("hello-socket", HelloSocket);

/// Where to listen, unless told otherwise.
const ADDRESS: &str = "127.0.0.1:8080";

/// How long a client may take for its request, and then for going away, in seconds. The next one waits meanwhile:
/// browsers open connections in advance and say nothing on them.
const PATIENCE: u64 = 2;

/// The longest request, in bytes, without its body.
const LONGEST_REQUEST: usize = 16 * 1024;

struct HelloSocket;

impl bindings::exports::wasi::cli::run::Guest for HelloSocket {
    fn run() -> Result<(), ()> {
        net::end("hello-socket", serve())
    }
}

fn serve() -> Result<(), Failure> {
    let argument = environment::get_arguments().into_iter().nth(1);
    let address = net::address(argument.as_deref().unwrap_or(ADDRESS))?;
    let socket = net::create(address)?;
    let address = net::bind(&socket, address)?;
    let listener = net::listen(socket, address)?;
    say(&format!("Listening on http://{address}/"));
    loop {
        let connection = listener.accept()?;
        // One client's trouble is not the next one's.
        match answer(&connection) {
            Ok(line) => say(&format!("{}: {line}", connection.remote)),
            Err(Failure(sentence)) => say(&format!("{}: {sentence}", connection.remote)),
        }
    }
}

/// Reads a request and answers it; gives the line that it begins with.
fn answer(connection: &Connection) -> Result<String, Failure> {
    let (response, line) = match read_request(connection)? {
        Some(request) => {
            let line = request.lines().next().unwrap_or_default().to_owned();
            // METHOD SP target SP version (RFC 9112 §3)
            let response = match line.split(' ').collect::<Vec<_>>()[..] {
                ["HEAD", _, "HTTP/1.1" | "HTTP/1.0"] => response("200 OK", "Hello World", true),
                [_, _, "HTTP/1.1" | "HTTP/1.0"] => response("200 OK", "Hello World", false),
                _ => response("400 Bad Request", "This is not HTTP/1.1.\n", false),
            };
            (response, line)
        }
        None => {
            let text = "The request is too long.\n";
            (response("431 Request Header Fields Too Large", text, false), text.trim_end().to_owned())
        }
    };
    connection.send(response.as_bytes())?;
    connection.shut_down()?;
    // A connection that is closed while bytes of the client's are unread is reset, and the answer could be lost.
    let patience = Patience::of(PATIENCE);
    while let Ok(Some(_)) = connection.receive(&patience) {}
    Ok(line.escape_default().to_string())
}

/// The request up to its empty line; `None` when it is too long.
fn read_request(connection: &Connection) -> Result<Option<String>, Failure> {
    let patience = Patience::of(PATIENCE);
    let mut request = Vec::new();
    // TCP carries bytes and no messages: the request may come in pieces of any size.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.receive(&patience)? {
            Some(bytes) => request.extend(bytes),
            None => return Err(Failure("has gone before its request was complete".to_owned())),
        }
        if request.len() > LONGEST_REQUEST {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&request).into_owned()))
}

/// A whole response. The length says where it ends, so that the client knows when it has all of it.
fn response(status: &str, body: &str, head_only: bool) -> String {
    let length = body.len();
    let body = if head_only { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         Connection: close\r\n\
         \r\n\
         {body}"
    )
}
