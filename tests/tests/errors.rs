//! Errors: a page for people, a line for tools, the site's own pages, and limits.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tests::site::Site;
use tests::{on_each_runtime, programs};

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[test]
fn people_get_a_page_and_tools_a_line() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for (method, target, extra, status, line) in [
            ("GET", "/missing", ("X-A", "b"), 404, "404 Not Found: there is no such file here.\n"),
            ("GET", "/%", ("X-A", "b"), 400, "400 Bad Request: this is not a valid path.\n"),
            (
                "PUT",
                "/a.txt",
                ("Content-Length", "0"),
                405,
                "405 Method Not Allowed: this server answers GET, HEAD and OPTIONS.\n",
            ),
            (
                "GET",
                "/a.txt",
                ("If-Match", "\"x\""),
                412,
                "412 Precondition Failed: the file is not in the state that the request asked for.\n",
            ),
            (
                "GET",
                "/a.txt",
                ("Range", "bytes=5-"),
                416,
                "416 Range Not Satisfiable: the file has no such part.\n",
            ),
        ] {
            let tool = server.connect().request(method, target, &[extra]);
            assert_eq!((tool.status, tool.text()), (status, line));
            let person = server.connect().request(method, target, &[extra, BROWSER]);
            assert_eq!(person.status, status);
            assert_eq!(person.header("content-type"), Some("text/html; charset=utf-8"));
            let (heading, _) = line.split_once(':').unwrap();
            assert!(person.text().contains(&format!("<h1>{heading}</h1>")), "{}", person.text());
            for response in [&tool, &person] {
                assert_eq!(response.header("cache-control"), Some("no-store"), "{target}");
                assert_eq!(response.header("vary"), Some("Accept"), "{target}");
                assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{target}");
                assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()));
            }
        }
    });
}

#[test]
fn nothing_of_the_request_is_in_the_page() {
    let site = Site::new();
    on_each_runtime!(site, |server| {
        let plain = server.get_with("/missing", &[BROWSER]);
        for target in ["/<script>alert(1)</script>", "/%3Cscript%3E", "/\u{e9}", "/\"onload=x"] {
            let response = server.get_with(target, &[BROWSER]);
            // A client may not send some of these, and the host may say so.
            assert!(matches!(response.status, 404 | 400), "{target}: {}", response.status);
            assert!(!response.text().contains("script") && !response.text().contains("onload"), "{target}");
            if response.status == 404 {
                assert_eq!(response.body.len(), plain.body.len(), "{target}");
            }
        }
        let policy = plain.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    });
}

#[test]
fn the_nearest_404_page_of_the_site_is_used() {
    let site = Site::new();
    site.file("404.html", "top")
        .file("docs/404.html", "docs")
        .file("docs/old/a.txt", "a")
        .file(".git/x", "x");
    on_each_runtime!(site, |server| {
        for (target, expected) in [
            ("/missing", "top"),
            ("/docs/missing", "docs"),
            ("/docs/missing/", "docs"),
            ("/docs/old/missing", "docs"),
            ("/docs/gone/missing", "docs"),
            ("/docs/.hidden", "docs"),
            ("/.git/x", "top"),
            ("/nowhere/missing", "top"),
        ] {
            let response = server.get_with(target, &[BROWSER]);
            assert_eq!((response.status, response.text()), (404, expected), "{target}");
            assert_eq!(
                response.header_names(),
                ["cache-control", "content-length", "content-type", "vary", "x-content-type-options"],
                "{target}"
            );
            let head = server.connect().request("HEAD", target, &[BROWSER]);
            assert_eq!(
                (head.status, head.header("content-length")),
                (404, response.header("content-length"))
            );
        }
        assert_eq!(server.get("/missing").text(), "404 Not Found: there is no such file here.\n");
        // By its own name it is a page like others.
        assert_eq!(server.get_with("/404.html", &[BROWSER]).status, 200);
    });
}

#[test]
fn error_pages_may_come_from_one_directory_or_from_nowhere() {
    let site = Site::new().with("FILES_ERROR_PAGE", "errors");
    site.file("errors/404.html", "lost").file("errors/405.html", "no").file("404.html", "unused");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get_with("/docs/missing", &[BROWSER]).text(), "lost");
        let refused = server.connect().request("DELETE", "/", &[BROWSER]);
        assert_eq!((refused.status, refused.text()), (405, "no"));
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
    });
    let site = site.with("FILES_ERROR_PAGE", "off");
    on_each_runtime!(site, |server| {
        assert!(server.get_with("/missing", &[BROWSER]).text().contains("<h1>404 Not Found</h1>"));
    });
}

#[test]
fn addresses_that_are_too_long_are_a_414() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for target in [format!("/{}", "a".repeat(20_000)), format!("/a.txt?{}", "b".repeat(20_000))] {
            let mut client = server.connect();
            assert_eq!(client.request("GET", &target, &[]).status, 414);
            assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
        }
        assert_eq!(server.get(&format!("/a.txt?{}", "b".repeat(10_000))).text(), "a");
    });
}

#[test]
fn fields_of_any_bytes_are_answered() {
    let site = Site::new();
    site.file("a.txt", "a");
    on_each_runtime!(site, |server| {
        for name in [
            "Range",
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "If-Unmodified-Since",
            "If-Range",
            "Accept",
            "Accept-Encoding",
            "Origin",
        ] {
            for value in [
                b"\xff\xfe\x80".as_slice(),
                b"",
                b",,,,",
                b"\"",
                b"W/\"",
                b"bytes=\xff-",
                b";;;q=,;q",
                &[b'"'; 5000],
                &[b','; 5000],
                &b"0-".repeat(5000),
                b"Thu, 01 Jan 0000 00:00:00 GMT",
                b"Fri, 31 Dec 9999 23:59:60 GMT",
            ] {
                let mut client = server.connect();
                client.send(
                    [
                        b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n",
                        name.as_bytes(),
                        b": ",
                        value,
                        b"\r\n\r\n",
                    ]
                    .concat(),
                );
                let status = client.response("GET").status;
                let expected = if name == "If-Match" { [412, 412] } else { [200, 304] };
                // A date of the year 0 has passed for `If-Unmodified-Since`.
                let has_passed = name == "If-Unmodified-Since" && status == 412;
                assert!(expected.contains(&status) || has_passed, "{name}: {value:?}: {status}");
            }
        }
    });
}

#[test]
fn a_fault_of_the_system_is_a_500_and_a_line_with_the_path() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &[]);
    let mut client = server.connect();
    assert_eq!(client.request("GET", "/a.txt", &[]).status, 200);

    // From now on, the server can open nothing.
    let pid = Pid::from_raw(server.id().cast_signed());
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let before = prlimit(pid, Resource::Nofile, Rlimit { current: Some(0), maximum }).unwrap();
    let response = client.request("GET", "/a.txt", &[]);
    assert_eq!(response.status, 500);
    assert!(!response.text().contains("a.txt"), "{}", response.text());
    server.wait_for_guest(|line| line.starts_with("guest stderr: cannot read `a.txt`: "));

    prlimit(pid, Resource::Nofile, before).unwrap();
    assert_eq!(client.request("GET", "/a.txt", &[]).text(), "a");
}
