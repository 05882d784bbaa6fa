//! Components built with third-party tools, run unchanged, and answer as they do on `wasmtime serve`.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tests::site::{Site, noise};
use tests::strangers::{compiled, path};
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

/// Defines a test for each component: it answers each request as it does on `wasmtime serve`. The first targets get requests
/// that a guest may leave unread; the others get big bodies too, since they read them.
macro_rules! alike {
    ($($name:ident: $component:expr, [$($target:literal),*], [$($echo:literal),*];)*) => {
        mod alike {
            use super::*;
            $(
                #[test]
                fn $name() {
                    answers_alike(&$component, &[$($target),*], &[$($echo),*]);
                }
            )*
        }
    };
}

alike! {
    // Published examples, as they are. Two targets of wstd's tell times, and one fails in the middle of its answer, so that time
    // decides how much of it is sent.
    wstd_http_server: compiled("wstd_http_server.wasm"),
        ["/", "/echo-headers", "/response-status", "/response-fail", "/missing"], ["/echo", "/echo-trailers"];
    wstd_axum_hello_world: compiled("wstd_axum_hello_world.wasm"), ["/", "/missing"], [];
    wasip2_http_proxy: compiled("wasip2_http_proxy.wasm"), ["/"], [];
    wasip3_http_proxy: compiled("wasip3_http_proxy.wasm"), ["/"], [];
    wasip3_http_proxy_compat: compiled("wasip3_http_proxy_compat.wasm"), ["/"], [];
    // Our programs, on other people's libraries.
    axum: compiled("axum.wasm"),
        ["/", "/request", "/query?b=1&a=%C3%A4", "/json", "/empty", "/moved", "/cookies", "/missing"], ["/echo"];
    waki: compiled("waki.wasm"), ["/", "/request?b=1&a=%C3%A4&a", "/large", "/missing"], ["/echo"];
    wasmcloud: compiled("wasmcloud.wasm"), ["/", "/request?b=1", "/error", "/missing"], ["/echo"];
    spin: compiled("spin.wasm"), ["/", "/request?b=1", "/stream", "/missing"], ["/echo"];
    wit_bindgen_c: compiled("echo.wasm"), ["/?204", "/?304", "/?599"], ["/?201"];
    // Interpreters.
    componentize_js: path("javascript.wasm"), ["/", "/missing"], [];
    hono_on_componentize_js: path("fetch.wasm"), ["/", "/request?b=1&a=%C3%A4", "/json", "/missing"], ["/echo"];
    componentize_py: path("python.wasm"), ["/", "/missing"], [];
}

/// The component answers each request to each target on our host as on `wasmtime serve`.
fn answers_alike(component: &Path, targets: &[&str], echoes: &[&str]) {
    let [ours, stock] =
        [programs!().ours_with_guest(component, &[]), programs!().stock_with_guest(component)];
    let small = targets.iter().chain(echoes).flat_map(|target| small_requests(target));
    let requests: Vec<_> = small.chain(echoes.iter().flat_map(|target| big_requests(target))).collect();
    let mut differences = String::new();
    for request in &requests {
        let [ours, stock] = [&ours, &stock].map(|server| Outcome::of(request, &exchange(server, request)));
        if !ours.is_like(&stock) {
            let request = request[..request.len().min(500)].escape_ascii();
            let _ = writeln!(differences, "{request}\n  ours:  {ours}\n  stock: {stock}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// A request on a connection of its own.
fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

/// A body in chunks of this length.
fn chunked(body: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(length) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    bytes
}

fn small_requests(target: &str) -> Vec<Vec<u8>> {
    let odd = "X-Repeated: a\r\nx-repeated: b\r\nX-Empty:\r\nX-Spaces: \t a  b \t\r\nX-List: a, ,b\r\nCookie: a=1\r\n\
               Cookie: b=2\r\n!#$%&'*+-.^_`|~1: token\r\nUser-Agent: \"\\\r\nAccept: */*\r\n";
    let mut latin = request("GET", target, "X-Latin: ?\r\n", b"");
    let mark = latin.windows(3).position(|bytes| bytes == b" ?\r").unwrap() + 1;
    latin[mark] = 0xf6;
    let json = "Content-Type: application/json\r\n";
    let object = b"{\"a\": [1, 2]}";
    vec![
        request("GET", target, "", b""),
        request("HEAD", target, "", b""),
        request("OPTIONS", target, "", b""),
        request("DELETE", target, "", b""),
        request("BREW-2", target, "", b""),
        request("GET", target, odd, b""),
        latin,
        request("GET", target, &format!("X-Long: {}\r\n", "x".repeat(4000)), b""),
        request("GET", target, "X-Response-Status: 418\r\n", b""),
        request("GET", target, "Content-Length: 4\r\n", b"body"),
        request("POST", target, &format!("{json}Content-Length: 0\r\n"), b""),
        request("POST", target, &format!("{json}Content-Length: {}\r\n", object.len()), object),
        request(
            "POST",
            target,
            &format!("{json}Transfer-Encoding: chunked\r\n"),
            &[&chunked(object, 6)[..], b"0\r\n\r\n"].concat(),
        ),
        request(
            "POST",
            target,
            "TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
            b"3;a=b\r\nabc\r\n0\r\nX-Sum: 6\r\nX-Other: 7\r\n\r\n",
        ),
    ]
}

/// Bodies of many pieces. An echo of 1 MiB that wstd announces with its length stops halfway on `wasmtime serve` 48.
fn big_requests(target: &str) -> Vec<Vec<u8>> {
    let big = noise(100_000);
    vec![
        request("POST", target, &format!("Content-Length: {}\r\n", big.len()), &big),
        request(
            "POST",
            target,
            "Transfer-Encoding: chunked\r\n",
            &[&chunked(&big, 30_000)[..], b"0\r\nX-Sum: 5\r\n\r\n"].concat(),
        ),
    ]
}

/// The bytes that answer a request, until the server closes the connection.
fn exchange(server: &Server, request: &[u8]) -> Vec<u8> {
    let mut stream = tests::client::connect(server.address());
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        // Beside reading, since an echo answers before it has the whole body. A server that has failed does not read it all.
        scope.spawn(move || writer.write_all(request));
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {}", answer.escape_ascii());
            }
        }
        answer
    })
}

