//! Startup: an error is one line that says what to do, and an exit status.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use tests::guests::{self, GuestFile};
use tests::site::Site;
use tests::{Runtime, Server, programs};

/// The user id of `nobody`, who owns no files and cannot read those of other users.
const NOBODY: u32 = 65534;

fn run(arguments: &[&str]) -> Output {
    programs!().command().args(arguments).output().unwrap()
}

/// Expects this exit status and one line on standard error that holds all of `words`.
fn fails(arguments: &[&str], status: i32, words: &[&str]) {
    check(&run(arguments), arguments, status, words);
}

fn check(output: &Output, arguments: &[&str], status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("wasi-httpd: "), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no `{word}` in: {stderr}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    for (arguments, words) in [
        (&["--env", "A"][..], &["--env", "NAME=VALUE", "`A`"][..]),
        (&["--env", "=b"], &["--env", "NAME=VALUE"]),
        (&["--addr", "8080"], &["--addr", "HOST:PORT", "`8080`"]),
        (&["--addr", "localhost:99999"], &["--addr", "HOST:PORT"]),
        (&["--dir", ""], &["--dir", "HOST_DIR"]),
        (&["--dir", "a", "--dir", "b"], &["two directories", "HOST_DIR::GUEST_DIR"]),
        (&["--max-instances", "0"], &["--max-instances", "above zero"]),
        (&["--max-memory", "4097"], &["--max-memory", "4096"]),
        (&["--max-instances", "many"], &["--max-instances", "many", "--help"]),
        (
            &["--max-instances", "-5"],
            &["--max-instances takes a number above zero", "--max-instances 5", "`-5`"],
        ),
        (&["--timeout", "30s"], &["--timeout takes a number of seconds", "--timeout 30", "`30s`"]),
        (&["--no-such-flag"], &["--no-such-flag", "--help"]),
        (&["--listng"], &["--listng", "--listing"]),
        (&["--listing", "on"], &["`on`", "--listing=on"]),
        (&["--port", "8000"], &["--port", "--addr localhost:8000"]),
        (&["--host", "0.0.0.0"], &["--host", "--addr 0.0.0.0:8080"]),
        (&["--allow-name", "a:80"], &["--allow-name", "without a port", "`a:80`"]),
        (&["--allow-tcp-listen", "127.0.0.1:80"], &["only commands", "wasi-httpd run --allow-tcp-listen"]),
        (&["serve", "a.wasm"], &["`serve`", "wasi-httpd GUEST"]),
        (&["serve"], &["`serve`", "wasi-httpd GUEST"]),
        (&["inspct", "a.wasm"], &["`inspct`", "wasi-httpd inspect"]),
        (&["inspct"], &["`inspct`", "wasi-httpd inspect"]),
        (&["a.wasm", "b.wasm"], &["`a.wasm` and `b.wasm` are two guests", "--help"]),
    ] {
        fails(arguments, 2, words);
    }
}

#[test]
fn help_and_version_are_status_0() {
    for (argument, words) in [("--help", "--addr <HOST:PORT|unix:PATH>"), ("--version", "built-in guest: ")] {
        let output = run(&[argument]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        assert!(String::from_utf8_lossy(&output.stdout).contains(words));
    }
}

#[test]
fn an_address_that_cannot_be_bound_is_explained() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["--addr", &address], 1, &[&address, "another program has it", "--addr"]);
    let localhost = format!("localhost:{}", taken.local_addr().unwrap().port());
    fails(&["--addr", &localhost], 1, &[&address, "another program has it"]);
    fails(&["--addr", "192.0.2.1:0"], 1, &["192.0.2.1:0", "not an address of this machine"]);
    fails(&["--addr", "no-such-name.invalid:80"], 1, &["no-such-name.invalid", "--addr"]);
}

#[test]
fn a_privileged_port_is_explained() {
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let lowest: u16 = lowest.trim().parse().unwrap();
    let site = Site::new();
    // If the kernel has no privileged ports, test an address that cannot be bound instead.
    let (address, word) =
        if lowest > 1 { ("127.0.0.1:1", "superuser") } else { ("192.0.2.1:1", "not an address") };
    let arguments = ["--addr", address, "--dir", site.root().to_str().unwrap()];
    let output = public_copy(site.outside()).args(arguments).output().unwrap();
    check(&output, &arguments, 1, &[address, word, "--addr"]);
}

