//! A TCP server that prints each step: what happens between the program, its system and the peer, from the creation of
//! the socket to its close. It accepts one connection, reads a line, and answers it.
//!
//! `tcp-server [ADDRESS]` listens at ADDRESS, by default 127.0.0.1:7000. `tcp-client` is its peer.

#![cfg(target_family = "wasm")]

mod net;

use net::{Failure, Patience, say};
use wasi::cli::environment;

net::bindings!("tcp-server", TcpServer);

/// The default address to listen at.
const ADDRESS: &str = "127.0.0.1:7000";

/// How long a client may take to send its line, in seconds.
const PATIENCE: u64 = 30;

/// The longest line, in bytes.
const LONGEST_LINE: usize = 1024;

struct TcpServer;

impl bindings::exports::wasi::cli::run::Guest for TcpServer {
    fn run() -> Result<(), ()> {
        net::end("tcp-server", serve())
    }
}

fn serve() -> Result<(), Failure> {
    let argument = environment::get_arguments().into_iter().nth(1);
    let address = net::address(argument.as_deref().unwrap_or(ADDRESS))?;

    let socket = net::create(address)?;
    say("socket created: an end of a connection to be, without an address");

    let address = net::bind(&socket, address)?;
    say(&format!("bound: {address} is ours, and nobody can connect to it yet"));

    let listener = net::listen(socket, address)?;
    say(&format!(
        "listening at {address}: from now on the system accepts connections, and keeps them for us"
    ));

    say("blocked in accept: there is nothing to do until a client connects");
    let connection = listener.accept()?;
    say(&format!("connected: {connection}, a new socket, the peer of the client's"));
    say(&format!("still listening at {address}: that socket is there as before, for other clients"));

    let line = receive_line(&connection)?;
    let text = String::from_utf8_lossy(&line);
    say(&format!("received {} bytes from {}: {text:?}", line.len(), connection.remote));

    let answer = format!("You said: {}\n", text.trim_end());
    connection.send(answer.as_bytes())?;
    say(&format!("sent {} bytes to {}: {answer:?}", answer.len(), connection.remote));

    connection.shut_down()?;
    say("shut down: the client is told that no more will come (FIN), and could still send");

    while connection.receive(&Patience::of(PATIENCE))?.is_some() {}
    say("the client has shut down too: both directions are at their end");

    let name = connection.to_string();
    drop(connection);
    say(&format!("closed: {name}"));
    drop(listener);
    say(&format!("closed: {address}, where nobody listens any more"));
    Ok(())
}

/// Reads a line with its line feed, or without one if the client shuts down first.
fn receive_line(connection: &net::Connection) -> Result<Vec<u8>, Failure> {
    let patience = Patience::of(PATIENCE);
    let mut line = Vec::new();
    // TCP is a stream of bytes without messages: the line may arrive in pieces.
    while !line.contains(&b'\n') {
        match connection.receive(&patience)? {
            Some(bytes) => line.extend(bytes),
            None => break,
        }
        if line.len() > LONGEST_LINE {
            return Err(Failure(format!(
                "{} has sent more than {LONGEST_LINE} bytes without an end of line",
                connection.remote
            )));
        }
    }
    Ok(line)
}
