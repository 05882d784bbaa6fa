//! `wasi-httpd run`: a command has only what it is granted, and its exit status is that of `wasi-httpd`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Output, Stdio};
use tests::guests::{self, GuestFile};
use tests::{Process, Site, programs};

/// Runs a command to its end.
fn run(guest: &GuestFile, options: &[&str], arguments: &[&str]) -> Output {
    programs!().run(options, &guest.path, arguments).output().unwrap()
}

/// Expects status 0, these lines on standard output, and nothing on standard error.
fn prints(body: &str, options: &[&str], arguments: &[&str], lines: &[&str]) {
    let output = run(&GuestFile::new(guests::command(body)), options, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>(), lines);
    assert_eq!(output.status.code(), Some(0));
}

/// Expects this status and one line on standard error that holds all of `words`.
fn fails(guest: impl AsRef<[u8]>, options: &[&str], status: i32, words: &[&str]) {
    let output = run(&GuestFile::new(guest), options, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("wasi-httpd: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no `{word}` in: {stderr}");
    }
}

const FOREVER: &str = "(loop $forever (br $forever))";

/// Prints `a.txt` again and again.
const PRINT_FOREVER: &str = "(local.set $count (call $stdout))
    (loop $forever (call $line (local.get $count) (i32.const 1032) (i32.const 5)) (br $forever))";

const PRINT_ARGUMENTS: &str = "(call $arguments (i32.const 16)) (call $lines (i32.const 8))";

#[test]
fn the_exit_status_is_the_guests() {
    for status in [0, 1, 2, 42, 130, 255] {
        let guest = GuestFile::new(guests::command(&format!("(call $exit (i32.const {status}))")));
        let output = run(&guest, &[], &[]);
        assert_eq!(output.status.code(), Some(status));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
    for status in [0, 1] {
        let guest = GuestFile::new(guests::command(&format!("(local.set $status (i32.const {status}))")));
        assert_eq!(run(&guest, &[], &[]).status.code(), Some(status));
    }
}

#[test]
fn the_arguments_of_the_guest_follow_it() {
    let guest = GuestFile::new(guests::command(PRINT_ARGUMENTS));
    let output = run(&guest, &["--env", "A=b"], &["--env", "", "-h", "--", "größe"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    // It learns its name, and not in which directory of the host it is.
    assert_eq!(lines.lines().collect::<Vec<_>>(), ["guest.wasm", "--env", "", "-h", "--", "größe"]);
}

#[test]
fn a_guest_sees_only_the_variables_that_are_set() {
    let names = "(call $environment (i32.const 16)) (call $lines (i32.const 16))";
    prints(names, &[], &[], &[]);
    prints(names, &["--env", "A=1", "--env", "B=2"], &[], &["A", "B"]);
}

#[test]
fn standard_input_is_passed_on_until_its_end() {
    let copy = "(local.set $stdin (call $stdin)) (loop $more
        (call $read (local.get $stdin) (i64.const 100) (i32.const 16))
        (if (i32.eqz (i32.load8_u (i32.const 16))) (then
            (call $print (call $stdout) (i32.load offset=4 (i32.const 16)) (i32.load offset=8 (i32.const 16))
                (i32.const 48))
            (br $more))))";
    let guest = GuestFile::new(guests::command(copy));
    let mut process = Process::start(programs!().run(&[], &guest.path, &[]).stdin(Stdio::piped()));
    let mut stdin = process.stdin();
    stdin.write_all(b"first\n").unwrap();
    process.wait_for_output(|line| line == "first");
    stdin.write_all(b"second\n").unwrap();
    drop(stdin);
    let (status, output, errors) = process.wait();
    assert_eq!((status.code(), output, errors), (Some(0), vec!["first".into(), "second".into()], vec![]));
}

#[test]
fn output_is_not_buffered() {
    let guest = GuestFile::new(guests::command(&format!("{PRINT_ARGUMENTS} {FOREVER}")));
    let process = Process::start(&mut programs!().run(&[], &guest.path, &["seen"]));
    process.wait_for_output(|line| line == "seen");
}

#[test]
fn signals_end_the_guest_with_128_plus_the_signal() {
    let guest = GuestFile::new(guests::command(&format!("{PRINT_ARGUMENTS} {FOREVER}")));
    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let process = Process::start(&mut programs!().run(&[], &guest.path, &["ready"]));
        process.wait_for_output(|line| line == "ready");
        process.signal(signal);
        let (status, _, errors) = process.wait();
        assert_eq!((status.code(), errors), (Some(expected), vec![]), "{signal}");
    }
}

#[test]
fn a_closed_standard_output_ends_the_guest_silently() {
    let guest = GuestFile::new(guests::command(PRINT_FOREVER));
    let mut command = programs!().run(&[], &guest.path, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "a.txt\n");
    // The read end of the pipe was closed at the end of the statement above.
    assert_eq!(child.wait().unwrap().code(), Some(141));
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

/// Exits with the number of directories.
const COUNT_DIRECTORIES: &str =
    "(call $directories (i32.const 16)) (call $exit (i32.load offset=4 (i32.const 16)))";

#[test]
fn a_guest_has_only_the_directories_that_it_is_given() {
    let (one, two) = (Site::new(), Site::new());
    let guest = GuestFile::new(guests::command(COUNT_DIRECTORIES));
    assert_eq!(run(&guest, &[], &[]).status.code(), Some(0));
    let one = one.root().to_str().unwrap();
    let two = format!("{}::/two", two.root().display());
    assert_eq!(run(&guest, &["--dir", one], &[]).status.code(), Some(1));
    assert_eq!(run(&guest, &["--dir", one, "--dir", &two], &[]).status.code(), Some(2));
}

#[test]
fn directories_are_read_only() {
    let site = Site::new();
    site.file("a.txt", "as it was");
    // Opens a.txt with these flags. Exits with 0 if it was opened, and with 1 otherwise.
    let open = |open_flags: u32, descriptor_flags: u32| {
        format!(
            "(call $directories (i32.const 16))
            (call $open-at (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 1032) (i32.const 5)
                (i32.const {open_flags}) (i32.const {descriptor_flags}) (i32.const 64))
            (call $exit (i32.load8_u (i32.const 64)))"
        )
    };
    let (create, truncate, read, write) = (1, 8, 1, 2);
    let dir = ["--dir", site.root().to_str().unwrap()];
    let status = |open_flags, descriptor_flags| {
        let guest = GuestFile::new(guests::command(&open(open_flags, descriptor_flags)));
        run(&guest, &dir, &[]).status.code()
    };
    assert_eq!(status(0, read), Some(0));
    assert_eq!(status(0, write), Some(1));
    assert_eq!(status(0, read | write), Some(1));
    assert_eq!(status(truncate, read), Some(1));
    assert_eq!(std::fs::read(site.path("a.txt")).unwrap(), b"as it was");
    std::fs::remove_file(site.path("a.txt")).unwrap();
    assert_eq!(status(create, read), Some(1));
    assert!(!site.path("a.txt").exists());
}

#[test]
fn only_names_that_may_be_connected_to_are_looked_up() {
    // Exits with the number of addresses of `localhost`, or with 100 plus the number of the error.
    let look_up = "(call $resolve (call $network) (i32.const 1040) (i32.const 9) (i32.const 16))
        (if (i32.load8_u (i32.const 16)) (then
            (call $exit (i32.add (i32.const 100) (i32.load8_u offset=4 (i32.const 16))))))
        (loop $more
            (call $next-address (i32.load offset=4 (i32.const 16)) (i32.const 64))
            (if (i32.load8_u offset=2 (i32.const 64)) (then
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br $more))))
        (call $exit (local.get $count))";
    let guest = GuestFile::new(guests::command(look_up));
    let allowed = run(&guest, &["--allow-tcp-connect", "localhost:80"], &[]);
    assert_eq!(allowed.status.code(), Some(2), "127.0.0.1 and ::1");
    let refused = run(&guest, &["--allow-tcp-connect", "127.0.0.1:80"], &[]);
    assert_eq!(refused.status.code(), Some(101), "access denied");
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("`localhost`") && message.contains("--allow-tcp-connect localhost:PORT"),
        "{message}"
    );
}