/// How a request ended, without what the two hosts may do as they like.
enum Outcome {
    /// The guest failed. Our host then says so on a page of its own; `wasmtime serve` does that too, or closes the connection.
    Failed,
    Answered {
        /// The status line, and the fields but those of the transport, in the order received.
        head: Vec<Vec<u8>>,
        /// `Connection` and `Date`, whose values and places among the others are the host's: of the second, the name only.
        transport: Vec<Vec<u8>>,
        /// `Content-Length`. A host adds it to a body that it has as a whole, and sends chunks otherwise.
        length: Option<usize>,
        /// The content: where chunks begin depends on how the pieces arrive.
        body: Vec<u8>,
        trailers: Vec<u8>,
        is_whole: bool,
    },
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Answered { head, transport, length, body, trailers, is_whole } = self else {
            return f.write_str("the guest failed");
        };
        for line in head.iter().chain(transport) {
            write!(f, "{} | ", line.escape_ascii())?;
        }
        let (start, trailers) = (body[..body.len().min(200)].escape_ascii(), trailers.escape_ascii());
        write!(f, "length {length:?}, {} bytes: {start} | {trailers}, whole: {is_whole}", body.len())
    }
}

impl Outcome {
    fn of(request: &[u8], answer: &[u8]) -> Self {
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Self::Failed;
        };
        let (mut head, mut transport, mut length, mut in_chunks) = (Vec::new(), Vec::new(), None, false);
        for line in answer[..end].split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(value) = line.strip_prefix(b"content-length: ") {
                length = Some(str::from_utf8(value).unwrap().parse().unwrap());
            } else if line == b"transfer-encoding: chunked" {
                in_chunks = true;
            } else if line.starts_with(b"date: ") {
                transport.push(b"date".to_vec());
            } else if line.starts_with(b"connection: ") {
                transport.push(line.to_vec());
            } else {
                head.push(line.to_vec());
            }
        }
        transport.sort();
        let pages: [&[&[u8]]; 2] = [
            &[
                b"content-type: text/plain; charset=utf-8",
                b"cache-control: no-store",
                b"x-content-type-options: nosniff",
            ],
            &[b"content-type: text/html; charset=UTF-8"],
        ];
        if head[0] == b"HTTP/1.1 500 Internal Server Error" && pages.iter().any(|page| &head[1..] == *page) {
            return Self::Failed;
        }
        let rest = &answer[end + 4..];
        let (body, trailers, is_whole) = if in_chunks && !request.starts_with(b"HEAD ") {
            joined(rest)
        } else {
            let of_a_status =
                [&b"HTTP/1.1 204 "[..], b"HTTP/1.1 304 "].iter().any(|line| head[0].starts_with(line));
            let is_bodiless = request.starts_with(b"HEAD ") || of_a_status;
            (rest.to_vec(), Vec::new(), length.is_none_or(|length| length == rest.len() || is_bodiless))
        };
        Self::Answered { head, transport, length, body, trailers, is_whole }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed, Self::Failed) => true,
            (
                Self::Answered { head, transport, length, body, trailers, is_whole },
                Self::Answered {
                    head: other_head,
                    transport: other_transport,
                    length: other_length,
                    body: other_body,
                    trailers: other_trailers,
                    is_whole: other_is_whole,
                },
            ) => {
                (head, transport, body, trailers) == (other_head, other_transport, other_body, other_trailers)
                    && (length == other_length || length.is_none() || other_length.is_none())
                    && *is_whole
                    && *other_is_whole
            }
            _ => false,
        }
    }
}

/// The content of chunks, the trailers, and whether they end.
fn joined(mut chunks: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        let rest = &chunks[end + 2..];
        if size == 0 {
            let trailers = rest.strip_suffix(b"\r\n");
            return (body, trailers.unwrap_or(rest).to_vec(), trailers.is_some());
        }
        if rest.len() < size + 2 {
            break;
        }
        body.extend(&rest[..size]);
        chunks = &rest[size + 2..];
    }
    (body, Vec::new(), false)
}
