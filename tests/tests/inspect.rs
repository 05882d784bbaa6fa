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

/// A command that imports these functions of an interface, each without parameters or results, as `inspect` does not look
/// at them.
fn importing(interface: &str, functions: &[&str]) -> String {
    let functions: String = functions.iter().map(|name| format!("(export \"{name}\" (func))")).collect();
    format!("(import \"{interface}\" (instance {functions}))")
}

/// A command with these imports.
fn command(imports: &[String]) -> GuestFile {
    let imports = imports.concat();
    let text =
        format!("(component {imports} (instance $run) (export \"wasi:cli/run@0.2.12\" (instance $run)))");
    GuestFile::new(wat::parse_str(text).unwrap())
}

/// What `inspect` prints of these guests, without their directories.
fn compare(guests: [&GuestFile; 2], options: &[&str]) -> String {
    let mut command = programs!().command();
    command.arg("inspect").args(options).args(guests.map(|guest| &guest.path));
    let output = command.output().unwrap();
    assert_eq!((String::from_utf8_lossy(&output.stderr), output.status.code()), ("".into(), Some(0)));
    let text = String::from_utf8(output.stdout).unwrap();
    let [from, to] = guests.map(|guest| guest.path.to_str().unwrap().to_owned());
    text.replace(&from, "a.wasm").replace(&to, "b.wasm")
}

#[test]
fn each_function_has_a_verdict_and_its_flag() {
    let files = importing("wasi:filesystem/types@0.2.12", &["filesystem-error-code"]);
    let lookup = importing("wasi:sockets/ip-name-lookup@0.2.12", &["resolve-addresses"]);
    let guest = command(&[files, lookup]);
    let report = json(std::fs::read(&guest.path).unwrap(), &[]);
    let lookup = verdict(&report, "wasi:sockets/ip-name-lookup@0.2.12");
    let function = &lookup["functions"][0];
    assert_eq!(function["name"], "resolve-addresses");
    assert_eq!((&function["verdict"], &function["flag"]), (&lookup["verdict"], &lookup["flag"]));
    assert_eq!(function["flag"], "--allow-tcp-connect HOST[:PORT]");

    // The TCP server binds, listens and accepts, and the others of its functions need no flag of their own.
    let report = json(TCP_SERVER, &["--allow-tcp-connect", "localhost:80"]);
    let tcp = verdict(&report, "wasi:sockets/tcp@0.2.12");
    assert_eq!(tcp["verdict"], "granted");
    for function in tcp["functions"].as_array().unwrap() {
        let name = function["name"].as_str().unwrap();
        let listens = ["listen", "accept"].iter().any(|word| name.ends_with(word));
        assert_eq!(function["verdict"], if listens { "refused" } else { "granted" }, "{name}");
        assert_eq!(function["flag"].as_str(), listens.then_some("--allow-tcp-listen HOST:PORT"), "{name}");
    }
    let text = text(TCP_SERVER, &["--allow-tcp-connect", "localhost:80"]);
    let line = text.lines().find(|line| line.starts_with("           refused: [method]tcp-socket.")).unwrap();
    assert!(line.ends_with(" (it may listen nowhere; --allow-tcp-listen HOST:PORT allows it)"), "{line}");
}

#[test]
fn two_components_are_compared() {
    let before = command(&[
        importing("wasi:io/poll@0.2.0", &["poll"]),
        importing("wasi:cli/environment@0.2.0", &["get-arguments", "get-environment"]),
        importing("wasi:random/random@0.2.0", &["get-random-u64"]),
    ]);
    let after = command(&[
        importing("wasi:io/poll@0.2.12", &["poll"]),
        importing("wasi:cli/environment@0.2.12", &["get-arguments", "initial-cwd"]),
        importing("wasi:http/outgoing-handler@0.2.12", &["handle"]),
        importing("a:b/c", &["f"]),
    ]);
    let sizes = [&before, &after].map(|guest| std::fs::metadata(&guest.path).unwrap().len());
    let expected = format!(
        "from the guest `a.wasm`: a command of WASI 0.2, {} bytes
to   the guest `b.wasm`: a command of WASI 0.2, {} bytes

wants now, with `wasi-httpd run` as called
  granted  wasi:cli/environment@0.2.12
           to read its arguments and the variables of its environment
           (no variables; --env NAME=VALUE sets one)
           only: initial-cwd
  refused  wasi:http/outgoing-handler@0.2.12
           to send HTTP requests to other servers
           (every request is refused; --allow-host HOST[:PORT] allows it)
  lacking  a:b/c
           (it is no part of WASI; compose the guest with a component that exports it (`wac plug`))

no longer wants
  wasi:cli/environment@0.2.0
  to read its arguments and the variables of its environment
  only: get-environment
  wasi:random/random@0.2.0
  to have random numbers
",
        sizes[0], sizes[1]
    );
    assert_eq!(compare([&before, &after], &[]), expected);

    let report: Value =
        serde_json::from_str(&compare([&before, &after], &["--json", "--allow-host", "a.test"])).unwrap();
    let wanted = &report["starts"][0]["wanted"];
    assert_eq!(wanted[1]["name"], "wasi:http/outgoing-handler@0.2.12");
    assert_eq!((&wanted[1]["verdict"], &wanted[1]["note"]), (&"granted".into(), &"to a.test".into()));
    assert_eq!(wanted[0]["functions"].as_array().unwrap().len(), 1);
    assert_eq!(report["unwanted"][1]["name"], "wasi:random/random@0.2.0");
    assert_eq!(
        (&report["unwanted"][1]["whole"], &report["unwanted"][0]["whole"]),
        (&true.into(), &false.into())
    );
    assert_eq!(report["to"]["description"], "a command of WASI 0.2");
}

