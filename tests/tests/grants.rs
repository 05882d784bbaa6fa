//! What components of WASI 0.3 are granted, with one request per instance and with several: state, files to write, requests to
//! other servers, and sockets. What they are not granted is refused and told. For WASI 0.2, that is in `state.rs`, `outgoing.rs` and
//! `tcp.rs`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use tests::guests::{GRANTS, GuestFile};
use tests::{Runtime, Server, eventually, programs};

/// One request per instance, one after another, and at the same time.
const WAYS: [&[&str]; 3] = [&[], &["--reuse", "100"], &["--reuse-concurrent", "50"]];

/// How the line begins that says what was refused.
const REFUSED: &str = "wasi-httpd: warning: the guest may not ";

fn each_way<'a>(guest: &'a GuestFile, options: &'a [&str]) -> impl Iterator<Item = Server> + 'a {
    WAYS.iter().map(move |way| programs!().ours_with_guest(&guest.path, &[way, options].concat()))
}

/// Sends the same request twice, in each way in which guests run, and expects this answer and one line about it.
fn is_refused(options: &[&str], target: &str, answer: &str, line: &str) {
    let guest = GuestFile::new(GRANTS);
    for server in each_way(&guest, options) {
        for _ in 0..2 {
            assert_eq!(server.get(target).text(), answer, "{target} with {options:?}");
        }
        server.signal("TERM");
        let (_, _, errors) = server.wait();
        let said: Vec<_> = errors.iter().filter(|line| line.starts_with(REFUSED)).collect();
        assert_eq!(said, [&format!("{REFUSED}{line}")], "{target} with {options:?}");
    }
}

#[test]
fn instances_share_a_store() {
    let guest = GuestFile::new(GRANTS);
    for server in each_way(&guest, &["--keyvalue", "counts=memory", "--keyvalue", "other=memory"]) {
        for count in 1..=5 {
            assert_eq!(server.get("/count?counts").text(), count.to_string());
        }
        assert_eq!(server.get("/count?other").text(), "1");
    }
}

#[test]
fn requests_that_count_at_the_same_time_lose_nothing() {
    const REQUESTS: usize = 200;
    let guest = GuestFile::new(GRANTS);
    for server in each_way(&guest, &["--keyvalue", "counts=memory", "--max-instances", "4"]) {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = server.connect();
                    for _ in 0..REQUESTS / 8 {
                        assert_eq!(client.request("GET", "/count?counts", &[]).status, 200);
                    }
                });
            }
        });
        assert_eq!(server.get("/count?counts").text(), (REQUESTS + 1).to_string());
    }
}

