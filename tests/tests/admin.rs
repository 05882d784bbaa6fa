//! `--admin`: what it answers, to whom, and that it answers while the other listeners do not.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use tests::guests::{BASIC_AUTH, GuestFile, HEADER_STAMP};
use tests::site::noise;
use tests::{Client, Process, Response, Server, Site, eventually, programs};

/// Any free port of a loopback address.
const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

fn serve(options: &[&str]) -> (Server, Site) {
    let site = Site::new();
    site.file("index.html", "hello");
    let server = programs!().ours(&site, &[&ADMIN[..], options].concat());
    (server, site)
}

/// A program that is to fail.
fn output(options: &[&str]) -> Output {
    let site = Site::new();
    let mut command: Command = programs!().command();
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root()).args(options).stdin(Stdio::null());
    command.output().unwrap()
}

/// The fields that each answer has, apart from the date.
const FIELDS: [&str; 7] = [
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "referrer-policy",
    "x-content-type-options",
];

fn is_plain(response: &Response, status: u16, text: &str) {
    assert_eq!((response.status, response.text(), response.complete), (status, text, true));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        response.header("content-security-policy"),
        Some("default-src 'none'; frame-ancestors 'none'")
    );
    assert_eq!(response.header("connection"), Some("close"));
}

#[test]
fn it_answers_probes_and_says_what_else_there_is() {
    let (server, _site) = serve(&[]);
    is_plain(&server.admin("/healthz"), 200, "ok\n");
    is_plain(&server.admin("/readyz?verbose"), 200, "ready\n");
    assert_eq!(server.admin("/healthz").header_names(), FIELDS);
    let root = server.admin("/");
    is_plain(&root, 302, "see /status\n");
    assert_eq!(root.header("location"), Some("/status"));
    for target in ["/missing", "/healthz/", "//healthz", "/HEALTHZ", "/index.html", "/%2e%2e/metrics"] {
        is_plain(
            &server.admin(target),
            404,
            "here are /metrics, /healthz, /readyz, /status and /status.json\n",
        );
    }
}

#[test]
fn it_is_only_read() {
    let (server, _site) = serve(&[]);
    let connect = || Client::connect(server.admin_address());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let response = connect().request(method, "/healthz", &[("Content-Length", "0")]);
        is_plain(&response, 405, "only GET and HEAD are answered here\n");
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
    }
    for target in ["/healthz", "/metrics", "/status", "/missing"] {
        let [get, head] = ["GET", "HEAD"].map(|method| connect().request(method, target, &[]));
        assert_eq!((get.status, get.header_names()), (head.status, head.header_names()), "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    // What a client sends along does not keep it from its answer.
    let mut client = connect();
    client.send(format!("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 1 << 19));
    client.send(noise(1 << 19));
    assert_eq!(client.response("POST").status, 405);
}

#[test]
fn each_connection_has_one_request() {
    let (server, _site) = serve(&[]);
    let mut client = Client::connect(server.admin_address());
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
    is_plain(&client.response("GET"), 200, "ok\n");
    assert!(client.is_closed());
    // HTTP/1.0 names no host, and is what some probes speak.
    let mut client = Client::connect(server.admin_address());
    assert_eq!(client.send("GET /readyz HTTP/1.0\r\n\r\n").response("GET").text(), "ready\n");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let (server, _site) = serve(&[]);
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        ("nonsense\r\n\r\n", 400),
        (&format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(1 << 17)), 431),
        (&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 17)), 431),
    ] {
        let mut client = Client::connect(server.admin_address());
        let response = client.try_send(head).response("GET");
        assert_eq!(response.status, status, "{}", &head[..20.min(head.len())]);
        assert!(client.is_closed());
    }
    is_plain(&server.admin("/healthz"), 200, "ok\n");
}

#[test]
fn pages_of_other_sites_do_not_read_it() {
    let (server, _site) = serve(&["--allow-name", "*"]);
    let get = |target: &str, host: &str| {
        let mut client = Client::connect(server.admin_address());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET")
    };
    for target in ["/metrics", "/status", "/status.json", "/healthz", "/"] {
        for host in ["evil.example", "evil.example:9090", "127.0.0.1.evil.example"] {
            let text =
                "ask for this by `localhost` or a loopback address: pages of other sites may not read it\n";
            is_plain(&get(target, host), 421, text);
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:9090"] {
            assert!(get(target, host).status < 400, "{target} {host}");
        }
    }
}

#[test]
fn it_is_named_after_the_listeners() {
    let (server, _site) = serve(&[]);
    server.admin_address();
    let lines = server.lines();
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    assert!(at("Listening on http://") < at("Admin on http://"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("Admin on ")).count(), 1);
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let site = Site::new();
    let server = programs!().ours(&site, &["--admin", "localhost:0"]);
    let port = server.admin_address().port();
    let line = format!("Admin on http://[::1]:{port}/");
    if TcpStream::connect(("::1", port)).is_ok() {
        server.wait_for_error(|shown| shown == line);
    }
    is_plain(&server.admin("/healthz"), 200, "ok\n");
}

