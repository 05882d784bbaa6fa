//! Request ids: the same in the access log, in what the guest prints, and in the line of its failure.

use std::collections::HashSet;
use tests::guests::{self, GuestFile};
use tests::http2::Http2;
use tests::{EXECUTORS, Runtime, Server, Site, programs};

/// A guest that prints a line and fails.
fn failing() -> GuestFile {
    GuestFile::new(guests::handler("(call $say (call $stderr) (i32.const 2048) (i32.const 24)) unreachable"))
}

fn logged(server: &Server, target: &str) -> String {
    let start = format!("{target} ");
    server.wait_for_log(|line| line.starts_with(&start))[start.len()..].to_owned()
}

#[test]
fn the_lines_of_a_request_have_its_id() {
    let guest = failing();
    for flags in EXECUTORS {
        let flags = [flags, &["--log-format", "{target} {id}"]].concat();
        let server = programs!().ours_with_guest(&guest.path, &flags);
        let mut client = server.connect();
        for request in 0..3 {
            let target = format!("/{request}");
            assert_eq!(client.request("GET", &target, &[]).status, 500);
            let id = logged(&server, &target);
            server.wait_for_error(|line| line == format!("guest stderr [{id}]: second line"));
            server.wait_for_error(|line| {
                line.starts_with(&format!(
                    "wasi-httpd: error: the guest did not answer GET {target} [{id}]: "
                ))
            });
        }
    }
}

#[test]
fn an_instance_that_is_reused_prints_the_id_of_each_request() {
    let print = format!("(call $say (call $stderr) (i32.const 2048) (i32.const 24)) {}", guests::ANSWER);
    let guest = GuestFile::new(guests::handler(&print));
    for executor in ["auto", "component"] {
        let flags = ["--reuse", "100", "--executor", executor, "--log-format", "{target} {id}"];
        let server = programs!().ours_with_guest(&guest.path, &flags);
        let mut client = server.connect();
        for request in 0..3 {
            let target = format!("/{request}");
            client.request("GET", &target, &[]);
            let id = logged(&server, &target);
            server.wait_for_error(|line| line == format!("guest stderr [{id}]: second line"));
        }
    }
}

#[test]
fn no_two_requests_have_the_same_id() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--log-format", "{id}"]);
    let mut client = server.connect();
    for _ in 0..50 {
        client.request("GET", "/a.txt", &[]);
    }
    let paths = ["/a.txt"; 50];
    assert_eq!(Http2::connect(server.address()).get_all(&paths).len(), 50);
    server.connect().send("malformed\r\n\r\n").response("GET");
    drop(client);
    server.signal("TERM");
    let (_, lines, _) = server.wait();
    let ids: HashSet<_> = lines.iter().collect();
    assert_eq!((lines.len(), ids.len()), (101, 101));
    assert!(
        ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{ids:?}"
    );
}

#[test]
fn a_proxy_that_is_believed_gives_the_id() {
    let guest = failing();
    let flags = ["--log-format", "{target} {id}"];
    let server = |from: &[&str]| programs!().ours_with_guest(&guest.path, &[&flags[..], from].concat());
    let ask = |server: &Server, target: &str, fields: &[(&str, &str)]| {
        assert_eq!(server.get_with(target, fields).status, 500);
        logged(server, target)
    };
    let given = "f47ac10b-58cc_4372.A567";
    let long = "x".repeat(65);
    for flag in ["--forwarded-from", "--x-forwarded-from"] {
        let server = server(&[flag, "127.0.0.1"]);
        assert_eq!(ask(&server, "/given", &[("X-Request-Id", given)]), given);
        server.wait_for_error(|line| line == format!("guest stderr [{given}]: second line"));
        server.wait_for_error(|line| line.contains(&format!("did not answer GET /given [{given}]: ")));
        assert_eq!(ask(&server, "/max", &[("X-Request-Id", &long[1..])]), long[1..]);
        for (at, fields) in [
            &[("X-Request-Id", long.as_str())][..],
            &[("X-Request-Id", "a b")],
            &[("X-Request-Id", "a]: x")],
            &[("X-Request-Id", "")],
            &[("X-Request-Id", "a"), ("X-Request-Id", "b")],
            &[],
        ]
        .into_iter()
        .enumerate()
        {
            let id = ask(&server, &format!("/{at}"), fields);
            assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{fields:?}: {id}");
        }
    }
    // A client is not believed.
    for flags in [&[][..], &["--x-forwarded-from", "192.0.2.1"]] {
        assert_ne!(ask(&server(flags), "/client", &[("X-Request-Id", given)]), given);
    }
}

#[test]
fn a_line_names_the_site_of_its_request() {
    let [one, two] = [Site::new(), Site::new()];
    let site = |name: &str, site: &Site| format!("{name}={}", site.root().display());
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--log-format", "{target} {site}"]);
    command.args(["--site", &site("localhost", &one), "--site", &site("two.localhost", &two)]);
    let server = Server::start(Runtime::Ours, command);
    for (target, host) in [("/1", "localhost"), ("/2", "two.localhost")] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response("GET").status, 404);
        assert_eq!(logged(&server, target), host);
    }
}
