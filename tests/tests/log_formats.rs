//! `--log-format`: Common, JSON, and templates of the operator's own, and what is wrong with one.

use serde_json::Value;
use std::process::Output;
use tests::guests::{self, GuestFile};
use tests::http2::Http2;
use tests::site::Site;
use tests::tls::{Authority, Files};
use tests::{Server, programs};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", "hello");
    site
}

/// Waits for the line of a request with this target, and parses it.
fn object(server: &Server, target: &str) -> Value {
    let line = server.wait_for_log(|line| line.contains(&format!("\"target\":\"{target}\"")));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The names and values of an object, apart from those that are other ones in each run.
fn stable(object: &Value) -> Vec<(&str, &Value)> {
    let fields = object.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value));
    fields.filter(|(name, _)| !["time", "id", "head", "total", "cpu"].contains(name)).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Expects the members that differ to be there, in the order in which things happen.
fn is_timed(object: &Value) {
    let time = object["time"].as_str().unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "9999-99-99T99:99:99.999Z");
    assert!(is_id(object["id"].as_str().unwrap()), "{object}");
    let [head, total, cpu] = ["head", "total", "cpu"].map(|name| object[name].as_u64().unwrap());
    assert!(0 < cpu && cpu <= total && head <= total, "{object}");
}

#[test]
fn a_line_of_json_has_everything_about_a_request() {
    let site = site();
    let authority = Authority::new();
    let files = Files::write(site.outside(), "localhost", &authority.issue(&["localhost"]));
    let flags = [&files.flags()[..], &["--log-format", "json"]].concat();
    let server = programs!().ours(&site, &flags).with_clients(authority.clients());
    let fields = [("Referer", "https://localhost/"), ("User-Agent", "\"\\\u{e9}\tx")];
    assert_eq!(server.get_with("/a.txt?x=1", &fields).text(), "hello");
    let line = object(&server, "/a.txt?x=1");
    is_timed(&line);
    let expected = serde_json::json!({
        "client": "127.0.0.1", "method": "GET", "target": "/a.txt?x=1", "protocol": "HTTP/1.1", "status": 200,
        "bytes": 5, "referer": "https://localhost/", "user_agent": "\"\\\u{e9}\tx", "host": "localhost",
        "scheme": "https", "tls": "TLSv1.3", "site": "default",
    });
    assert_eq!(stable(&line), stable(&expected));
}

#[test]
fn what_there_is_not_is_left_out_of_json() {
    let site = site();
    let server = programs!().ours(&site, &["--log-format", "json"]);
    let mut client = Http2::connect(server.address());
    assert_eq!(client.request("HEAD", "/a.txt", &[]).status, 200);
    let line = object(&server, "/a.txt");
    is_timed(&line);
    let expected = serde_json::json!({
        "client": "127.0.0.1", "method": "HEAD", "target": "/a.txt", "protocol": "HTTP/2.0", "status": 200,
        "bytes": 0, "host": "localhost", "scheme": "http", "site": "default",
    });
    assert_eq!(stable(&line), stable(&expected));

    // No guest runs for what the host refuses.
    assert_eq!(server.connect().request("CONNECT", "localhost:1", &[]).status, 501);
    let refused = object(&server, "localhost:1");
    assert!(
        refused.get("cpu").is_none() && refused["head"].is_u64() && refused["total"].is_u64(),
        "{refused}"
    );

    // Nor is there a method where the head cannot be read.
    server.connect().send("GET / a \"b\" HTTP/1.1\r\n\r\n").response("GET");
    let line = server.wait_for_log(|line| line.contains("\"request\""));
    let unread: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&unread["request"], &unread["status"]), (&"GET / a \"b\" HTTP/1.1".into(), &400.into()));
    for name in ["method", "target", "protocol", "head", "total", "cpu", "host"] {
        assert!(unread.get(name).is_none(), "{name}: {unread}");
    }
    assert!(is_id(unread["id"].as_str().unwrap()));
}