#[test]
fn a_trap_is_status_1_and_one_line() {
    fails(guests::command("unreachable"), &[], 1, &["the guest failed", "unreachable"]);
}

#[test]
fn a_trap_after_a_refusal_is_reported_with_the_flag() {
    let look_up = "(call $resolve (call $network) (i32.const 1040) (i32.const 9) (i32.const 16)) unreachable";
    let words = ["the guest failed", "unreachable", "`localhost`", "--allow-tcp-connect localhost:PORT"];
    fails(guests::command(look_up), &[], 1, &words);
}

#[test]
fn a_guest_that_takes_too_long_is_stopped() {
    fails(guests::command(FOREVER), &["--timeout", "1"], 1, &["after 1 s", "--timeout"]);
}

#[test]
fn a_guest_that_blocks_in_open_is_stopped() {
    let site = Site::new();
    assert!(Command::new("mkfifo").arg(site.path("a.txt")).status().unwrap().success());
    // Opening a FIFO for reading blocks until a writer opens it, and there is none.
    let open = "(call $directories (i32.const 16))
        (call $open-at (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 1032) (i32.const 5)
            (i32.const 0) (i32.const 1) (i32.const 64))";
    let options = ["--timeout", "1", "--dir", site.root().to_str().unwrap()];
    fails(guests::command(open), &options, 1, &["after 1 s", "--timeout"]);
}

