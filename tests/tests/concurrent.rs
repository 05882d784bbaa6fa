//! Components of WASI 0.3: their bodies, and what becomes of the other requests when one of them misbehaves, with one request per
//! instance and with several.

use std::io::{Read as _, Write as _};
use std::thread;
use tests::guests::{self, GuestFile, TRIALS};
use tests::site::noise;
use tests::{Server, programs, raise_file_limit};

/// One request per instance, one after another, and at the same time.
const WAYS: [&[&str]; 3] = [&[], &["--reuse", "100"], &["--reuse-concurrent", "50"]];

/// How much is sent both ways, in MiB, unless `ECHO_MIB` says something else.
const ECHO_MIB: usize = 64;

fn start(guest: &GuestFile, options: &[&str]) -> Server {
    programs!().ours_with_guest(&guest.path, options)
}

fn each_way(guest: &GuestFile, more: &[&str]) -> impl Iterator<Item = Server> {
    WAYS.iter().map(move |way| start(guest, &[way, more].concat()))
}

/// Waits for the one line that says why a request has failed.
fn wait_for_failure(server: &Server, target: &str, why: &str) {
    server.wait_for_error(|line| line.contains(target) && line.contains(why));
}

/// Whether the client gets a response with the status 200 to its end. One that fails early is a 500, or not even begun.
fn is_complete(server: &Server, target: &str) -> bool {
    let mut client = server.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client.is_answered() && {
        let response = client.response("GET");
        response.status == 200 && response.complete
    }
}

#[test]
fn state_is_kept_only_with_reuse() {
    let guest = GuestFile::new(TRIALS);
    let counts = |options: &[&str]| {
        let server = start(&guest, options);
        let mut client = server.connect();
        (0..4).map(|_| client.request("GET", "/count", &[]).text().to_owned()).collect::<String>()
    };
    assert_eq!(counts(&[]), "1111");
    assert_eq!(counts(&["--reuse", "3"]), "1231");
    assert_eq!(counts(&["--max-instances", "1", "--reuse-concurrent", "2", "--reuse", "3"]), "1231");
}

#[test]
fn bodies_go_through_with_their_trailers() {
    let guest = GuestFile::new(TRIALS);
    for server in each_way(&guest, &[]) {
        for target in ["/echo", "/copy"] {
            let mut client = server.connect();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
            assert_eq!(client.head().status, 200);
            assert_eq!(client.read(10), b"5\r\nhello\r\n", "before the request has ended");
            client.send("6\r\n world\r\n0\r\nx-end: yes\r\n\r\n");
            assert_eq!(client.read(28), b"6\r\n world\r\n0\r\nx-end: yes\r\n\r\n", "{target}");
        }
    }
}

#[test]
fn an_echo_takes_little_memory() {
    let mebibytes = std::env::var("ECHO_MIB").map_or(ECHO_MIB, |text| text.parse().unwrap());
    let guest = GuestFile::new(TRIALS);
    let content = noise(1 << 20);
    for server in each_way(&guest, &["--max-body", &mebibytes.to_string()]) {
        server.get("/echo");
        let (before, _) = server.memory();
        for target in ["/echo", "/copy"] {
            let mut client = server.connect();
            client.send(format!(
                "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                mebibytes << 20
            ));
            let mut socket = client.socket().try_clone().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| (0..mebibytes).for_each(|_| socket.write_all(&content).unwrap()));
                assert_eq!(client.head().status, 200);
                let mut body = client.chunks();
                let mut piece = vec![0; content.len()];
                for _ in 0..mebibytes {
                    body.read_exact(&mut piece).unwrap();
                    assert!(piece == content, "{target}");
                }
                assert_eq!(body.read(&mut piece).unwrap(), 0, "{target}");
            });
        }
        let (_, peak) = server.memory();
        let grown = peak.saturating_sub(before);
        println!("{mebibytes} MiB both ways: {} KiB more", grown >> 10);
        assert!(grown < 32 << 20, "{grown} bytes more");
    }
}

#[test]
fn the_guest_knows_scheme_and_authority() {
    let guest = GuestFile::new(TRIALS);
    let server = start(&guest, &[]);
    let response =
        server.connect().send("GET /authority HTTP/1.1\r\nHost: localhost:81\r\n\r\n").response("GET");
    assert_eq!(response.text(), "Some(Scheme::Http) Some(\"localhost:81\")");
}

#[test]
fn a_trap_is_a_500_or_a_cut() {
    let guest = GuestFile::new(TRIALS);
    for server in each_way(&guest, &[]) {
        assert_eq!(server.get("/trap").status, 500);
        wait_for_failure(&server, "GET /trap", "unreachable");
        assert!(!is_complete(&server, "/trap-late"));
        assert_eq!(server.get("/count").text(), "1", "another instance");
        assert_eq!(server.get("/error").status, 500);
        wait_for_failure(&server, "GET /error", "as it was asked to");
    }
}

