//! `wasi-httpd inspect`: the kind of a component and what it would be granted, without running it.

use serde_json::Value;
use tests::guests::{self, GuestFile, HELLO, TCP_SERVER};
use tests::programs;

/// The report on a guest as text.
fn text(guest: impl AsRef<[u8]>, options: &[&str]) -> String {
    let guest = GuestFile::new(guest);
    let output = programs!().command().arg("inspect").args(options).arg(&guest.path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap().replace(guest.path.to_str().unwrap(), "guest.wasm")
}

/// The report on a guest as JSON.
fn json(guest: impl AsRef<[u8]>, options: &[&str]) -> Value {
    let options: Vec<_> = options.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&text(guest, &options)).unwrap()
}

/// The entry for an import of a guest that can be started in one way only.
fn verdict<'a>(report: &'a Value, import: &str) -> &'a Value {
    let starts = report["starts"].as_array().unwrap();
    assert_eq!(starts.len(), 1);
    starts[0]["imports"].as_array().unwrap().iter().find(|found| found["name"] == import).unwrap()
}

#[test]
fn the_whole_report_as_text() {
    let text = text(HELLO, &[]);
    let rest = text.split_once('\n').unwrap();
    assert!(rest.0.starts_with("the guest `guest.wasm`: an HTTP server of WASI 0.2, "), "{text}");
    let expected = "  it runs directly, in instances that are restored after each request

exports
  wasi:http/incoming-handler@0.2.12

imports, with `wasi-httpd` as called
  granted  wasi:io/error@0.2.12
           to learn what went wrong with a stream
  granted  wasi:io/streams@0.2.12
           to read from and write to what it has opened
  granted  wasi:http/types@0.2.12
           to make and read HTTP requests and responses
";
    let (needs, rest) = rest.1.split_once('\n').unwrap();
    assert!(needs.starts_with("  one instance begins with ") && needs.contains("KiB of memory"), "{needs}");
    assert_eq!(rest, expected);
}

#[test]
fn without_a_guest_the_built_in_one_is_inspected() {
    let output = programs!().command().arg("inspect").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("the built-in guest: an HTTP server of WASI 0.2, "), "{text}");
    assert!(text.contains("(. as /, read-only (--dir changes that))"), "{text}");
}

#[test]
fn a_refused_import_is_shown_with_the_flag_that_allows_it() {
    let tcp = "wasi:sockets/tcp@0.2.12";
    let refused = json(TCP_SERVER, &[]);
    assert_eq!(refused["kind"], "command");
    assert_eq!((&refused["command_version"], &refused["http_version"]), (&"0.2".into(), &Value::Null));
    assert_eq!(refused["runs"], Value::Null, "a command serves nothing");
    assert_eq!(refused["starts"][0]["command"], "wasi-httpd run");
    assert_eq!(verdict(&refused, tcp)["verdict"], "refused");
    let flag = verdict(&refused, tcp)["flag"].as_str().unwrap();
    assert_eq!(flag, "--allow-tcp-listen HOST:PORT or --allow-tcp-connect HOST[:PORT]");
    assert!(text(TCP_SERVER, &[]).contains("(sockets reach nothing; --allow-tcp-listen HOST:PORT or"));

    let granted = json(TCP_SERVER, &["--allow-tcp-listen", "localhost:7000", "--env", "A=b"]);
    assert_eq!(verdict(&granted, tcp)["verdict"], "granted");
    assert_eq!(verdict(&granted, tcp)["note"], "listen at localhost:7000");
    assert_eq!(verdict(&granted, "wasi:cli/environment@0.2.12")["note"], "A");
}

#[test]
fn an_interface_that_the_host_does_not_have_is_lacking() {
    let demanding = guests::component(
        "demanding",
        r#"(module (import "tests:guests/unheard-of" "wish" (func $wish))
            (memory (export "memory") 1)
            (func (export "wasi:http/incoming-handler@0.2.12#handle") (param i32 i32) (call $wish)))"#,
    );
    let report = json(&demanding, &[]);
    let lacking = verdict(&report, "tests:guests/unheard-of");
    assert_eq!(lacking["verdict"], "lacking");
    assert!(lacking["note"].as_str().unwrap().contains("no part of WASI"), "{lacking}");
}