#[test]
fn each_line_is_an_object_whatever_a_client_sends() {
    let site = site();
    let server = programs!().ours(&site, &["--log-format", "json"]);
    let mut expected = 0;
    for byte in 1..=u8::MAX {
        let head =
            [b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: <", &[byte][..], b">\r\n\r\n"].concat();
        let line = [b"GET /", &[byte][..], b"\" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        for request in [head, line] {
            let mut client = server.connect();
            client.try_send(request).finish_sending();
            if client.is_closed() {
                continue;
            }
            expected += 1;
        }
    }
    server.signal("TERM");
    let (_, lines, _) = server.wait();
    assert!(expected > 200 && lines.len() >= expected, "{expected} of {}", lines.len());
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(object["status"].is_u64());
    }
}

#[test]
fn a_template_is_filled_in() {
    let site = site();
    let template =
        "{client} {{{method} {path}}} {protocol} {status} {bytes} \"{user_agent}\" {tls} {site} {host}";
    let server = programs!().ours(&site, &["--log-format", template]);
    server.get_with("/a.txt?x", &[("User-Agent", "a\"b")]);
    let line = server.wait_for_log(|line| line.contains("/a.txt"));
    let tls = if line.contains("TLSv1.3") { "TLSv1.3" } else { "-" };
    let expected = r#"127.0.0.1 {GET /a.txt} HTTP/1.1 200 5 "a\"b""#;
    assert_eq!(line, format!("{expected} {tls} default localhost"));
    server.connect().send("GET\r\n\r\n").response("GET");
    server.wait_for_log(|line| line == format!("127.0.0.1 {{- -}} - 400 40 \"-\" {tls} default -"));
}

#[test]
fn the_common_format_ends_with_the_bytes() {
    let site = site();
    let server = programs!().ours(&site, &["--log-format", "common"]);
    server.get_with("/a.txt", &[("User-Agent", "x"), ("Referer", "y")]);
    let line = server.wait_for_log(|line| line.contains("/a.txt"));
    assert!(
        line.starts_with("127.0.0.1 - - [") && line.ends_with("] \"GET /a.txt HTTP/1.1\" 200 5"),
        "{line}"
    );
}

#[test]
fn the_time_of_a_guest_is_what_it_has_computed() {
    // Long enough to be told from everything else, and cut off: its time counts too.
    let guest = GuestFile::new(guests::handler("(loop $forever (br $forever))"));
    let flags = ["--timeout", "1", "--log-format", "{target} {status} {cpu} {total} {head}"];
    let server = programs!().ours_with_guest(&guest.path, &flags);
    assert_eq!(server.get("/spin").status, 500);
    let line = server.wait_for_log(|line| line.starts_with("/spin 500 "));
    let times: Vec<u64> = line.split(' ').skip(2).map(|number| number.parse().unwrap()).collect();
    assert!(times[0] >= 100_000 && times[0] <= times[1] && times[2] <= times[1], "{line}");
}

#[test]
fn a_wrong_format_is_found_at_the_start_and_by_check() {
    let site = site();
    let run = |arguments: &[&str]| -> Output {
        programs!().command().args(arguments).arg("--dir").arg(site.root()).output().unwrap()
    };
    for (format, expected) in [
        ("{statsu}", "--log-format: there is no placeholder {statsu}; did you mean {status}?"),
        ("combind", "not `combind`; did you mean combined?"),
        ("{status", "--log-format: the `{` after `` belongs to no placeholder; write `{{` for the character"),
        ("{status}\n", "--log-format: a template is one line without control characters, not `{status}\\n`"),
    ] {
        for command in [&["check"][..], &["--addr", "127.0.0.1:0"]] {
            let output = run(&[command, &["--log-format", format]].concat());
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), errors.lines().count()), (Some(2), 1), "{errors}");
            assert!(errors.starts_with("wasi-httpd: ") && errors.contains(expected), "{errors}");
        }
    }
    assert_eq!(run(&["check", "--log-format", "{{}} {status}"]).status.code(), Some(0));
}
