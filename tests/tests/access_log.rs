//! The access log: one line per request in the Combined format, for malformed requests too.

use std::io::{BufRead as _, BufReader, PipeWriter};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use tests::guests::{self, GuestFile};
use tests::site::Site;
use tests::{Client, programs};

/// Splits a line into fields, as log analysers do.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, after) = match rest.as_bytes()[0] {
            b'[' => rest[1..].split_once(']').unwrap(),
            b'"' => {
                let mut escaped = false;
                let end = rest[1..]
                    .find(|character| {
                        let end = character == '"' && !escaped;
                        escaped = character == '\\' && !escaped;
                        end
                    })
                    .unwrap();
                (&rest[1..=end], &rest[end + 2..])
            }
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        fields.push(field.to_owned());
        rest = after.trim_start();
    }
    fields
}

#[test]
fn each_request_is_a_line_in_the_combined_format() {
    let site = Site::new();
    site.file("a.txt", "hello");
    let server = programs!().ours(&site, &[]);
    let mut client = server.connect();
    client.request("GET", "/a.txt?x=1", &[("Referer", "http://localhost/"), ("User-Agent", "test/1.0")]);
    client.request("HEAD", "/a.txt", &[]);
    client.request("GET", "/missing", &[]);

    let line = server.wait_for_log(|line| line.contains("/a.txt?x=1"));
    let time = fields(&line)[3].clone();
    assert_eq!(
        line,
        format!(
            "127.0.0.1 - - [{time}] \"GET /a.txt?x=1 HTTP/1.1\" 200 5 \"http://localhost/\" \"test/1.0\""
        )
    );
    // 23/Nov/2026:04:28:54 +0000
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!((&shape[..3], &shape[6..]), ("99/", "/9999:99:99:99 +9999"));

    let head = fields(&server.wait_for_log(|line| line.contains("HEAD")));
    assert_eq!(head[4..], ["HEAD /a.txt HTTP/1.1", "200", "-", "-", "-"]);
    let missing = fields(&server.wait_for_log(|line| line.contains("missing")));
    assert_eq!(missing[4..], ["GET /missing HTTP/1.1", "404", "43", "-", "-"]);
}

#[test]
fn a_client_cannot_forge_a_line_or_control_the_terminal() {
    let site = Site::new();
    let server = programs!().ours(&site, &[]);
    let agent = "a\" 200 1 \"b\\\" \x1b[31m\t\u{e9}";
    // A tab is the only control character that a field may contain. A request with another one is refused, not logged.
    server.connect().request("GET", "/1", &[("User-Agent", &agent.replace('\x1b', ""))]);
    assert_eq!(server.connect().request("GET", "/2", &[("User-Agent", agent)]).status, 400);
    let line = server.wait_for_log(|line| line.contains("/1"));
    assert_eq!(fields(&line)[8], r#"a\" 200 1 \"b\\\" [31m\x09\xc3\xa9"#);
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
}

#[test]
fn a_client_that_leaves_is_logged_with_the_bytes_sent_so_far() {
    let site = Site::new();
    site.file("big.bin", vec![1; 64 << 20]);
    let server = programs!().ours(&site, &[]);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.head();
    client.read(1 << 20);
    drop(client);
    let bytes: u64 = fields(&server.wait_for_log(|line| line.contains("/big.bin")))[6].parse().unwrap();
    assert!(((1 << 20)..(64 << 20)).contains(&bytes), "{bytes}");
}

#[test]
fn no_line_is_lost_at_shutdown() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    let mut client = server.connect();
    for request in 0..1000 {
        client.request("GET", &format!("/a.txt?{request}"), &[]);
    }
    drop(client);
    server.signal("TERM");
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    let requests: Vec<_> = log.iter().map(|line| fields(line)[4].clone()).collect();
    let expected: Vec<_> = (0..1000).map(|request| format!("GET /a.txt?{request} HTTP/1.1")).collect();
    assert_eq!(requests, expected);
}

#[test]
fn quiet_turns_the_log_off() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--quiet"]);
    assert_eq!(server.get("/a.txt").status, 200);
    server.signal("TERM");
    let (_, log, _) = server.wait();
    assert!(log.is_empty(), "{log:?}");
}

#[test]
fn a_request_whose_client_leaves_before_the_answer_is_logged() {
    let forever = GuestFile::new(guests::handler("(loop $forever (br $forever))"));
    let server = programs!().ours_with_guest(&forever.path, &["--timeout", "1"]);
    let mut client = server.connect();
    client.send("GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n");
    drop(client);
    // A guest that computes is not interrupted when its client leaves, so the request ends with the timeout.
    assert_eq!(fields(&server.wait_for_log(|line| line.contains("/left")))[5], "500");

    let server = programs!().ours_with_guest(&forever.path, &["--timeout", "3600"]);
    server.connect().send("GET /cut HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The host answers CONNECT itself, which shows that it has read the request before it.
    assert_eq!(server.connect().request("CONNECT", "localhost:1", &[]).status, 501);
    server.wait_for_log(|line| line.contains("CONNECT"));
    server.signal("TERM");
    server.signal("INT");
    let (_, log, _) = server.wait();
    let cut = log.iter().find(|line| line.contains("/cut")).expect("a line");
    assert_eq!(fields(cut)[5..7], ["499", "-"]);
}

/// Starts a server with this pipe as its standard output.
fn with_output(site: &Site, output: PipeWriter) -> (Child, SocketAddr) {
    let mut command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    let mut process = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("Listening")).unwrap();
    // Keep reading, so that standard error does not block the server.
    std::thread::spawn(move || lines.for_each(drop));
    let address = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    (process, address)
}

#[test]
fn requests_are_answered_while_the_log_is_not_read() {
    let site = Site::new();
    site.file("a.txt", "a");
    // In total, more than the server buffers.
    let agent = "x".repeat(8000);
    let requests = 1000;

    let (reader, writer) = std::io::pipe().unwrap();
    let (mut process, address) = with_output(&site, writer);
    let mut client = Client::connect(address);
    for _ in 0..requests {
        assert_eq!(client.request("GET", "/a.txt", &[("User-Agent", &agent)]).text(), "a");
    }
    drop(reader);
    for _ in 0..10 {
        assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn malformed_requests_are_logged() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--head-timeout", "1"]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(40_000));
    let many = "X: y\r\n".repeat(200);
    for (request, line, status) in [
        ("GET /a b HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1", "400"),
        ("\x16\x03\x01\"\r\n\r\n", r#"\x16\x03\x01\""#, "400"),
        ("GET / HTTP/3.0\r\n\r\n", "GET / HTTP/3.0", "505"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "-", "400"),
        ("GET /half HTTP/1.1\r\nHost: a", "GET /half HTTP/1.1", "408"),
        (&format!("GET /many HTTP/1.1\r\n{many}\r\n"), "GET /many HTTP/1.1", "431"),
    ] {
        let mut client = server.connect();
        client.try_send(request);
        let length = client.response("GET").body.len().to_string();
        let logged = fields(&server.wait_for_log(|logged| logged.contains(&format!("\"{line}\" {status} "))));
        assert_eq!(logged[4..], [line, status, &length, "-", "-"]);
    }
    server.connect().try_send(&long);
    let line = server.wait_for_log(|line| line.contains("\" 431 ") && line.contains("/xxx"));
    assert!(line.len() < 10_000 && line.contains("xxx...\" 431"), "{}", line.len());
}
