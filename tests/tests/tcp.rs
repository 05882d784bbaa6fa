//! `tcp-server` and `tcp-client`: each step is printed as it happens, the kernel's state of the sockets agrees with it,
//! and an error is explained in a sentence.

use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tests::guests::{GuestFile, HELLO_SOCKET, TCP_CLIENT, TCP_SERVER};
use tests::sockets::{State, listening, state};
use tests::{Process, programs};

/// Starts a server on a free port. Returns it with its address once it listens.
fn start_server() -> (Process, SocketAddr, GuestFile) {
    let guest = GuestFile::new(TCP_SERVER);
    let options = ["--allow-tcp-listen", "127.0.0.1:0"];
    let process = Process::start(&mut programs!().run(&options, &guest.path, &["127.0.0.1:0"]));
    let line = process.wait_for_output(|line| line.starts_with("listening at "));
    let address = line.trim_start_matches("listening at ").split(": ").next().unwrap().parse().unwrap();
    (process, address, guest)
}

/// Starts a client that sends `hello` to this address.
fn start_client(address: SocketAddr) -> (Process, GuestFile) {
    let guest = GuestFile::new(TCP_CLIENT);
    let address = address.to_string();
    let options = ["--allow-tcp-connect", &address];
    (Process::start(&mut programs!().run(&options, &guest.path, &["hello", &address])), guest)
}

/// The lines, with these addresses replaced by `SERVER` and `CLIENT`.
fn masked(lines: &[String], server: SocketAddr, client: SocketAddr) -> Vec<String> {
    let mask =
        |line: &String| line.replace(&server.to_string(), "SERVER").replace(&client.to_string(), "CLIENT");
    lines.iter().map(mask).collect()
}

const SERVER_OUTPUT: [&str; 12] = [
    "socket created: an end of a connection to be, without an address",
    "bound: SERVER is ours, and nobody can connect to it yet",
    "listening at SERVER: from now on the system accepts connections, and keeps them for us",
    "blocked in accept: there is nothing to do until a client connects",
    "connected: SERVER <-> CLIENT, a new socket, the peer of the client's",
    "still listening at SERVER: that socket is there as before, for other clients",
    r#"received 6 bytes from CLIENT: "hello\n""#,
    r#"sent 16 bytes to CLIENT: "You said: hello\n""#,
    "shut down: the client is told that no more will come (FIN), and could still send",
    "the client has shut down too: both directions are at their end",
    "closed: SERVER <-> CLIENT",
    "closed: SERVER, where nobody listens any more",
];

const CLIENT_OUTPUT: [&str; 9] = [
    "socket created: an end of a connection to be, without an address",
    "connecting to SERVER: the system chooses a port for our end, and asks the other one (SYN)",
    "connected: CLIENT <-> SERVER, which the server may not even have noticed yet",
    r#"sent 6 bytes to SERVER: "hello\n""#,
    r#"received 16 bytes from SERVER: "You said: hello\n""#,
    "the server has shut down: no more will come from there (FIN)",
    "shut down: the server is told that no more will come from here either",
    "closed: CLIENT <-> SERVER",
    "You said: hello",
];

#[test]
fn the_server_prints_each_step_as_it_happens() {
    let (server, address, _guest) = start_server();
    server.wait_for_output(|line| line.starts_with("blocked in accept: "));
    assert_eq!(listening(address), Some(State::Listen));
    assert_eq!(server.output().len(), 4, "{:?}", server.output());

    let mut client = TcpStream::connect(address).unwrap();
    let ours = client.local_addr().unwrap();
    server.wait_for_output(|line| line.starts_with("still listening"));
    assert_eq!(state(address, ours), Some(State::Established));
    assert_eq!(state(ours, address), Some(State::Established));
    assert_eq!(listening(address), Some(State::Listen), "the listening socket is closed");

    client.write_all(b"hel").unwrap();
    client.write_all(b"lo\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "You said: hello\n");
    server.wait_for_output(|line| line.starts_with("shut down: "));
    drop(client);

    let (status, output, errors) = server.wait();
    assert_eq!((status.code(), errors), (Some(0), vec![]));
    assert_eq!(masked(&output, address, ours), SERVER_OUTPUT);
    assert_eq!(listening(address), None);
}

#[test]
fn the_client_prints_each_step_as_it_happens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (client, _guest) = start_client(address);
    client.wait_for_output(|line| line.starts_with("connected: "));
    let (mut server, theirs) = listener.accept().unwrap();
    client.wait_for_output(|line| line.starts_with("sent "));
    // The connection stays established while the client waits for its answer.
    assert_eq!(state(theirs, address), Some(State::Established));
    assert_eq!(state(address, theirs), Some(State::Established));
    let mut line = [0; 6];
    server.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    server.write_all(b"You said: hello\n").unwrap();
    client.wait_for_output(|line| line.starts_with("received "));
    drop(server);

    let (status, output, errors) = client.wait();
    assert_eq!((status.code(), errors), (Some(0), vec![]));
    assert_eq!(masked(&output, address, theirs), CLIENT_OUTPUT);
}

#[test]
fn the_two_talk_to_each_other() {
    let (server, address, _server_guest) = start_server();
    let (client, _client_guest) = start_client(address);
    let (status, client_output, errors) = client.wait();
    assert_eq!((status.code(), errors), (Some(0), vec![]));
    let (status, server_output, errors) = server.wait();
    assert_eq!((status.code(), errors), (Some(0), vec![]));

    let connected = client_output.iter().find_map(|line| line.strip_prefix("connected: ")).unwrap();
    let client_address = connected.split(" <-> ").next().unwrap().parse().unwrap();
    assert_eq!(masked(&server_output, address, client_address), SERVER_OUTPUT);
    assert_eq!(masked(&client_output, address, client_address), CLIENT_OUTPUT);
}