#[test]
fn values_come_back_as_they_were() {
    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    let file = format!("counts=sqlite:{}", place.path().join("counts.sqlite").display());
    for store in ["counts=memory", &file] {
        for server in each_way(&guest, &["--keyvalue", store]) {
            for _ in 0..2 {
                assert_eq!(server.get("/values?counts").text(), r#"one two ["n"] true 0"#, "{store}");
            }
        }
    }
}

#[test]
fn a_store_in_a_file_outlives_the_server() {
    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    let file = format!("counts=sqlite:{}", place.path().join("counts.sqlite").display());
    for (server, count) in each_way(&guest, &["--keyvalue", &file]).zip(1..) {
        assert_eq!(server.get("/count?counts").text(), count.to_string());
    }
}

#[test]
fn a_store_that_is_not_granted_is_refused_and_told() {
    let line = "open the store `counts`; --keyvalue counts=memory gives it one";
    is_refused(&[], "/count?counts", "Error::AccessDenied", line);
    is_refused(&["--keyvalue", "other=memory"], "/count?counts", "Error::NoSuchStore", line);
}

#[test]
fn values_of_the_configuration_are_read() {
    let guest = GuestFile::new(GRANTS);
    for server in each_way(&guest, &[]) {
        assert_eq!(server.get("/config?value").text(), "None 0");
    }
    for server in each_way(&guest, &["--config-var", "value=a=b", "--config-var", "other="]) {
        assert_eq!(server.get("/config?value").text(), r#"Some("a=b") 2"#);
        assert_eq!(server.get("/config?other").text(), r#"Some("") 2"#);
        assert_eq!(server.get("/config?none").text(), "None 2");
    }
}

/// Starts a server that keeps its scratch directories in this place.
fn with_scratch(guest: &GuestFile, place: &Path, options: &[&str]) -> Server {
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir", "/usr/share/doc", "--scratch", "1"]);
    command.args(options).arg(&guest.path).env("TMPDIR", place);
    Server::start(Runtime::Ours, command)
}

/// Whether there is no scratch directory below this place.
fn is_clean(place: &Path) -> bool {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let of_processes = entries(place).flat_map(|of_user| entries(&of_user.path()).collect::<Vec<_>>());
    of_processes.flat_map(|process| entries(&process.path()).collect::<Vec<_>>()).next().is_none()
}

#[test]
fn each_request_writes_to_a_directory_of_its_own() {
    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    let server = with_scratch(&guest, place.path(), &[]);
    for _ in 0..3 {
        assert_eq!(server.get("/write?f").text(), "hello, world! 13");
    }
    eventually("nothing is left", || is_clean(place.path()));
    assert_eq!(server.get("/create-and-trap?f").status, 500);
    eventually("nothing is left", || is_clean(place.path()));
}

#[test]
fn a_directory_for_each_request_needs_an_instance_for_each() {
    let guest = GuestFile::new(GRANTS);
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--scratch", "1", "--reuse-concurrent", "2"]).arg(&guest.path);
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.trim_end().lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("--reuse-concurrent 2 keeps instances; add --scratch-per site"), "{errors}");
}

#[test]
fn requests_of_a_site_share_a_directory_until_it_ends() {
    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    for way in WAYS {
        let server = with_scratch(&guest, place.path(), &[way, &["--scratch-per", "site"]].concat());
        assert_eq!(server.get("/create?f").text(), "created");
        assert_eq!(server.get("/create?f").text(), "ErrorCode::Exist");
        assert!(!is_clean(place.path()));
        server.signal("TERM");
        server.wait();
        assert!(is_clean(place.path()));
    }
}

#[test]
fn a_directory_holds_no_more_than_its_limit() {
    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    for way in WAYS {
        let server = with_scratch(&guest, place.path(), &[way, &["--scratch-per", "site"]].concat());
        let response = server.get("/fill?f");
        let (first, second) = response.text().split_once('\n').unwrap();
        let (pieces, outcome) = first.split_once(' ').unwrap();
        assert!((24..32).contains(&pieces.parse::<u32>().unwrap()), "{first}");
        let no_room = "Err(ErrorCode::InsufficientSpace)";
        assert_eq!(outcome, format!("{no_room} {no_room}"));
        assert_eq!(second, first, "what was deleted is free again");
    }
}

#[test]
fn nothing_can_be_written_without_the_grant_or_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let dir = ["--dir", directory.path().to_str().unwrap()];
    let line = "write to `f`: directories are read-only, and no flag changes that";
    is_refused(&dir, "/create?f", "ErrorCode::NotPermitted", line);
    is_refused(&dir, "/symlink?f", "ErrorCode::NotPermitted", line);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let guest = GuestFile::new(GRANTS);
    let place = tempfile::tempdir().unwrap();
    let server = with_scratch(&guest, place.path(), &[]);
    assert_eq!(server.get("/create?../f").text(), "ErrorCode::NotPermitted");
    assert_eq!(server.get("/symlink?f").text(), "ErrorCode::NotPermitted");
}

/// Starts a server that answers one connection. Its thread returns what this reads from it.
fn answering<T: Send + 'static>(
    read: impl FnOnce(&mut BufReader<&TcpStream>) -> T + Send + 'static,
    answer: &'static str,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = read(&mut BufReader::new(&stream));
        stream.write_all(answer.as_bytes()).unwrap();
        read
    });
    (address, thread)
}