#[test]
fn a_guest_that_blocks_in_a_write_is_stopped() {
    let guest = GuestFile::new(guests::command(PRINT_FOREVER));
    let mut command = programs!().run(&["--timeout", "1"], &guest.path, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "with a full pipe");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("after 1 s") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn closed_standard_streams_do_not_change_the_status() {
    for arguments in [&["--help"][..], &["inspect"], &["run", "/no/such/guest.wasm"]] {
        let mut command = programs!().command();
        let (out, err) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let mut child = command.args(arguments).stdout(out.1).stderr(err.1).spawn().unwrap();
        drop((out.0, err.0));
        let expected = i32::from(arguments[0] == "run");
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn a_guest_that_cannot_be_run_is_explained() {
    let core = wat::parse_str("(module)").unwrap();
    let large = guests::component(
        "command",
        r#"(module (memory 2000) (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0)))"#,
    );
    let table = guests::component(
        "command",
        r#"(module (table 200000 funcref) (func (export "wasi:cli/run@0.2.12#run") (result i32) (i32.const 0)))"#,
    );
    fails(
        guests::handler(guests::ANSWER),
        &[],
        1,
        &["wasi:http/incoming-handler", "serves it", "wasi-httpd "],
    );
    fails(guests::neither(), &[], 1, &["exports nothing", "no command"]);
    fails(guests::of_the_future(), &[], 1, &["wasi:cli/run@0.9.0", "unknown version of WASI"]);
    fails(&core, &[], 1, &["core WebAssembly module", "wasm-tools component new"]);
    fails(guests::preview_1(), &[], 1, &["preview 1", "--adapt wasi_snapshot_preview1.command.wasm"]);
    fails(b"#!/bin/sh", &[], 1, &["not WebAssembly"]);
    fails(&large, &[], 1, &["125 MiB", "--max-memory 125"]);
    fails(&large, &["--max-memory", "100"], 1, &["125 MiB", "--max-memory 100", "--max-memory 125"]);
    fails(&table, &[], 1, &["200000 elements", "--max-table 200000"]);
    for (guest, options) in [(&large, ["--max-memory", "125"]), (&table, ["--max-table", "200000"])] {
        assert_eq!(run(&GuestFile::new(guest), &options, &[]).status.code(), Some(0), "{options:?}");
    }
}

#[test]
fn what_is_of_another_wasi_than_the_host_runs_is_explained() {
    const P2: &str = "wasi:cli/run@0.2.0";
    let rc = "wasi:cli/run@0.3.0-rc-2026-03-15";
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("", &[rc], &[rc, "unknown version of WASI", "0.2 and 0.3"]),
        ("", &["wasi:http/handler@0.3.0"], &["answers HTTP requests", "serves it"]),
        ("", &[P2, "wasi:http/handler@0.3.0"], &["beside WASI 0.3", "serves it"]),
        // Of both, the newest is taken.
        ("", &[P2, "wasi:cli/run@0.3.0"], &["`wasi:cli/run@0.3.0`", "`run`", "inspect --wit"]),
        ("(type (future u8))", &[P2, rc], &["is intact", rc, "unknown version of WASI"]),
    ];
    for (definitions, exports, words) in cases {
        fails(guests::exporting(definitions, exports), &[], 1, words);
    }
}

#[test]
fn a_component_that_is_also_a_server_runs() {
    let output = run(&GuestFile::new(guests::both()), &[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn wrong_usage_is_status_2() {
    let run = |arguments: &[&str]| programs!().command().arg("run").args(arguments).output().unwrap();
    for (arguments, word) in [
        (&[][..], "GUEST"),
        (&["--dir", "a", "--dir", "b", "a.wasm"], "two directories"),
        (&["--allow-tcp-listen", "8080", "a.wasm"], "--allow-tcp-listen takes HOST:PORT"),
        (&["--allow-tcp-connect", "a:0", "a.wasm"], "port from 1 on"),
        (&["--allow-host", "http://a/", "a.wasm"], "--allow-host takes HOST"),
        (&["--timeout", "0", "a.wasm"], "above zero"),
        (&["--no-such-flag", "a.wasm"], "`wasi-httpd run --help`"),
    ] {
        let output = run(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(word) && message.lines().count() == 1, "{message}");
    }
    let unknown = run(&["--allow-tcp-connect", "no-such-name.invalid:80", "a.wasm"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn a_failure_after_a_refusal_is_reported_with_the_flag() {
    let site = Site::new();
    let write = "(call $directories (i32.const 16))
        (call $open-at (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 1032) (i32.const 5)
            (i32.const 1) (i32.const 2) (i32.const 64))
        (local.set $status (i32.load8_u (i32.const 64)))";
    let words = ["may not write to `a.txt`", "read-only"];
    fails(guests::command(write), &["--dir", site.root().to_str().unwrap()], 1, &words);
    let udp = guests::command_with(
        r#"(import "wasi:sockets/udp-create-socket@0.2.12" "create-udp-socket" (func $udp (param i32 i32)))"#,
        "(call $udp (i32.const 0) (i32.const 64)) (local.set $status (i32.load8_u (i32.const 64)))",
    );
    fails(udp, &[], 1, &["may not create a UDP socket", "no flag allows it"]);
}