#[test]
fn localhost_is_both_loopback_addresses_at_one_port() {
    let site = Site::new();
    site.file("a.txt", "a");
    let mut command = programs!().command();
    command.args(["--addr", "localhost:0", "--dir"]).arg(site.root());
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(server.get("/a.txt").text(), "a");
    let port = server.address().port();
    let v6 = format!("[::1]:{port}").parse().unwrap();
    if TcpListener::bind("[::1]:0").is_ok() {
        server.wait_for_error(|line| line == format!("Listening on http://[::1]:{port}/"));
        assert_eq!(tests::Client::connect(v6).request("GET", "/a.txt", &[]).text(), "a");
    }
}

#[test]
fn several_addresses_serve_the_same() {
    let site = Site::new();
    site.file("a.txt", "a");
    let server = programs!().ours(&site, &["--addr", "127.0.0.2:0"]);
    let line = server.wait_for_error(|line| line.contains("127.0.0.2"));
    let second = line.trim_start_matches("Listening on http://").trim_end_matches('/').parse().unwrap();
    assert_eq!(server.get("/a.txt").text(), "a");
    assert_eq!(tests::Client::connect(second).request("GET", "/a.txt", &[]).text(), "a");
}

#[test]
fn a_directory_that_cannot_be_served_is_explained() {
    let site = Site::new();
    site.file("a.txt", "a");
    let file = site.path("a.txt").display().to_string();
    fails(&["--dir", "/no/such/directory"], 1, &["--dir /no/such/directory", "No such file"]);
    fails(&["--dir", &file], 1, &["--dir", &file, "not a directory"]);
}

/// A copy of the program that every user may run, as a command that runs without root's privileges.
fn public_copy(directory: &Path) -> Command {
    let copy = directory.join("wasi-httpd");
    // `cp` runs in another process. If this one wrote the copy, a child started meanwhile could inherit the open file,
    // and executing the copy would fail with `ETXTBSY`.
    assert!(Command::new("cp").arg(programs!().ours).arg(&copy).status().unwrap().success());
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(copy);
    // A user without a home directory has no cache, which is not an error.
    command.env_remove("HOME").env("XDG_CACHE_HOME", "/nowhere");
    // Only root can change the user, and only root needs to: other users cannot read every file.
    if fs::metadata("/proc/self").is_ok_and(|myself| std::os::unix::fs::MetadataExt::uid(&myself) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn deny_all_access(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

#[test]
fn an_unreadable_root_is_an_error_and_an_unreadable_file_a_404() {
    let site = Site::new();
    site.file("open.txt", "open").file("closed.txt", "closed").file("closed/a.txt", "a");
    deny_all_access(&site.path("closed.txt"));
    deny_all_access(&site.path("closed"));

    let closed = site.path("closed").display().to_string();
    let arguments = ["--dir", closed.as_str()];
    let output = public_copy(site.outside()).args(arguments).output().unwrap();
    check(&output, &arguments, 1, &["--dir", &closed, "Permission denied"]);

    let mut command = public_copy(site.outside());
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    let server = Server::start(Runtime::Ours, command);
    assert_eq!(server.get("/open.txt").text(), "open");
    let missing = server.get("/missing");
    for target in ["/closed.txt", "/closed/a.txt", "/closed/", "/closed/missing"] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (404, missing.text()), "{target}");
        assert_eq!(response.header_names(), missing.header_names(), "{target}");
    }
    fs::set_permissions(site.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let site = Site::new();
    site.file("a.txt", "a");
    let mut command = programs!().command();
    // Even root cannot create a cache below a regular file.
    command.env("XDG_CACHE_HOME", site.path("a.txt")).env("HOME", site.path("a.txt"));
    command.args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    let server = Server::start(Runtime::Ours, command);
    server.wait_for_error(|line| line.starts_with("wasi-httpd: warning: compiled components are not cached"));
    assert_eq!(server.get("/a.txt").text(), "a");
}

#[test]
fn a_guest_that_cannot_be_served_is_explained() {
    let core = wat::parse_str("(module)").unwrap();
    let adapted = guests::handler(guests::ANSWER);
    let truncated = &adapted[..adapted.len() / 2];
    let nothing = guests::component("nothing", "(module)");
    let command = guests::component(
        "command",
        r#"(module (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0)))"#,
    );
    let demanding = guests::component(
        "demanding",
        r#"(module (import "tests:guests/unheard-of" "wish" (func $wish))
            (memory (export "memory") 1)
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32) (call $wish)))"#,
    );
    let large = guests::component(
        "guest",
        r#"(module (memory (export "memory") 2000)
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32)))"#,
    );
    let table = guests::component(
        "guest",
        r#"(module (memory (export "memory") 1) (table 200000 funcref)
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32)))"#,
    );
    let cases: [(&[u8], &[&str]); 13] = [
        (b"", &["empty"]),
        (b"#!/bin/sh", &["not WebAssembly"]),
        (b"(component)", &["wasm-tools parse"]),
        (b"\0asm\x0d", &["cut short"]),
        (&core, &["core WebAssembly module", "wasm-tools component new"]),
        (truncated, &["truncated"]),
        (&nothing, &["exports nothing", "wasi:http/incoming-handler"]),
        (&command, &["exports wasi:cli/run@0.2.12", "wasi:http/incoming-handler", "`wasi-httpd run "]),
        (&guests::of_the_future(), &["wasi:cli/run@0.9.0", "unknown version of WASI"]),
        (&guests::preview_1(), &["preview 1", "--adapt wasi_snapshot_preview1.command.wasm"]),
        (&demanding, &["tests:guests/unheard-of", "does not offer"]),
        (&large, &["memory", "limit", "125 MiB", "--max-memory 125"]),
        (&table, &["200000 elements", "--max-table 200000"]),
    ];
    for (bytes, words) in cases {
        let guest = GuestFile::new(bytes);
        fails(&["--addr", "127.0.0.1:0", guest.path.to_str().unwrap()], 1, words);
    }
    fails(&["/no/such/guest.wasm"], 1, &["/no/such/guest.wasm", "No such file"]);
    fails(&["/"], 1, &["is a directory", "--dir /"]);
}

