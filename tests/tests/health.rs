//! `wasi-httpd health`: what it says of servers that are ready, that stop, and that are none.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread::JoinHandle;
use tests::{Server, Site, eventually, programs};

fn health(arguments: &[&str], admin: Option<&str>) -> Output {
    let mut command = programs!().command();
    command.env_remove("WASI_HTTPD_ADMIN").envs(admin.map(|address| ("WASI_HTTPD_ADMIN", address)));
    command.arg("health").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Asserts that it says nothing.
fn is_healthy(output: &Output) {
    let printed = [&output.stdout[..], &output.stderr].concat();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&printed)), (Some(0), ""));
}

/// Asserts that this is its only line.
fn fails(output: &Output, status: i32, line: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("wasi-httpd: {line}\n"));
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(status), &[][..]));
}

/// A server whose admin listener is at this address.
fn serve(address: &str, options: &[&str]) -> (Server, Site) {
    let site = Site::new();
    let server = programs!().ours(&site, &[&["--admin", address], options].concat());
    (server, site)
}

/// A listener that hands its first connection to `answer`, and its address.
fn peer(answer: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, std::thread::spawn(move || answer(listener.accept().unwrap().0)))
}

#[test]
fn a_server_is_healthy_until_it_stops() {
    let (server, _site) = serve("127.0.0.1:0", &["--grace", "300"]);
    let address = server.admin_address().to_string();
    is_healthy(&health(&[&address], None));
    is_healthy(&health(&[], Some(&address)));
    // What is typed counts first.
    is_healthy(&health(&[&address.replace("127.0.0.1", "localhost")], Some("127.0.0.1:1")));

    server.signal("TERM");
    eventually("it is not ready", || server.admin("/readyz").status == 503);
    let line = format!("the server at {address} is not ready: /readyz is a 503 Service Unavailable");
    fails(&health(&[&address], None), 1, &line);
}

#[test]
fn a_unix_socket_is_asked_too() {
    let site = Site::new();
    let address = format!("unix:{}", site.outside().join("admin.sock").display());
    let server = programs!().ours(&site, &["--admin", &address]);
    server.wait_for_error(|line| line.starts_with("Admin on unix:"));
    is_healthy(&health(&[&address], None));
    drop(server);
    let line = format!(
        "cannot connect to {address}; a server with `--admin {address}` answers there: Connection refused (os error 111)"
    );
    fails(&health(&[&address], None), 1, &line);
}

#[test]
fn no_server_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let line = format!(
        "cannot connect to {address}; a server with `--admin {address}` answers there: Connection refused (os error 111)"
    );
    fails(&health(&[&address], None), 1, &line);
}

#[test]
fn what_is_no_admin_listener_is_not_healthy() {
    let site = Site::new();
    let server = programs!().ours(&site, &[]);
    let address = server.address().to_string();
    let line = format!(
        "what answers at {address} is not --admin of a server: /readyz is a 404 Not Found; name the address of --admin"
    );
    fails(&health(&[&address], None), 1, &line);

    let long: &[u8] = format!("HTTP/1.1 200 OK\r\nfield: {}", "a".repeat(65_536)).leak().as_bytes();
    for (answer, cause) in [
        (&b""[..], "connection closed before message completed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "invalid HTTP version parsed"),
        (b"HTTP/1.1 200 ", "connection closed before message completed"),
        (long, "message head is too large"),
    ] {
        let (address, peer) = peer(move |mut stream| {
            let mut head = [0; 512];
            let length = stream.read(&mut head).unwrap();
            assert!(head[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            // It may have read enough.
            let _ = stream.write_all(answer);
        });
        let output = health(&[&address], None);
        peer.join().unwrap();
        fails(&output, 1, &format!("there is no answer by HTTP from {address}: {cause}"));
    }
}

#[test]
fn a_server_has_so_much_time() {
    let (address, peer) = peer(|mut stream| {
        // An answer before the request would be no answer to it.
        let _ = stream.read(&mut [0; 512]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        // Until the client has gone.
        while stream.read(&mut [0; 512]).is_ok_and(|length| length > 0) {}
    });
    let output = health(&[&address, "--timeout", "1"], None);
    peer.join().unwrap();
    fails(&output, 1, &format!("the server at {address} has not answered within 1 s"));
}

#[test]
fn it_has_to_know_whom_to_ask() {
    let unknown = "`health` takes the address of --admin of a server, such as localhost:9090; name it, or set WASI_HTTPD_ADMIN";
    fails(&health(&[], None), 2, unknown);
    fails(&health(&[], Some("")), 2, unknown);
    let takes =
        "takes HOST:PORT or unix:PATH, such as localhost:8080, [::1]:8080 or unix:/run/site.sock, not";
    fails(&health(&["http://localhost:9090/"], None), 2, &format!("health {takes} `http://localhost:9090/`"));
    fails(&health(&[], Some("9090")), 2, &format!("WASI_HTTPD_ADMIN {takes} `9090`"));
    let zero = "health takes a port from 1 on, not `localhost:0`: nothing can be connected to at port 0";
    fails(&health(&["localhost:0"], None), 2, zero);
    fails(&health(&["localhost:1", "--timeout", "0"], None), 2, "--timeout takes a number above zero");
}