#[test]
fn interfaces_of_wasi_0_2_and_0_3_are_different_ones() {
    let server = |import: &str, handler: &str| {
        let text =
            format!("(component {import} (instance $handler) (export \"{handler}\" (instance $handler)))");
        GuestFile::new(wat::parse_str(text).unwrap())
    };
    let before = server(&importing("wasi:io/poll@0.2.12", &["poll"]), "wasi:http/incoming-handler@0.2.12");
    let imports = [
        importing("wasi:http/client@0.3.0", &["send"]),
        importing("wasi:filesystem/types@0.2.12", &["filesystem-error-code"]),
        importing("wasi:clocks/monotonic-clock@0.3.0", &["now", "subscribe-duration"]),
    ];
    let after = server(&imports.concat(), "wasi:http/handler@0.3.0");
    let report: Value = serde_json::from_str(&compare([&before, &after], &["--json"])).unwrap();
    let wanted = report["starts"][0]["wanted"].as_array().unwrap();
    let verdicts: Vec<_> = wanted.iter().map(|import| (&import["name"], &import["verdict"])).collect();
    let expected = [
        ("wasi:http/client@0.3.0", "refused"),
        ("wasi:filesystem/types@0.2.12", "granted"),
        ("wasi:clocks/monotonic-clock@0.3.0", "lacking"),
    ];
    let expected = expected.map(|(name, verdict)| (Value::from(name), Value::from(verdict)));
    assert_eq!(verdicts, expected.iter().map(|(name, verdict)| (name, verdict)).collect::<Vec<_>>());
    assert_eq!(wanted[0]["flag"], "--allow-host HOST[:PORT]");
    // The function is one of 0.2.
    assert!(wanted[2]["note"].as_str().unwrap().contains("does not have its subscribe-duration"), "{report}");
    assert_eq!(report["exports_added"][0], "wasi:http/handler@0.3.0");
}

#[test]
fn a_component_compared_with_itself_wants_nothing_more() {
    let (one, other) = (GuestFile::new(HELLO), GuestFile::new(HELLO));
    let text = compare([&one, &other], &[]);
    let (_, rest) = text.split_once("\n\n").unwrap();
    assert_eq!(rest, "wants now, with `wasi-httpd` as called: nothing\n\nno longer wants: nothing\n");
    // What is exported counts as well.
    let text = compare([&one, &GuestFile::new(guests::neither())], &[]);
    assert!(text.contains("\nno longer exports\n  wasi:http/incoming-handler@0.2.12\n"), "{text}");
    assert!(text.contains("\nwants now: nothing\n"), "{text}");
}

#[test]
fn the_interfaces_are_printed_in_wit() {
    let wit = text(HELLO, &["--wit"]);
    assert!(wit.starts_with("package root:component;\n\nworld root {\n"), "{wit}");
    assert!(wit.contains("\n  import wasi:http/types@0.2.12;\n"), "{wit}");
    assert!(wit.contains("\n  export wasi:http/incoming-handler@0.2.12;\n}\n"), "{wit}");
    assert!(wit.contains("\npackage wasi:http@0.2.12 {\n"), "{wit}");
    assert!(wit.contains("    set: static func(param: response-outparam, response: result<outgoing-response, error-code>);\n"), "{wit}");

    // It is WIT: a parser reads it, and finds the same world.
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("hello.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("root")).unwrap();
    assert_eq!(resolve.worlds[world].exports.len(), 1);
}

#[test]
fn wit_of_what_has_none_is_an_error_of_one_line() {
    let failure = |options: &[&str], guest: &[u8]| {
        let guest = GuestFile::new(guest);
        let output = programs!().command().arg("inspect").args(options).arg(&guest.path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message.lines().count(), 1, "{message}");
        (message, output.status.code())
    };
    let (message, status) = failure(&["--wit"], &guests::preview_1());
    assert!(
        message.contains("is a core module, which has no interfaces; `wasm-tools component new"),
        "{message}"
    );
    assert_eq!(status, Some(1));
    // Its types are wrong, which only a validation finds.
    let broken =
        wat::parse_str(r#"(component (import "a:b/c" (instance $i)) (alias export $i "x" (func $f)))"#)
            .unwrap();
    let (message, status) = failure(&["--wit"], &broken);
    assert!(message.contains("the interfaces of the guest") && status == Some(1), "{message}");

    let (message, status) = failure(&["--wit", "--json"], HELLO);
    assert!(message.contains("'--wit'") && message.contains("'--json'") && status == Some(2), "{message}");
    let (message, status) = failure(&["--wit", "a.wasm"], HELLO);
    assert!(message.contains("cannot be used with") && status == Some(2), "{message}");
    let (message, status) = failure(&["no-such-file"], HELLO);
    assert!(message.contains("cannot read the guest `no-such-file`") && status == Some(1), "{message}");
}

#[test]
fn documentation_in_a_component_controls_no_terminal() {
    // WIT as a component, with its documentation in a section of its own.
    let mut resolve = wit_parser::Resolve::default();
    let text = "package a:b;\n/// red\ninterface c { f: func(); }\nworld d { import c; }\n";
    let package = resolve.push_str("a.wit", text).unwrap();
    for (_, interface) in &mut resolve.interfaces {
        interface.docs.contents = Some("red \u{1b}[31m".to_owned());
    }
    let binary = wit_component::encode(&resolve, package, false).unwrap();
    let wit = self::text(&binary, &["--wit"]);
    assert!(wit.contains(r"red \u{1b}[31m") && !wit.contains('\u{1b}'), "{wit}");
}