#[test]
fn what_is_of_another_wasi_or_form_than_the_host_serves_is_explained() {
    const P3: &str = "wasi:http/handler@0.3.0";
    let newer = r#"(import "wasi:clocks/monotonic-clock@0.3.7"
        (instance (export "tomorrow" (func (result u64)))))"#;
    let threads = "(core module $shared (memory 1 1 shared)) (core instance (instantiate $shared))";
    let wrong = "(core module $wrong (func (result i32))) (core instance (instantiate $wrong))";
    let cases: [(&str, &[&str], &[&str]); 9] = [
        ("", &["wasi:http/handler@0.4.0"], &["handler@0.4.0", "unknown version of WASI", "0.2 and 0.3"]),
        ("", &["wasi:http/handler@0.3.0-rc-2026-03-15"], &["rc-2026-03-15", "unknown version of WASI"]),
        ("", &["wasi:cli/run@0.3.0"], &["it is a command", "`wasi-httpd run "]),
        (
            "",
            &["wasi:http/incoming-handler@0.2.0", "wasi:cli/run@0.3.0"],
            &["beside WASI 0.3", "`wasi-httpd run "],
        ),
        // Of both, the newest is taken.
        (
            "",
            &["wasi:http/incoming-handler@0.2.0", P3],
            &["`wasi:http/handler@0.3.0`", "`handle`", "inspect --wit"],
        ),
        ("", &[], &["exports nothing", "wasi:http/handler@0.3.x"]),
        (newer, &[P3], &["wasi:clocks/monotonic-clock@0.3.7", "`tomorrow`", "does not offer", "inspect"]),
        (threads, &[P3], &["is intact", "threads"]),
        (wrong, &[P3], &["truncated or damaged", "type mismatch"]),
    ];
    for (definitions, exports, words) in cases {
        let guest = GuestFile::new(guests::exporting(definitions, exports));
        fails(&["--addr", "127.0.0.1:0", guest.path.to_str().unwrap()], 1, words);
    }
    let truncated = &*host::component::BUILT_IN_P3;
    let guest = GuestFile::new(&truncated[..truncated.len() / 2]);
    fails(&["--addr", "127.0.0.1:0", guest.path.to_str().unwrap()], 1, &["truncated or damaged"]);
}

#[test]
fn the_built_in_guest_can_be_written_to_a_file_and_served() {
    let site = Site::new();
    site.file("a.txt", "a");
    let file = site.outside().join("out.wasm");
    let output = run(&["guest", "-o", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read(&file).unwrap(), *host::component::BUILT_IN);
    let dir = site.root().to_str().unwrap();
    let server = programs!().ours_with_guest(&file, &["--dir", dir]);
    assert_eq!(server.get("/a.txt").text(), "a");
    fails(&["guest", "-o", "/no/such/directory/guest.wasm"], 1, &["/no/such/directory/guest.wasm"]);
    let output = run(&["guest", "-o", "-"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == *host::component::BUILT_IN, "on standard output");
    for (version, component) in
        [("0.2", &*host::component::BUILT_IN), ("0.3", &*host::component::BUILT_IN_P3)]
    {
        let output = run(&["guest", "--wasi", version, "-o", "-"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == *component, "{version} on standard output");
    }
    fails(&["guest", "--wasi", "0.4", "-o", "-"], 2, &["0.4", "0.2", "0.3"]);
}
