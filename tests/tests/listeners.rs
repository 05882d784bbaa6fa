//! Listeners: unix sockets, several addresses, those of a service manager, and what is wrong with an address.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tests::{Client, Process, Site, programs};

/// Starts a server for `site` that listens only on a unix socket.
fn start(site: &Site, socket: &Path, options: &[&str]) -> Process {
    let address = format!("unix:{}", socket.display());
    let mut command = programs!().command();
    command.args(["--addr", &address, "--dir"]).arg(site.root()).args(options).stdin(Stdio::null());
    let process = Process::start(&mut command);
    process.wait_for_error(|line| line == format!("Listening on {address}"));
    process
}

/// Expects that a server does not start with these addresses, for a reason that holds all of `words`.
fn fails(addresses: &[&str], status: i32, words: &[&str]) {
    let mut command = programs!().command();
    for address in addresses {
        command.args(["--addr", address]);
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{addresses:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{addresses:?}: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "{addresses:?}: no `{word}` in: {stderr}");
    }
}

#[test]
fn a_unix_socket_serves_what_a_port_does() {
    let site = Site::new();
    let large: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
    site.file("a.txt", "hello").file("large.bin", &large);
    let socket = site.outside().join("http.sock");
    let server = start(&site, &socket, &[]);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);

    let mut client = Client::connect_unix(&socket);
    assert_eq!(client.request("GET", "/a.txt?x", &[]).text(), "hello");
    assert!(client.request("GET", "/large.bin", &[]).body == large);
    let range = client.request("GET", "/large.bin", &[("Range", "bytes=1000000-2000000")]);
    assert!(range.status == 206 && range.body == large[1_000_000..=2_000_000]);
    // A proxy passes on whatever name the site has.
    client.send("GET /a.txt HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert_eq!(client.response("GET").text(), "hello");
    // Listings are for servers that only their user reaches.
    assert_eq!(client.request("GET", "/", &[]).status, 404);

    let line = server.wait_for_output(|line| line.contains("/a.txt?x"));
    assert!(line.starts_with("unix - - ["), "{line}");
    server.signal("TERM");
    let (status, ..) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!socket.exists(), "the socket is still there");
}

#[test]
fn a_unix_socket_has_the_permissions_of_the_flag() {
    let site = Site::new();
    let socket = site.outside().join("http.sock");
    let _server = start(&site, &socket, &["--socket-mode", "0606"]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o606);
}

#[test]
fn names_can_be_limited_on_a_unix_socket() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let socket = site.outside().join("http.sock");
    let _server = start(&site, &socket, &["--allow-name", "www.example.com"]);
    for (host, status) in [("www.example.com", 200), ("localhost", 200), ("example.org", 421)] {
        let mut client = Client::connect_unix(&socket);
        client.send(format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response("GET").status, status, "{host}");
    }
}

#[test]
fn a_socket_that_a_dead_server_has_left_is_replaced() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let socket = site.outside().join("http.sock");
    let dead = start(&site, &socket, &[]);
    dead.signal("KILL");
    dead.wait();
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    let server = start(&site, &socket, &[]);
    assert_eq!(Client::connect_unix(&socket).request("GET", "/a.txt", &[]).text(), "hello");

    // Another one has taken its place, which is left alone.
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    server.signal("TERM");
    server.wait();
    assert!(socket.exists());
    drop(other);
}

#[test]
fn a_socket_that_cannot_be_used_is_one_line() {
    let site = Site::new();
    site.file("regular.sock", "precious");
    let path = |name: &str| format!("unix:{}", site.root().join(name).display());
    let regular = path("regular.sock");
    fails(&[&regular], 1, &[&regular, "not a socket"]);
    assert_eq!(fs::read(site.path("regular.sock")).unwrap(), b"precious");
    fails(&[&path("missing/a.sock")], 1, &["there is no directory", "missing", "create it first"]);
    fails(&[&path("regular.sock/a.sock")], 1, &["is not a directory"]);
    let long = "x".repeat(108);
    fails(&[&format!("unix:{long}")], 2, &["--addr", "at most 107 bytes", "108", &long]);
    fails(&["unix:"], 2, &["--addr takes HOST:PORT or unix:PATH", "`unix:`"]);
    fails(&["unix:@name"], 2, &["--addr takes unix:PATH", "`unix:@name`"]);
    let taken = path("taken.sock");
    let other = UnixListener::bind(site.path("taken.sock")).unwrap();
    fails(&[&taken], 1, &[&taken, "another program listens there"]);
    drop(other);
}

