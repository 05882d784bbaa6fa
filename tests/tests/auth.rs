//! Passwords: `--auth` with a file of users, and `Basic-Auth` in `_headers`. What a pattern guards is guarded whichever way leads to
//! it, and guessing is bounded.

use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tests::guests::{self, GuestFile};
use tests::http2::Http2;
use tests::process::eventually;
use tests::{Client, EXECUTORS, Process, Response, Runtime, Server, Site, on_each_runtime, programs};

/// `ann` with the password `secret`, `bob` with `hunter2` and `carol` with `secret`, as other programs have hashed them.
const PASSWORDS: &str = "# people
ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW

bob:$2y$04$bbcdefghijklmnopqrstuuMQzKPeRHimaTNL.1O.fHkn0nXi94ZwO
carol:$2y$10$cbcdefghijklmnopqrstuumlwx5izdN7VJvaecGaE1Idi0dZEzEnC
";
const ANN: (&str, &str) = ("Authorization", "Basic YW5uOnNlY3JldA==");
const BOB: (&str, &str) = ("Authorization", "basic Ym9iOmh1bnRlcjI=");
const CAROL: (&str, &str) = ("Authorization", "Basic Y2Fyb2w6c2VjcmV0");
/// `ann:wrong`
const WRONG: (&str, &str) = ("Authorization", "Basic YW5uOndyb25n");