#[test]
fn a_trap_fails_the_requests_of_its_instance_and_no_others() {
    let guest = GuestFile::new(TRIALS);
    let server = start(&guest, &["--max-instances", "2", "--reuse-concurrent", "2"]);
    // Two requests in two instances, then one more in each.
    let mut waiting = [(); 2].map(|()| {
        let mut client = server.connect();
        client.send("GET /wait-late HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.read(10), b"5\r\nbegun\r\n");
        client
    });
    assert_eq!(server.get("/trap").status, 500);
    assert_eq!(server.get("/count").text(), "1", "a new instance");
    let [first, second] = &mut waiting;
    // One of them was in the instance that has trapped.
    let mut ended = [first, second].map(|client| {
        client.socket().set_nonblocking(true).unwrap();
        move || match client.socket().read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => panic!("more of the body"),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    });
    tests::eventually("one request is cut", || ended.iter_mut().any(|ended| ended()));
    assert!(!ended.iter_mut().all(|ended| ended()), "both are cut");
}

#[test]
fn a_guest_that_does_not_answer_in_time_is_stopped() {
    let guest = GuestFile::new(TRIALS);
    for server in each_way(&guest, &["--timeout", "1", "--silence-timeout", "1", "--max-instances", "2"]) {
        for target in ["/wait", "/spin"] {
            assert_eq!(server.get(target).status, 500, "{target}");
            wait_for_failure(&server, &format!("GET {target}"), "--timeout allows more");
        }
        for target in ["/wait-late", "/spin-late"] {
            assert!(!is_complete(&server, target), "{target}");
        }
        // Their instances have made room.
        tests::eventually("there is an instance", || server.get("/print?here").status == 200);
    }
}

#[test]
fn a_body_that_is_not_finished_is_cut() {
    let guest = GuestFile::new(TRIALS);
    for server in each_way(&guest, &[]) {
        for target in ["/short", "/unfinished", "/long", "/lengths"] {
            assert!(!is_complete(&server, target), "{target}");
        }
    }
}

#[test]
fn a_thousand_requests_are_in_four_instances_at_a_time() {
    const REQUESTS: usize = 1_000;
    raise_file_limit();
    let guest = GuestFile::new(TRIALS);
    let options =
        ["--max-instances", "4", "--reuse-concurrent", "250", "--timeout", "120", "--admin", "127.0.0.1:0"];
    let server = start(&guest, &options);
    let mut clients: Vec<_> = (0..REQUESTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("POST /copy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n");
    }
    // Every request has begun to be answered, and none can end before its body does.
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
    }
    assert_eq!(server.metric("wasi_httpd_requests_in_flight{site=\"default\"}"), REQUESTS as u64);
    assert_eq!(server.metric("wasi_httpd_instances{site=\"default\",state=\"in_use\"}"), 4);
    for client in &mut clients {
        client.send("body");
    }
    for client in &mut clients {
        let mut body = String::new();
        client.chunks().read_to_string(&mut body).unwrap();
        assert_eq!(body, "body");
    }
    assert_eq!(server.metric("wasi_httpd_instances_created_total{site=\"default\"}"), 4);
    tests::eventually("all instances are idle", || {
        server.metric("wasi_httpd_instances{site=\"default\",state=\"idle\"}") == 4
    });
    assert_eq!(server.metric("wasi_httpd_instances{site=\"default\",state=\"in_use\"}"), 0);
}

#[test]
fn what_a_guest_prints_has_the_id_of_its_request() {
    let guest = GuestFile::new(TRIALS);
    let server = start(&guest, &[]);
    server.get("/print?line");
    server.wait_for_guest(|line| line.ends_with("line"));
    assert_eq!(server.get("/after?line").text(), "before");
    server.wait_for_guest(|line| line.ends_with("after line"));
}

#[test]
fn a_guest_learns_whether_its_response_was_sent() {
    let guest = GuestFile::new(TRIALS);
    let server = start(&guest, &["--reuse-concurrent", "2"]);
    assert_eq!(server.get("/sent").body.len(), 10_000_000);
    server.wait_for_error(|line| line == "guest stdout: sent");
    let mut client = server.connect();
    client.send("GET /sent HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    drop(client);
    server.wait_for_error(|line| line == "guest stdout: not sent");
}

#[test]
fn several_requests_at_a_time_need_a_component_of_wasi_0_3() {
    let guest = GuestFile::new(guests::HELLO);
    let mut command = programs!().command();
    let output =
        command.args(["--addr", "127.0.0.1:0", "--reuse-concurrent", "2"]).arg(&guest.path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("--reuse-concurrent is for components of WASI 0.3"), "{errors}");
    assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
}