#[test]
fn two_listeners_on_one_address_are_an_error() {
    // No other test uses this address, so that the port stays free.
    let port = TcpListener::bind("127.77.0.1:0").unwrap().local_addr().unwrap().port();
    let one = format!("127.77.0.1:{port}");
    let words = [&*format!("cannot listen on {one}"), "this server listens on", "--addr"];
    fails(&[&one, &one], 1, &words);

    let site = Site::new();
    let socket = site.outside().join("http.sock");
    let address = format!("unix:{}", socket.display());
    fails(&[&address, &address], 1, &[&address, "this server listens there already"]);
    assert!(!socket.exists(), "what was opened before the error is removed");
}

#[test]
fn a_client_that_stops_reading_is_cut_on_a_unix_socket_too() {
    let site = Site::new();
    site.file("large.bin", vec![1; 64 << 20]);
    let socket = site.outside().join("http.sock");
    let server = start(&site, &socket, &["--stall-timeout", "1"]);
    let mut client = Client::connect_unix(&socket);
    client.send("GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_for_output(|line| line.contains("/large.bin"));
    assert!(!client.response("GET").complete);
}

#[test]
fn listeners_of_the_service_manager_take_the_place_of_the_default_address() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let path = site.outside().join("http.sock");
    let (mut command, copies) =
        programs!().activated([port.into(), UnixListener::bind(&path).unwrap().into()]);
    let server = Process::start(command.arg("--dir").arg(site.root()));
    drop(copies);
    server.wait_for_error(|line| line == format!("Listening on http://{address}/"));
    server.wait_for_error(|line| line == format!("Listening on unix:{}", path.display()));
    assert_eq!(Client::connect(address).request("GET", "/a.txt", &[]).text(), "hello");
    assert_eq!(Client::connect_unix(&path).request("GET", "/a.txt", &[]).text(), "hello");
    server.signal("TERM");
    let (status, _, lines) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(lines.iter().filter(|line| line.starts_with("Listening")).count(), 2, "{lines:?}");
    assert!(path.exists(), "the socket belongs to the service manager");
}

#[test]
fn listeners_of_the_service_manager_and_of_the_command_line_serve_together() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let (mut command, _copies) = programs!().activated([TcpListener::bind("127.0.0.1:0").unwrap().into()]);
    let path = site.outside().join("http.sock");
    command.arg("--addr").arg(format!("unix:{}", path.display())).arg("--dir").arg(site.root());
    let server = Process::start(&mut command);
    server.wait_for_error(|line| line.starts_with("Listening on http://127.0.0.1:"));
    server.wait_for_error(|line| line.starts_with("Listening on unix:"));
    assert_eq!(Client::connect_unix(&path).request("GET", "/a.txt", &[]).text(), "hello");
}

#[test]
fn a_descriptor_that_does_not_listen_is_one_line() {
    let (stream, _other) = UnixStream::pair().unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (descriptor, words) in [
        (OwnedFd::from(stream), "descriptor 3 does not listen; the socket unit needs Accept=no"),
        (file.into(), "neither a TCP nor a unix stream socket"),
        (datagrams.into(), "the socket unit needs ListenStream="),
    ] {
        let (mut command, _copies) = programs!().activated([descriptor]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains("socket 1 of LISTEN_FDS") && stderr.contains(words), "{stderr}");
    }
}

#[test]
fn descriptors_for_another_process_are_left_alone() {
    let site = Site::new();
    let mut command = programs!().command();
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").args(["--addr", "127.0.0.1:0", "--dir"]);
    let server = Process::start(command.arg(site.root()).stdin(Stdio::null()));
    server.wait_for_error(|line| line.starts_with("Listening on http://127.0.0.1:"));
}

#[test]
fn the_service_manager_is_told_that_the_server_is_ready_alive_and_stops() {
    let site = Site::new();
    let path = site.outside().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(4))).unwrap();
    let message = || {
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = programs!().command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).stdin(Stdio::null());
    let server = Process::start(&mut command);
    assert_eq!(message(), "READY=1\n");
    server.wait_for_error(|line| line.starts_with("Listening on "));
    for _ in 0..3 {
        assert_eq!(message(), "WATCHDOG=1\n");
    }
    server.signal("TERM");
    while message() != "STOPPING=1\n" {}
    assert_eq!(server.wait().0.code(), Some(0));
}