fn passwords(site: &Site, text: &str) -> PathBuf {
    let file = site.outside().join("passwords");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

/// A server that asks for passwords at paths of these patterns.
fn guarded(site: &Site, guards: &[&str], options: &[&str]) -> Server {
    let file = passwords(site, PASSWORDS);
    programs!().ours(site, &[&flags(&file, guards)[..], options].concat())
}

fn flags<'a>(file: &'a Path, guards: &[&'a str]) -> Vec<&'a str> {
    let guards = guards.iter().flat_map(|guard| ["--auth", guard]);
    guards.chain(["--auth-file", file.to_str().unwrap()]).collect()
}

/// What a server that does not start says, and its status.
fn refused(site: &Site, options: &[&str]) -> (Option<i32>, String) {
    let mut command = programs!().command();
    command.args(["--allow-root", "--dir"]).arg(site.root()).args(options);
    said(&command.stdin(Stdio::null()).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    let lines = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), lines.trim_end().to_owned())
}

#[test]
fn a_guarded_path_needs_the_password_of_a_user() {
    let site = Site::new();
    site.file("private/a.txt", "secret content").file("a.txt", "open").file("team/b.txt", "secret content");
    let file = passwords(&site, PASSWORDS);
    let options = flags(&file, &["/private/*", "/team: bob"]);
    let servers = EXECUTORS.iter().map(|flags| programs!().ours(&site, &[&options[..], flags].concat()));
    for server in servers.chain([programs!().ours_v03(&site, &options)]) {
        let get = |target: &str, fields: &[_]| server.get_with(target, fields);
        let denied = get("/private/a.txt", &[]);
        assert_eq!(
            (denied.status, denied.text()),
            (401, "401 Unauthorized: this needs a name and a password.\n")
        );
        for (name, value) in [
            ("www-authenticate", "Basic realm=\"Restricted\", charset=\"UTF-8\""),
            ("cache-control", "no-store"),
            ("vary", "Accept, Authorization"),
        ] {
            assert_eq!(denied.header(name), Some(value));
        }
        for field in [ANN, BOB, CAROL, ANN] {
            let granted = get("/private/a.txt", &[field]);
            assert_eq!((granted.status, granted.text()), (200, "secret content"));
            assert_eq!(granted.header("cache-control"), Some("private, no-cache"));
            assert_eq!(granted.header("vary"), Some("Accept-Encoding, Authorization"));
        }
        assert_eq!(get("/team/b.txt", &[BOB]).status, 200);
        assert_eq!(get("/team/b.txt", &[ANN]).status, 401);
        for field in [
            WRONG,
            ("Authorization", "Basic bm9ib2R5OnNlY3JldA=="),
            ("Authorization", "Basic YW5u"),
            ("Authorization", "Bearer YW5uOnNlY3JldA=="),
            // What our host says to the file server, and no client.
            ("Wasi-Httpd-Login", "user ann"),
        ] {
            for target in [
                "/private/a.txt",
                "/%70rivate/%61.txt",
                "/private/",
                "/private",
                "/PRIVATE/a.txt",
                "/private/x",
            ] {
                assert_eq!(get(target, &[field]).status, 401, "{target} with {field:?}");
            }
            assert_eq!(get("/a.txt", &[field]).status, 200);
        }
        assert_eq!(get("/private/a.txt", &[ANN, BOB]).status, 401, "it is not clear which one counts");
        assert_eq!(get("/private/a.txt", &[ANN, ("Wasi-Httpd-Login", "user bob")]).status, 200);
        let tag = get("/private/a.txt", &[ANN]).header("etag").unwrap().to_owned();
        assert_eq!(get("/private/a.txt", &[("If-None-Match", &tag)]).status, 401);
        assert_eq!(get("/private/a.txt", &[ANN, ("If-None-Match", &tag)]).status, 304);
        assert_eq!(get("/private/a.txt", &[ANN, ("Range", "bytes=0-5")]).text(), "secret");
        assert_eq!(server.connect().request("OPTIONS", "/private/a.txt", &[]).status, 204);
        let open = get("/a.txt", &[]);
        assert_eq!(
            (open.header("cache-control"), open.header("vary")),
            (Some("no-cache"), Some("Accept-Encoding"))
        );
    }
}

#[test]
fn passwords_in_headers_are_checked_on_each_runtime() {
    let site = Site::new().with("FILES_RULES", "on").with("FILES_LISTING", "on");
    site.file(
        "_headers",
        "/private/*\n  Basic-Auth: ann:secret bob:hunter2\n  Cache-Control: public, max-age=60\n",
    );
    site.file("_redirects", "/to/* /private/:splat 200\n");
    site.file("private/index.html", "secret content")
        .file("private/a.txt.gz", "secret content")
        .file("a.txt", "open");
    on_each_runtime!(site, |server| {
        for target in [
            "/private/",
            "/private",
            "/private/index",
            "/private/a.txt.gz",
            "/private/none",
            "/to/index.html",
        ] {
            for fields in [&[][..], &[WRONG], &[CAROL], &[("Wasi-Httpd-Login", "user ann")]] {
                let denied = server.get_with(target, fields);
                assert_eq!(
                    (denied.status, denied.header("cache-control")),
                    (401, Some("no-store")),
                    "{target}"
                );
                assert!(denied.header("www-authenticate").is_some() && !denied.text().contains("secret"));
            }
        }
        for field in [ANN, BOB] {
            let granted = server.get_with("/private/", &[field]);
            assert_eq!((granted.status, granted.text()), (200, "secret content"));
            assert_eq!(granted.header("cache-control"), Some("private, max-age=60"));
            assert_eq!(granted.header("basic-auth"), None);
        }
        assert!(!server.get("/").text().contains("private"));
        assert!(server.get_with("/", &[ANN]).text().contains("private"));
        assert_eq!(server.get("/a.txt").status, 200);
    });
}

#[test]
fn a_request_of_http_2_logs_in_too() {
    let site = Site::new();
    site.file("a.txt", "content");
    let server = guarded(&site, &["*"], &[]);
    let mut client = Http2::connect(server.address());
    assert_eq!(client.request("GET", "/a.txt", &[]).status, 401);
    assert_eq!(client.request("GET", "/a.txt", &[WRONG]).status, 401);
    assert_eq!(client.request("GET", "/a.txt", &[("wasi-httpd-login", "user ann")]).status, 401);
    let granted = client.request("GET", "/a.txt", &[ANN]);
    assert_eq!((granted.status, granted.text()), (200, "content"));
}

#[test]
fn the_access_log_names_users_whose_password_was_right() {
    let site = Site::new();
    site.file("a.txt", "content").file("team/b.txt", "content");
    // A user called `j"ö`, with the password of `ann`.
    let hash = PASSWORDS.lines().nth(1).unwrap().strip_prefix("ann").unwrap();
    let file = passwords(&site, &format!("{PASSWORDS}j\"\u{f6}{hash}\n"));
    let sent = [
        ("/a.txt?1", vec![ANN], 200, Some("ann")),
        ("/a.txt?2", vec![ANN], 200, Some("ann")),
        ("/a.txt?3", vec![("Authorization", "Basic aiLDtjpzZWNyZXQ=")], 200, Some("j\"\u{f6}")),
        // The password is right, and this user may not come here.
        ("/team/b.txt?4", vec![ANN], 401, Some("ann")),
        ("/a.txt?5", vec![WRONG], 401, None),
        ("/a.txt?6", vec![WRONG, ANN], 401, None),
        ("/a.txt?7", vec![("Authorization", "Basic bm9ib2R5OnNlY3JldA==")], 401, None),
        ("/a.txt?8", vec![("Wasi-Httpd-Login", "user ann")], 401, None),
        ("/none?9", vec![], 404, None),
    ];
    let options = flags(&file, &["/team: bob", "/a.txt"]);
    for format in ["common", "combined", "{target} {user} {status}", "json"] {
        let server = programs!().ours(&site, &[&options[..], &["--log-format", format]].concat());
        let mut http2 = Http2::connect(server.address());
        for (target, fields, status, user) in &sent {
            let shown = user.unwrap_or("-").replace('"', "\\\"").replace('\u{f6}', r"\xc3\xb6");
            let start = format!("127.0.0.1 - {shown} [");
            for version in ["1.1", "2.0"] {
                let target = format!("{target}-{version}");
                let response = match version {
                    "1.1" => server.get_with(&target, fields),
                    _ => http2.request("GET", &target, fields),
                };
                assert_eq!(response.status, *status, "{target}");
                let line = server.wait_for_log(|line| line.contains(&target));
                match format {
                    "json" => {
                        let object: Value = serde_json::from_str(&line).unwrap();
                        assert_eq!(object.get("user").and_then(Value::as_str), *user, "{line}");
                    }
                    "common" | "combined" => assert!(line.starts_with(&start), "{line}"),
                    _ => assert_eq!(line, format!("{target} {shown} {status}")),
                }
            }
        }
    }
}

#[test]
fn passwords_that_the_file_server_compares_name_no_user() {
    let site = Site::new();
    site.file("_headers", "/*\n  Basic-Auth: ann:secret\n").file("a.txt", "content");
    let server = programs!().ours(&site, &["--rules", "--log-format", "{user} {status}"]);
    assert_eq!(server.get_with("/a.txt", &[ANN]).status, 200);
    server.wait_for_log(|line| line == "- 200");
}

#[test]
fn guessing_is_bounded_and_told_of_once() {
    let site = Site::new();
    site.file("a.txt", "content");
    let server = guarded(&site, &["*"], &["--x-forwarded-from", "127.0.0.1", "--admin", "127.0.0.1:0"]);
    let mut client = server.connect();
    let mut ask = |address: &str, field| {
        let proxied = [("X-Forwarded-For", address), ("X-Forwarded-Proto", "https"), field];
        client.request("GET", "/a.txt", &proxied)
    };
    assert_eq!(ask("192.0.2.1", ANN).status, 200);
    let mut statuses = Vec::new();
    for _ in 0..1000 {
        let answer = ask("192.0.2.1", WRONG);
        if answer.status == 429 {
            let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        statuses.push(answer.status);
    }
    assert_eq!((&statuses[..20], &statuses[20..]), (&[401; 20][..], &[429; 980][..]));
    // Nobody else waits for that, nor whoever has logged in already.
    assert_eq!(ask("192.0.2.1", ANN).status, 200);
    assert_eq!(ask("192.0.2.1", BOB).status, 429);
    assert_eq!(ask("192.0.2.1", ("Accept", "*/*")).status, 401);
    assert_eq!(ask("192.0.2.2", BOB).status, 200);
    assert_eq!(ask("192.0.2.2", WRONG).status, 401);
    assert_eq!(ask("192.0.2.3", ("Authorization", "Basic c2VjcmV0OnNlY3JldA==")).status, 401);
    assert_eq!(server.metric("wasi_httpd_limit_hits_total{limit=\"logins\"}"), 981);
    server.wait_for_error(|line| line.contains("192.0.2.3"));
    let lines = server.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("has sent")).map(String::as_str).collect();
    let end = "; more within a minute are not told";
    assert_eq!(
        told,
        [
            &*format!("wasi-httpd: warning: 192.0.2.1 has sent a wrong password of `ann`{end}"),
            &format!("wasi-httpd: warning: 192.0.2.2 has sent a wrong password of `ann`{end}"),
            // It may be a password.
            &format!("wasi-httpd: warning: 192.0.2.3 has sent the name of no user{end}"),
        ]
    );
    server.wait_for_log(|line| line.contains("192.0.2.3"));
    server.signal("TERM");
    let (_, output, errors) = server.wait();
    for line in output.iter().chain(&errors) {
        assert!(!line.contains("secret") && !line.contains("wrong\"") && !line.contains("YW5u"), "{line}");
    }
}

#[test]
fn browsers_that_ask_for_many_files_at_once_log_in_once() {
    let site = Site::new();
    site.file("a.txt", "content");
    let server = guarded(&site, &["*"], &[]);
    // More than may fail, and more than are hashed at a time.
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..40).map(|_| scope.spawn(|| server.get_with("/a.txt", &[CAROL]).status)).collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
}

