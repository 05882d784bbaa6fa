//! A TCP client that prints each step: it connects, sends its argument as a line, and prints the answer.
//!
//! `tcp-client [TEXT] [ADDRESS]` sends TEXT, by default "hello", to ADDRESS, by default 127.0.0.1:7000. `tcp-server` is
//! its peer.

#![cfg(target_family = "wasm")]

mod net;

use net::{Failure, Patience, say};
use wasi::cli::environment;

net::bindings!("tcp-client", TcpClient);

/// The default text, and the default address to send it to.
const TEXT: &str = "hello";
const ADDRESS: &str = "127.0.0.1:7000";

/// How long the server may take to accept, and then to answer, in seconds.
const PATIENCE: u64 = 5;

struct TcpClient;

impl bindings::exports::wasi::cli::run::Guest for TcpClient {
    fn run() -> Result<(), ()> {
        net::end("tcp-client", talk())
    }
}

fn talk() -> Result<(), Failure> {
    let mut arguments = environment::get_arguments().into_iter().skip(1);
    let text = arguments.next().unwrap_or_else(|| TEXT.to_owned());
    let address = net::address(arguments.next().as_deref().unwrap_or(ADDRESS))?;

    let socket = net::create(address)?;
    say("socket created: an end of a connection to be, without an address");

    say(&format!(
        "connecting to {address}: the system chooses a port for our end, and asks the other one (SYN)"
    ));
    let connection = net::connect(socket, address, PATIENCE)?;
    say(&format!("connected: {connection}, which the server may not even have noticed yet"));

    let line = format!("{text}\n");
    connection.send(line.as_bytes())?;
    say(&format!("sent {} bytes to {address}: {line:?}", line.len()));

    let patience = Patience::of(PATIENCE);
    let mut answer = Vec::new();
    // TCP is a stream of bytes without messages: the answer may arrive in pieces, and ends when the server shuts down.
    while let Some(bytes) = connection.receive(&patience)? {
        say(&format!("received {} bytes from {address}: {:?}", bytes.len(), String::from_utf8_lossy(&bytes)));
        answer.extend(bytes);
    }
    say("the server has shut down: no more will come from there (FIN)");

    connection.shut_down()?;
    say("shut down: the server is told that no more will come from here either");

    let name = connection.to_string();
    drop(connection);
    say(&format!("closed: {name}"));
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}