#[test]
fn a_unix_socket_has_its_permissions_and_is_removed_at_the_end() {
    let site = Site::new();
    let path = site.outside().join("admin.sock");
    let address = format!("unix:{}", path.display());
    let server = programs!().ours(&site, &["--admin", &address, "--socket-mode", "600"]);
    server.wait_for_error(|line| line == format!("Admin on {address}"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // No web page reaches it, whatever its name.
    let mut client = Client::connect_unix(&path);
    client.send("GET /readyz HTTP/1.1\r\nHost: any.example\r\n\r\n");
    is_plain(&client.response("GET"), 200, "ready\n");
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_public_address_needs_a_flag() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9090"] {
        for command in [&["--admin", address][..], &["check", "--admin", address]] {
            let output = if command[0] == "check" {
                programs!().command().args(command).output().unwrap()
            } else {
                output(command)
            };
            let stderr = String::from_utf8_lossy(&output.stderr);
            let expected = format!(
                "wasi-httpd: --admin {address} can be reached by other machines, and tells much about this one; take \
                 a loopback address or unix:PATH, or add --admin-public\n"
            );
            assert_eq!((output.status.code(), &*stderr), (Some(2), &*expected));
        }
    }
    let site = Site::new();
    let server = programs!().ours(&site, &["--admin", "0.0.0.0:0", "--admin-public", "--allow-root"]);
    let port = server.admin_address().port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send("GET /healthz HTTP/1.1\r\nHost: monitor.example\r\n\r\n");
    is_plain(&client.response("GET"), 200, "ok\n");
    let output = output(&["--admin-public"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("add --admin HOST:PORT"));
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let (server, _site) = serve(&[]);
    for (address, words) in [
        (
            server.admin_address().to_string(),
            "another program has it: stop that, or take another port with --admin",
        ),
        ("9090".to_owned(), "--admin takes HOST:PORT or unix:PATH"),
        ("unix:/missing/admin.sock".to_owned(), "there is no directory /missing"),
    ] {
        let output = output(&["--admin", &address]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.lines().count() == 1 && stderr.contains(words), "{stderr}");
        assert!(!output.status.success());
    }
}

#[test]
fn it_answers_while_all_connections_are_taken() {
    let (server, _site) = serve(&["--max-connections", "1"]);
    let mut only = server.connect();
    assert_eq!(only.request("GET", "/", &[]).text(), "hello");
    // It waits in the kernel.
    let mut waiting = server.connect();
    waiting.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is_plain(&server.admin("/healthz"), 200, "ok\n");
    is_plain(&server.admin("/readyz"), 200, "ready\n");
    drop(only);
    assert_eq!(waiting.response("GET").text(), "hello");
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_away_for_long() {
    let (server, _site) = serve(&[]);
    let address = server.admin_address();
    // More than there may be.
    let mut silent: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /").unwrap();
    }
    is_plain(&server.admin("/healthz"), 200, "ok\n");
}

#[test]
fn it_is_not_ready_from_the_first_signal_on_and_answers_to_the_end() {
    let (server, _site) = serve(&["--grace", "300"]);
    server.signal("TERM");
    eventually("it is not ready", || server.admin("/readyz").status == 503);
    is_plain(&server.admin("/readyz"), 503, "stopping\n");
    is_plain(&server.admin("/healthz"), 200, "ok\n");
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (200, "hello"), "requests are still answered");
    assert!(server.admin("/status").text().contains("<title>wasi-httpd: stopping</title>"));
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn it_answers_while_the_server_drains() {
    const LENGTH: usize = 64 << 20;

    let (server, site) = serve(&[]);
    let content = noise(LENGTH);
    site.file("big.bin", &content);
    let mut client = server.connect();
    client.send("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").head();
    server.signal("TERM");
    eventually("no more connections are accepted", || TcpStream::connect(server.address()).is_err());
    is_plain(&server.admin("/readyz"), 503, "stopping\n");
    assert_eq!(server.admin("/metrics").status, 200);
    assert!(client.read(LENGTH) == content);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn without_the_flag_there_is_nothing() {
    let site = Site::new();
    let server = programs!().ours(&site, &[]);
    for target in ["/metrics", "/healthz", "/readyz", "/status"] {
        assert_eq!(server.get(target).status, 404);
    }
    assert!(!server.lines().iter().any(|line| line.starts_with("Admin on ")));
}

#[test]
fn the_service_manager_hears_of_the_end_when_it_begins() {
    let site = Site::new();
    let path = site.outside().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_mins(4))).unwrap();
    let mut command = programs!().command();
    command.env("NOTIFY_SOCKET", &path).args(["--addr", "127.0.0.1:0", "--grace", "300", "--dir"]);
    let server = Process::start(command.arg(site.root()).stdin(Stdio::null()));
    let message = || {
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert_eq!(message(), "READY=1\n");
    server.signal("TERM");
    assert_eq!(message(), "STOPPING=1\n");
    // Of the two signals, the second one ends it, five minutes before it would by itself.
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let (server, _site) = serve(&[]);
    assert_eq!(server.get("/").status, 200);
    let [page, again] = [(); 2].map(|()| server.admin("/status"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header_names(), FIELDS);
    let text = page.text();
    for words in
        [env!("CARGO_PKG_VERSION"), "the built-in guest", "<td>default<", "prefers-color-scheme: dark"]
    {
        assert!(text.contains(words), "{words}");
    }
    // A policy for this answer only, which each style and script has the number of.
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split('\'').find_map(|word| word.strip_prefix("nonce-")).unwrap();
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri \
             'none'; form-action 'none'; frame-ancestors 'none'"
        )
    );
    assert_ne!(page.header("content-security-policy"), again.header("content-security-policy"));
    for element in ["<style", "<script"] {
        assert_eq!(text.matches(element).count(), 1);
        assert!(text.contains(&format!("{element} nonce=\"{nonce}\">")));
    }
    // Neither the network nor a style that the policy refuses.
    for lacking in ["http://", "https://", "src=", "url(", "@import", "style=", "onclick", "//"] {
        assert!(!text.contains(lacking), "{lacking}");
    }
    assert_eq!(text.matches("<svg").count(), text.matches("</svg>").count());
}

#[test]
fn programs_get_the_same_as_json() {
    let (server, _site) = serve(&[]);
    for _ in 0..3 {
        assert_eq!(server.get("/").status, 200);
    }
    let json = || -> serde_json::Value {
        let response = server.admin("/status.json");
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
        serde_json::from_slice(&response.body).unwrap()
    };
    eventually("three requests are counted", || json()["sites"][0]["requests"] == 3);
    let status = json();
    assert_eq!((&status["version"], &status["is_ready"]), (&env!("CARGO_PKG_VERSION").into(), &true.into()));
    assert_eq!((&status["sites"][0]["name"], &status["sites"][0]["errors"]), (&"default".into(), &0.into()));
    assert_eq!(status["connections"]["accepted"], 3);
    assert!(status["memory"].as_u64().unwrap() > 1 << 20);
    eventually("there are samples of them", || {
        let history = &json()["history"];
        let sum: f64 =
            history["requests"].as_array().unwrap().iter().map(|rate| rate.as_f64().unwrap()).sum();
        sum > 2.0
            && history["memory"].as_array().unwrap().len() == history["requests"].as_array().unwrap().len()
    });
}

#[test]
fn the_components_of_a_chain_are_shown_with_their_grants_and_without_secrets() {
    let (auth, stamp) = (GuestFile::new(BASIC_AUTH), GuestFile::new(HEADER_STAMP));
    let first = format!("--middleware={},env=USERS=ann:secret", auth.path.display());
    let second = format!("--middleware={},env=X-A=secret,keyvalue=n=memory", stamp.path.display());
    let (server, site) = serve(&[&first, &second, "--env", "X-B=secret"]);
    let directory = format!("dir {} as /", site.root().display());
    let names = [&auth, &stamp].map(|file| format!("the middleware `{}`", file.path.display()));
    let response = server.admin("/status.json");
    let status: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let shown = &status["sites"][0];
    let middlewares: Vec<_> =
        shown["middlewares"].as_array().unwrap().iter().map(|it| (&it["component"], &it["grants"])).collect();
    let grants = [serde_json::json!(["env USERS"]), serde_json::json!(["env X-A", "keyvalue n=memory"])];
    let expected = names.clone().map(serde_json::Value::from);
    assert_eq!(middlewares, [(&expected[0], &grants[0]), (&expected[1], &grants[1])]);
    assert_eq!(shown["component"], "the built-in guest");
    assert_eq!(shown["grants"][0], directory.as_str());
    assert!(shown["grants"].as_array().unwrap().contains(&"env X-B".into()));
    let page = server.admin("/status");
    let at: Vec<_> =
        [&*names[0], "env USERS", &*names[1], "keyvalue n=memory", "the built-in guest", &directory]
            .map(|text| page.text().find(text).unwrap_or_else(|| panic!("{text}")))
            .into();
    assert!(at.is_sorted(), "{at:?}");
    assert!(!page.text().contains("secret") && !response.text().contains("secret"));
}

#[test]
fn the_last_warnings_are_shown() {
    let (server, site) = serve(&[]);
    let root = site.root().to_owned();
    std::fs::rename(&root, site.outside().join("elsewhere")).unwrap();
    eventually("the directory is gone", || server.get("/").status == 404);
    let line = server.wait_for_error(|line| line.contains(&*root.to_string_lossy()));
    let text = line.strip_prefix("wasi-httpd: warning: ").unwrap();
    let response = server.admin("/status.json");
    let status: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (&status["warnings"][0]["text"], &status["warnings"][0]["is_error"]),
        (&text.into(), &false.into())
    );
}