#[test]
fn a_file_of_passwords_is_refused_in_one_line() {
    let site = Site::new();
    let file = passwords(&site, PASSWORDS);
    let path = file.to_str().unwrap();
    let start = |options: &[&str]| refused(&site, &[&["--addr", "127.0.0.1:0"], options].concat());
    let with_file = ["--auth", "*", "--auth-file", path];
    for (text, expected) in [
        (
            "ann:secret\n",
            "line 1: what follows the name is no hash; make the line with `wasi-httpd password USER`",
        ),
        ("ann:$apr1$x$y\n", "line 1: `$apr1$` is another kind of hash; make the line with"),
        ("", "have no users; make the line with"),
    ] {
        fs::write(&file, text).unwrap();
        let (status, line) = start(&with_file);
        assert_eq!(status, Some(1));
        assert!(line.contains(path) && line.contains(expected) && !line.contains('\n'), "{line}");
        assert!(!line.contains("secret"), "{line}");
        let mut check = programs!().command();
        let output = check.arg("check").arg("--dir").arg(site.root()).args(with_file).output().unwrap();
        assert_eq!(said(&output), (Some(1), line));
    }
    fs::write(&file, PASSWORDS).unwrap();
    for mode in [0o644, 0o604, 0o660] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let (status, line) = start(&with_file);
        let expected =
            format!("other users may read or change the passwords {path}, whose mode is {mode:o}: chmod 600");
        assert!(status == Some(1) && line.contains(&expected) && !line.contains('\n'), "{line}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let inside = site.path(".passwords");
    fs::copy(&file, &inside).unwrap();
    let other = GuestFile::new(guests::handler("(call $complete (call $respond (local.get $out)))"));
    for (options, status, expected) in [
        (&["--auth", "/a: ann dora", "--auth-file", path][..], 1, "--auth names the user `dora`"),
        (&["--auth", "*", "--auth-file", "/missing"], 1, "cannot read the passwords /missing"),
        (&["--auth", "*", "--auth-file", inside.to_str().unwrap()], 1, "which the guest may read and serve"),
        (
            &["--auth", "*", "--auth-file", path, other.path.to_str().unwrap()],
            1,
            "--auth-file is for the file server",
        ),
        (&["--auth", "*"], 2, "--auth asks for the passwords of --auth-file, which is not there"),
        (&["--auth-file", path], 2, "--auth-file has the passwords that --auth asks for"),
        (
            &["--auth", "/a:", "--auth-file", path],
            2,
            "FILES_AUTH is `/a:`, but each of its lines takes `PATTERN`",
        ),
        (&["--env", "FILES_LOGIN_REALM=x"], 2, "FILES_LOGIN_REALM is for hosts that check passwords"),
    ] {
        let (code, line) = start(options);
        assert!(code == Some(status) && line.contains(expected) && !line.contains('\n'), "{line}");
    }
    site.file("_headers", "/*\n  Basic-Auth: ann:secret\n");
    let (status, line) = start(&[&with_file[..], &["--rules"]].concat());
    assert!(
        status == Some(1) && line.contains("_headers has Basic-Auth, and --auth-file other passwords"),
        "{line}"
    );
}

/// Our host, listening where other machines can connect.
fn public(site: &Site, options: &[&str]) -> Command {
    let mut command = programs!().command();
    command.args(["--allow-root", "--addr", "0.0.0.0:0", "--dir"]).arg(site.root()).args(options);
    command.stdin(Stdio::null());
    command
}

fn port(process: &Process) -> u16 {
    let line = process.wait_for_error(|line| line.starts_with("Listening on "));
    line.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn passwords_do_not_come_in_the_clear() {
    let site = Site::new();
    site.file("private/a.txt", "secret content").file("a.txt", "open");
    let file = passwords(&site, PASSWORDS);
    let with_file = flags(&file, &["/private/*"]);
    let rules = ["--rules"];
    for options in [&with_file[..], &rules] {
        site.file("_headers", if options == rules { "/private/*\n  Basic-Auth: ann:secret\n" } else { "" });
        let output = public(&site, options).output().unwrap();
        let (status, line) = said(&output);
        let expected = "in the clear from other machines; use TLS, have a proxy that does";
        assert!(status == Some(1) && line.contains(expected) && line.contains("http://0.0.0.0:"), "{line}");
        let mut check = programs!().command();
        check.args(["check", "--addr", "0.0.0.0:80", "--dir"]).arg(site.root()).args(options);
        let (status, line) = said(&check.output().unwrap());
        assert!(
            status == Some(1) && line.contains("passwords would come to http://0.0.0.0:80/ in the clear"),
            "{line}"
        );

        let allowed = Process::start(&mut public(&site, &[options, &["--auth-in-clear"]].concat()));
        let address = ([127, 0, 0, 1], port(&allowed)).into();
        let get = |target: &str, fields: &[_]| -> Response {
            Client::connect(address).request("GET", target, fields)
        };
        assert_eq!(get("/private/a.txt", &[]).status, 401);
        assert_eq!(get("/private/a.txt", &[ANN]).status, 200);

        // Whoever comes by way of the proxy may log in, and nobody else.
        let behind =
            Process::start(&mut public(&site, &[options, &["--x-forwarded-from", "127.0.0.1"]].concat()));
        let address = ([127, 0, 0, 1], port(&behind)).into();
        let get =
            |fields: &[_]| -> Response { Client::connect(address).request("GET", "/private/a.txt", fields) };
        let proxied = |scheme| [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", scheme), ANN];
        assert_eq!(get(&proxied("https")).text(), "secret content");
        for fields in [&proxied("http")[..], &[ANN], &[]] {
            let denied = get(fields);
            assert_eq!((denied.status, denied.header("www-authenticate")), (403, None));
            assert!(denied.text().contains("use https"), "{}", denied.text());
        }
        behind.wait_for_error(|line| line.contains("a password came in the clear from "));
        assert_eq!(Client::connect(address).request("GET", "/a.txt", &[]).status, 200);
    }
}

#[test]
fn a_reload_replaces_passwords_or_nothing() {
    let site = Site::new();
    site.file("a.txt", "content");
    let server = guarded(&site, &["*"], &[]);
    let file = site.outside().join("passwords");
    let status = |field| server.get_with("/a.txt", &[field]).status;
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        let outcomes = || {
            let is_one =
                |line: &String| line.starts_with("Reloaded ") || line.contains("nothing was reloaded");
            server.lines().into_iter().filter(is_one).collect::<Vec<_>>()
        };
        let before = outcomes().len();
        server.signal("HUP");
        eventually("it has reloaded", || outcomes().len() > before);
        outcomes().remove(before)
    };
    assert_eq!((status(ANN), status(BOB)), (200, 200));
    let wrong = reload("ann:secret\n");
    assert!(wrong.contains("passwords, line 1: what follows the name is no hash"), "{wrong}");
    assert_eq!((status(ANN), status(BOB)), (200, 200), "it goes on as it was");
    // The password of bob for ann, and no bob.
    assert_eq!(reload(&PASSWORDS.replace("ann:", "dora:").replace("bob:", "ann:")), "Reloaded 1 site");
    assert_eq!((status(ANN), status(BOB)), (401, 401), "what was right before is not remembered");
    assert_eq!(status(("Authorization", "Basic YW5uOmh1bnRlcjI=")), 200);
    assert_eq!(status(CAROL), 200);
}

#[test]
fn a_file_that_changes_is_read_again_where_that_is_wanted() {
    let site = Site::new();
    site.file("a.txt", "content");
    let server = guarded(&site, &["*"], &["--watch"]);
    assert_eq!(server.get_with("/a.txt", &[BOB]).status, 200);
    passwords(&site, &PASSWORDS.replace("bob:", "dora:"));
    server.wait_for_error(|line| line == "Reloaded 1 site");
    assert_eq!(server.get_with("/a.txt", &[BOB]).status, 401);
}

#[test]
fn each_site_has_users_of_its_own() {
    let site = Site::new();
    site.file("a.txt", "content");
    for (name, line) in [("one", 1), ("two", 3)] {
        let file = site.outside().join(name);
        fs::write(&file, PASSWORDS.lines().nth(line).unwrap()).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    let config = "addr = '127.0.0.1:0'
         dir = 'www'
         [[site]]
         name = 'one.test'
         auth = '*'
         auth-file = 'one'
         [[site]]
         name = 'one.test'
         prefix = '/two'
         auth = ['/a.txt: bob']
         auth-file = 'two'
         [[site]]
         name = 'open.test'";
    fs::write(site.outside().join("site.toml"), config).unwrap();
    let mut command = programs!().command();
    command.arg("--config").arg(site.outside().join("site.toml"));
    let server = Server::start(Runtime::Ours, command);
    let get = |host: &str, target: &str, field: (&str, &str)| {
        let (name, value) = field;
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{name}: {value}\r\n\r\n");
        server.connect().send(head).response("GET")
    };
    for (host, target, field, status) in [
        ("one.test", "/a.txt", ANN, 200),
        ("one.test", "/a.txt", BOB, 401),
        ("one.test", "/two/a.txt", ANN, 401),
        ("one.test", "/two/a.txt", BOB, 200),
        ("one.test", "/two", BOB, 308),
        ("open.test", "/a.txt", WRONG, 200),
    ] {
        assert_eq!(get(host, target, field).status, status, "{host}{target} with {field:?}");
    }
    let realm = |target| get("one.test", target, WRONG).header("www-authenticate").unwrap().to_owned();
    assert_eq!(realm("/a.txt"), "Basic realm=\"one.test\", charset=\"UTF-8\"");
    assert_eq!(realm("/two/a.txt"), "Basic realm=\"one.test/two\", charset=\"UTF-8\"");
    server.wait_for_error(|line| line.contains("has sent the name of no user to one.test;"));
}

#[test]
fn compressed_forms_are_guarded_like_their_files() {
    let site = Site::new();
    site.file("private/a.js", "let a = 1; ".repeat(1000));
    let server = guarded(&site, &["/private/*"], &["--compress"]);
    let coding = ("Accept-Encoding", "br");
    eventually("the answer is coded", || {
        assert_eq!(server.get_with("/private/a.js", &[coding]).status, 401);
        let answer = server.get_with("/private/a.js", &[coding, ANN]);
        assert_eq!(answer.header("vary"), Some("Accept-Encoding, Authorization"));
        answer.header("content-encoding") == Some("br")
    });
    assert_eq!(server.get_with("/private/a.js", &[coding]).status, 401);
}

#[test]
fn a_line_is_made_of_a_password() {
    let password = |user: &str, input: &str| {
        let mut command = programs!().command();
        command.args(["password", user]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended before it reads.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let output = password("ann", "secret\n");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("ann:$2y$12$") && line.ends_with('\n') && line.len() == 65, "{line}");
    let site = Site::new();
    site.file("a.txt", "content");
    let file = passwords(&site, &line);
    let server = programs!().ours(&site, &flags(&file, &["*"]));
    assert_eq!(server.get_with("/a.txt", &[ANN]).status, 200);
    assert_eq!(server.get_with("/a.txt", &[WRONG]).status, 401);
    for (user, input, expected) in [
        ("a:b", "secret\n", "`a:b` cannot be the name of a user"),
        ("ann", "\n", "a password has from 1 to 71 bytes"),
        ("ann", &"x".repeat(100_000), "a password has from 1 to 71 bytes"),
    ] {
        let (status, said) = said(&password(user, input));
        assert!(status == Some(1) && said.contains(expected) && !said.contains('\n'), "{said}");
    }
}
