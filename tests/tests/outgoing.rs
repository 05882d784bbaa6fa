//! Requests that a guest sends: only to the hosts that `--allow-host` names. Those to a real server are in `nginx.rs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::thread::JoinHandle;
use tests::guests::{GuestFile, asking_by};
use tests::process::Process;
use tests::{Server, programs};

/// A guest that requests `/x` from this authority, and answers `had an answer` or `had none`.
fn asking(authority: &str) -> GuestFile {
    asking_by("http", authority)
}

/// Starts a server that answers one request. Its thread returns the lines of the request's head.
fn answering() -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(&stream).lines().map(Result::unwrap);
        let lines = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        lines
    });
    (address, thread)
}

fn serve(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

fn refuses(authority: &str, options: &[&str], flag: &str) {
    let guest = asking(authority);
    let server = serve(&guest, options);
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "had none", "{authority} with {options:?}");
    }
    server.signal("TERM");
    let (_, _, errors) = server.wait();
    let usual = [
        "Running ",
        "Not granted to ",
        "Locked down: ",
        "Listening on ",
        "wasi-httpd: warning: at most ",
        "wasi-httpd: warning: this runs as root",
    ];
    let said: Vec<_> =
        errors.iter().filter(|line| !usual.iter().any(|start| line.starts_with(start))).collect();
    match flag {
        "" => assert_eq!(said, Vec::<&String>::new()),
        // Each different refusal is reported once.
        flag => {
            assert_eq!(said.len(), 1, "{said:?}");
            let (start, end) =
                ("wasi-httpd: warning: the guest may not send requests", format!("{flag} allows it"));
            assert!(said[0].starts_with(start) && said[0].ends_with(&end), "{said:?}");
        }
    }
}

#[test]
fn a_request_is_refused_unless_its_host_is_named() {
    // The requests are refused without a connection, so nothing needs to listen there.
    refuses("127.0.0.1:9", &[], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1", &[], "--allow-host 127.0.0.1:80");
    refuses("127.0.0.1:9", &["--allow-host", "127.0.0.1"], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1:9", &["--allow-host", "127.0.0.1:10"], "--allow-host 127.0.0.1:9");
    refuses("127.0.0.1:9", &["--allow-host", "localhost:9"], "--allow-host 127.0.0.1:9");
    refuses("localhost:9", &["--allow-host", "127.0.0.1:9"], "--allow-host localhost:9");
}

#[test]
fn a_request_to_a_named_host_is_sent() {
    for name in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let (address, answered) = answering();
        let authority = format!("{}:{}", name.to_ascii_lowercase(), address.port());
        let guest = asking(&authority);
        let server = serve(&guest, &["--allow-host", &format!("{name}:{}", address.port())]);
        assert_eq!(server.get("/").text(), "had an answer");
        let request = answered.join().unwrap();
        assert_eq!(request[0], "GET /x HTTP/1.1");
        assert!(request.contains(&format!("host: {authority}")), "{request:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn an_unreachable_or_silent_host_is_an_error_for_the_guest() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refuses(&closed, &["--allow-host", &closed], "");

    // This host accepts and never answers. The request fails while the guest still has time to answer its own client.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let guest = asking(&address);
    let server = serve(&guest, &["--allow-host", &address, "--timeout", "4"]);
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (200, "had none"));
}

#[test]
fn user_information_does_not_change_the_host() {
    let guest = asking("127.0.0.1@localhost:9");
    let server = serve(&guest, &["--allow-host", "127.0.0.1:9", "--allow-host", "localhost:9"]);
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (200, "had none"));
}

#[test]
fn authorities_are_read_at_the_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("authority.pem");
    let guest = asking("localhost:9");
    let start = || {
        let mut command = programs!().command();
        command.args(["--addr", "127.0.0.1:0", "--allow-host", "localhost:9", "--outgoing-ca"]);
        Process::start(command.arg(&file).arg(&guest.path).stdin(Stdio::null())).wait()
    };
    for (text, why) in [(None, "cannot be read"), (Some("text"), "has no certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let (status, _, errors) = start();
        assert_eq!(status.code(), Some(1));
        let last = errors.last().unwrap();
        let start = format!("wasi-httpd: --outgoing-ca {}: {why}", file.display());
        assert!(last.starts_with(&start), "{errors:?}");
    }
}