/// Reads the lines of a head.
fn head(reader: &mut BufReader<&TcpStream>) -> Vec<String> {
    reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn a_request_is_refused_unless_its_host_is_named() {
    for (authority, options, flag) in [
        ("127.0.0.1:9", &[][..], "127.0.0.1:9"),
        ("127.0.0.1", &[], "127.0.0.1:80"),
        ("127.0.0.1:9", &["--allow-host", "127.0.0.1:10"], "127.0.0.1:9"),
        ("localhost:9", &["--allow-host", "127.0.0.1:9"], "localhost:9"),
    ] {
        let line = format!("send requests to {flag}; --allow-host {flag} allows it");
        is_refused(options, &format!("/ask?{authority}"), "ErrorCode::HttpRequestDenied", &line);
    }
}

#[test]
fn a_request_to_a_named_host_is_sent() {
    for way in WAYS {
        let (address, asked) = answering(head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let guest = GuestFile::new(GRANTS);
        let host = address.to_string();
        let options = [way, &["--allow-host", &host]].concat();
        let server = programs!().ours_with_guest(&guest.path, &options);
        assert_eq!(server.get(&format!("/ask?{address}")).text(), "200 ok");
        let asked = asked.join().unwrap();
        assert_eq!(asked[0], "GET /x HTTP/1.1");
        assert!(asked.contains(&format!("host: {address}")), "{asked:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn bodies_are_passed_on_both_ways_with_their_trailers() {
    const SENT: &str = "5\r\nhello\r\n0\r\nx-end: of the request\r\n\r\n";
    const BODY: &str = "3\r\nbye\r\n0\r\nx-end: of the answer\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 202 Accepted\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n\
                          3\r\nbye\r\n0\r\nx-end: of the answer\r\n\r\n";
    for way in WAYS {
        let read = |reader: &mut BufReader<&TcpStream>| {
            let head = head(reader);
            let mut body = vec![0; SENT.len()];
            reader.read_exact(&mut body).unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        let (address, asked) = answering(read, ANSWER);
        let guest = GuestFile::new(GRANTS);
        let host = address.to_string();
        let options = [way, &["--allow-host", &host]].concat();
        let server = programs!().ours_with_guest(&guest.path, &options);
        let mut client = server.connect();
        client.send(format!("PUT /pass?{address} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n{SENT}"));
        let response = client.head();
        assert_eq!((response.status, response.header("trailer")), (202, Some("x-end")));
        assert_eq!(String::from_utf8(client.read(BODY.len())).unwrap(), BODY);
        let (head, body) = asked.join().unwrap();
        assert_eq!((head[0].as_str(), body.as_str()), ("PUT /x HTTP/1.1", SENT));
    }
}

#[test]
fn sockets_are_refused_without_a_grant() {
    is_refused(
        &[],
        "/connect?127.0.0.1:9",
        "ErrorCode::AccessDenied",
        "create a TCP socket; --allow-tcp-connect HOST:PORT allows it, and connections there",
    );
    is_refused(
        &["--allow-tcp-connect", "127.0.0.1:9"],
        "/datagrams",
        "ErrorCode::AccessDenied",
        "create a UDP socket, and no flag allows it",
    );
    is_refused(
        &["--allow-tcp-connect", "127.0.0.1:9"],
        "/connect?127.0.0.1:10",
        "ErrorCode::AccessDenied",
        "connect to 127.0.0.1:10; --allow-tcp-connect 127.0.0.1:10 allows it, and --allow-tcp-connect 127.0.0.1 any port there",
    );
    is_refused(
        &["--allow-tcp-connect", "127.0.0.1:9"],
        "/listen?127.0.0.1:10",
        "ErrorCode::AccessDenied",
        "listen at 127.0.0.1:10; `wasi-httpd run --allow-tcp-listen 127.0.0.1:10` allows it",
    );
    is_refused(
        &["--allow-tcp-connect", "127.0.0.1:9"],
        "/addresses?localhost",
        "ErrorCode::AccessDenied",
        "look up `localhost`; --allow-tcp-connect localhost:PORT allows it, and connections there",
    );
}

#[test]
fn a_connection_that_is_granted_is_made() {
    for way in WAYS {
        let line = |reader: &mut BufReader<&TcpStream>| {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            line
        };
        let (address, received) = answering(line, "welcome\n");
        let guest = GuestFile::new(GRANTS);
        let host = format!("localhost:{}", address.port());
        let options = [way, &["--allow-tcp-connect", &host]].concat();
        let server = programs!().ours_with_guest(&guest.path, &options);
        assert_eq!(server.get(&format!("/connect?{address}")).text(), "welcome\n");
        assert_eq!(received.join().unwrap(), "hello\n");
        let addresses = server.get("/addresses?localhost");
        let expected = "[IpAddress::Ipv4((127, 0, 0, 1)), IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1))]";
        assert_eq!(addresses.text(), expected);
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}