#[test]
fn the_diagram_shows_each_step() {
    let diagram = include_str!("../../guest/examples/tcp-connection.svg");
    for line in SERVER_OUTPUT.iter().chain(&CLIENT_OUTPUT) {
        // The diagram has only the step itself, without the address and the explanation.
        let steps = [" at SERVER", " to SERVER", " to CLIENT", " from SERVER", " from CLIENT", ": "];
        let step = steps.iter().fold(*line, |step, rest| step.split(rest).next().unwrap_or(step));
        let step = if *line == "You said: hello" { line } else { step };
        assert!(diagram.contains(&format!(">{step}<")), "the diagram has no `{step}`");
    }
}

/// Expects that a guest ends with status 1 and one line on standard error that holds all of `words`.
fn fails(process: Process, words: &[&str]) {
    let (status, _, errors) = process.wait();
    assert_eq!(status.code(), Some(1), "{errors:?}");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for word in words {
        assert!(errors[0].contains(word), "no `{word}` in: {}", errors[0]);
    }
}

#[test]
fn without_a_flag_each_program_names_the_one_it_needs() {
    for (component, name, flag) in [
        (TCP_SERVER, "tcp-server: ", "--allow-tcp-listen 127.0.0.1:7000"),
        (TCP_CLIENT, "tcp-client: ", "--allow-tcp-connect 127.0.0.1:7000"),
        (HELLO_SOCKET, "hello-socket: ", "--allow-tcp-listen 127.0.0.1:8080"),
    ] {
        let guest = GuestFile::new(component);
        fails(Process::start(&mut programs!().run(&[], &guest.path, &[])), &[name, flag]);
    }
}

#[test]
fn a_flag_allows_one_address() {
    for (component, flag, granted, asked) in [
        (TCP_SERVER, "--allow-tcp-listen", "127.0.0.1:1", "127.0.0.1:0"),
        (TCP_SERVER, "--allow-tcp-listen", "127.0.0.1:0", "0.0.0.0:0"),
        (HELLO_SOCKET, "--allow-tcp-listen", "127.0.0.2:0", "127.0.0.1:0"),
        (HELLO_SOCKET, "--allow-tcp-connect", "127.0.0.1:8080", "127.0.0.1:8080"),
    ] {
        let guest = GuestFile::new(component);
        let process = Process::start(&mut programs!().run(&[flag, granted], &guest.path, &[asked]));
        fails(process, &["may not listen", &format!("--allow-tcp-listen {asked}")]);
    }
    let guest = GuestFile::new(TCP_CLIENT);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (flag, granted) in [("--allow-tcp-connect", "127.0.0.1:1"), ("--allow-tcp-listen", &*address)] {
        let mut command = programs!().run(&[flag, granted], &guest.path, &["hello", &address]);
        fails(Process::start(&mut command), &["may not connect", &address]);
    }
}

#[test]
fn an_address_that_cannot_be_bound_is_explained() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for component in [TCP_SERVER, HELLO_SOCKET] {
        let guest = GuestFile::new(component);
        let start = |address: &str| {
            let options = ["--allow-root", "--allow-tcp-listen", address];
            Process::start(&mut programs!().run(&options, &guest.path, &[address]))
        };
        fails(start(&address), &[&address, "another program has it"]);
        fails(start("192.0.2.1:0"), &["cannot bind 192.0.2.1:0", "no address of this machine"]);
        let process = Process::start(&mut programs!().run(&[], &guest.path, &["8080"]));
        fails(process, &["`8080` is not an address and a port"]);
    }
}

#[test]
fn a_connection_that_is_refused_is_explained() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, _guest) = start_client(closed);
    fails(client, &[&format!("refused by {closed}"), "RST"]);
}

/// Closes a connection with RST.
fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn a_connection_that_is_reset_is_explained_at_either_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (client, _guest) = start_client(address);
    let (stream, _) = listener.accept().unwrap();
    client.wait_for_output(|line| line.starts_with("sent "));
    reset(stream);
    fails(client, &[&format!("reset by {address}"), "RST"]);

    let (server, address, _guest) = start_server();
    let stream = TcpStream::connect(address).unwrap();
    let ours = stream.local_addr().unwrap();
    server.wait_for_output(|line| line.starts_with("connected: "));
    reset(stream);
    fails(server, &[&format!("reset by {ours}"), "RST"]);
}

#[test]
fn a_line_that_is_too_long_is_an_error() {
    let (server, address, _guest) = start_server();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[b'x'; 2048]).unwrap();
    fails(server, &["more than 1024 bytes"]);
}

#[test]
fn a_server_that_does_not_answer_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _guest) = start_client(listener.local_addr().unwrap());
    let _accepted = listener.accept().unwrap();
    fails(client, &["timed out", "has sent nothing for 5 s"]);
}

/// A listening socket with a full backlog, its address, and the connections that fill the backlog.
fn full() -> (OwnedFd, SocketAddr, Vec<TcpStream>) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    let wait = Duration::from_millis(500);
    let connections =
        (0..16).map_while(|_| TcpStream::connect_timeout(&address, wait).ok()).collect::<Vec<_>>();
    assert!(connections.len() < 16, "the backlog is not full");
    (socket, address, connections)
}

#[test]
fn a_server_that_does_not_accept_is_a_timeout() {
    let (_socket, address, _connections) = full();
    let (client, _guest) = start_client(address);
    fails(client, &[&format!("timed out: {address} has not answered in 5 s")]);
}
