//! Components in other languages, built with third-party tools, run unchanged and without a flag.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use tests::site::{Site, noise};
use tests::strangers::path;
use tests::{Server, programs};

/// The components that serve a greeting and single files.
const LANGUAGES: [&str; 2] = ["javascript.wasm", "python.wasm"];

/// The guest on each runtime, with this site as its directory.
fn each(guest: &str, site: &Site) -> [Server; 2] {
    let guest = path(guest);
    let dir = site.root().to_str().unwrap();
    let ours = programs!().ours_with_guest(&guest, &["--dir", dir]);
    [ours, programs!().stock_with_guest_and_directory(&guest, site.root())]
}

#[test]
fn each_serves_a_greeting_and_files_of_its_directory() {
    let site = Site::new();
    let big = noise(1 << 20);
    site.file("a.txt", "a").file("empty", "").file("größe.bin", &big);
    std::fs::write(site.outside().join("secret.txt"), "not for guests").unwrap();
    for language in LANGUAGES {
        for server in each(language, &site) {
            println!("{language} on {:?}", server.runtime());
            let response = server.get("/");
            assert_eq!((response.status, response.text(), response.complete), (200, "Hello World", true));
            assert_eq!(response.header("content-length"), Some("11"));
            assert_eq!(server.get("/file/a.txt").text(), "a");
            assert_eq!(server.get("/file/empty").text(), "");
            let response = server.get("/file/gr%C3%B6%C3%9Fe.bin");
            assert!((response.status, response.complete) == (200, true) && response.body == big);
            for target in ["/file/missing", "/file/..%2fsecret.txt", "/file/%2e%2e", "/elsewhere"] {
                let response = server.get(target);
                assert_eq!(response.status, 404, "{target}: {}", response.text());
                assert!(!response.text().contains("not for guests"), "{target}: {}", response.text());
            }
        }
    }
}

#[test]
fn each_answers_ten_thousand_requests_over_16_connections() {
    let site = Site::new();
    for language in LANGUAGES {
        println!("{language}");
        let dir = site.root().to_str().unwrap();
        programs!().ours_with_guest(&path(language), &["--dir", dir]).answers_all(10_000, 16, "Hello World");
    }
}

/// Starts a server that gives the same answer to every request, until the test process exits.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.extend(byte);
            }
            let answer = b"HTTP/1.1 203 Other\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nthere";
            stream.write_all(answer).unwrap();
        }
    });
    address
}

#[test]
fn a_request_to_another_server_needs_its_flag() {
    let origin = origin();
    let target = format!("/?url=http://{origin}/path");
    let guest = path("fetch.wasm");

    let server = programs!().ours_with_guest(&guest, &[]);
    let response = server.get(&target);
    assert_eq!(response.status, 502);
    assert!(response.text().starts_with("The request failed: "), "{}", response.text());
    server.wait_for_error(|line| line.ends_with(&format!("--allow-host {origin} allows it")));

    let server = programs!().ours_with_guest(&guest, &["--allow-host", &origin.to_string()]);
    for _ in 0..3 {
        let response = server.get(&target);
        assert_eq!((response.status, response.text()), (203, "there"));
        assert_eq!(response.header("content-type"), Some("text/x"));
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn inspect_finds_nothing_lacking() {
    for (name, word) in
        [("javascript.wasm", "wasi:filesystem/types@0.2.12"), ("python.wasm", "wasi:sockets/tcp@0.2.")]
    {
        let output = programs!().command().arg("inspect").arg(path(name)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("an HTTP server of WASI 0.2") && text.contains(word), "{text}");
        assert!(!text.contains("lacking") && !text.contains("would not start"), "{text}");
    }
}