#[test]
fn a_function_that_the_host_does_not_have_is_named() {
    let newer = r#"(component
        (import "wasi:io/poll@0.2.99" (instance (export "later" (func)) (export "poll-all" (func))))
        (instance $run)
        (export "wasi:cli/run@0.2.12" (instance $run)))"#;
    let report = json(wat::parse_str(newer).unwrap(), &[]);
    let lacking = verdict(&report, "wasi:io/poll@0.2.99");
    assert_eq!(lacking["verdict"], "lacking");
    assert!(lacking["note"].as_str().unwrap().contains("does not have its later, poll-all"), "{lacking}");
}

#[test]
fn each_kind_of_component_is_recognized() {
    let core = wat::parse_str("(module)").unwrap();
    for (guest, kind, words) in [
        (guests::both(), "both", "both, an HTTP server and a command of WASI 0.2"),
        (guests::neither(), "neither", "neither an HTTP server nor a command"),
        (guests::of_the_future(), "command", "a command of an unknown version of WASI"),
        (guests::preview_1(), "core-module", "--adapt wasi_snapshot_preview1.command.wasm"),
        (core, "core-module", "wasm-tools component new IN.wasm -o OUT.wasm"),
    ] {
        assert_eq!(json(&guest, &[])["kind"], kind);
        let text = text(&guest, &[]);
        assert!(text.contains(words), "no `{words}` in: {text}");
    }
    let both = json(guests::both(), &[]);
    let commands: Vec<_> = both["starts"].as_array().unwrap().iter().map(|start| &start["command"]).collect();
    assert_eq!(commands, ["wasi-httpd", "wasi-httpd run"]);
    let future = json(guests::of_the_future(), &[]);
    assert!(future["starts"][0]["problem"].as_str().unwrap().contains("unknown version"), "{future}");
}

#[test]
fn names_are_escaped_for_the_terminal() {
    let module = wat::parse_str(
        "(module (import \"a\\1b[2J\\r\\u{202e}\\u{9b}31mb\" \"f\" (func)) (import \"z\" \"f\" (func)))",
    )
    .unwrap();
    assert!(text(&module, &[]).contains("a\\u{1b}[2J\\r\\u{202e}\\u{9b}31mb"), "{}", text(&module, &[]));
    let printed = text(&module, &["--json"]);
    assert!(!printed.contains(['\u{1b}', '\r', '\u{9b}']), "{printed}");
    assert_eq!(json(&module, &[])["imports"][0]["name"], "a\u{1b}[2J\r\u{202e}\u{9b}31mb");
}

#[test]
fn a_component_beyond_the_limits_is_shown_with_the_flag() {
    let large = guests::component(
        "command",
        r#"(module (memory 2000) (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0)))"#,
    );
    let report = json(&large, &[]);
    assert_eq!(report["needs"]["memory_bytes"], 2000 * 65536);
    assert!(report["starts"][0]["problem"].as_str().unwrap().contains("--max-memory 125"), "{report}");
    assert_eq!(json(&large, &["--max-memory", "125"])["starts"][0]["problem"], Value::Null);
}

#[test]
fn the_guest_is_not_run() {
    let endless = guests::component(
        "command",
        r#"(module (func $forever (loop $forever (br $forever))) (start $forever)
            (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0)))"#,
    );
    assert_eq!(json(&endless, &[])["kind"], "command");
}

#[test]
fn a_file_that_is_not_webassembly_is_an_error() {
    for (bytes, word) in [(&b""[..], "empty"), (b"<html>", "not WebAssembly"), (&HELLO[..1000], "truncated")]
    {
        let guest = GuestFile::new(bytes);
        let output = programs!().command().arg("inspect").arg(&guest.path).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        assert!(message.contains(word), "{message}");
    }
}
