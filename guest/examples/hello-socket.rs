//! Hello over a socket: HTTP/1.1, written by hand on top of TCP. Open it in a browser.
//!
//! `hello-socket [ADDRESS]` listens at ADDRESS, by default 127.0.0.1:8080, and serves one client after another: it
//! accepts, reads the request up to the empty line, answers, and closes.

#![cfg(target_family = "wasm")]

mod net;

use net::{Connection, Failure, Patience, say};
use wasi::cli::environment;

net::bindings!("hello-socket", HelloSocket);

/// The default address to listen at.
const ADDRESS: &str = "127.0.0.1:8080";

/// How long a client may take to send its request, and then to close the connection, in seconds. The next client waits
/// meanwhile, and browsers open connections in advance on which they send nothing.
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
        // An error concerns this client only, so the server continues with the next one.
        match answer(&connection) {
            Ok(line) => say(&format!("{}: {line}", connection.remote)),
            Err(Failure(sentence)) => say(&format!("{}: {sentence}", connection.remote)),
        }
    }
}

/// Reads a request and answers it. Returns the first line of the request.
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
    // Closing a connection with unread bytes resets it, and the client could lose the answer.
    let patience = Patience::of(PATIENCE);
    while let Ok(Some(_)) = connection.receive(&patience) {}
    Ok(line.escape_default().to_string())
}

/// Reads the request up to its empty line; `None` if it is too long.
fn read_request(connection: &Connection) -> Result<Option<String>, Failure> {
    let patience = Patience::of(PATIENCE);
    let mut request = Vec::new();
    // TCP is a stream of bytes without messages: the request may arrive in pieces of any size.
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

/// A whole response. Its length tells the client where the body ends.
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
