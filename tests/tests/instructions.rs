//! What a request costs, in instructions: they are counted, not timed, so that they are the same however busy the machine
//! is, and a change that makes requests dearer is seen before it lands.
//!
//! It needs valgrind, and the program as people run it: `cargo build --release -p host`.

use std::path::Path;
use std::process::Command;
use tests::{Site, programs};

/// Requests that are counted, after as many that are not.
const REQUESTS: u64 = 100;

/// How far a count may be from the recorded one, in percent. On one machine it is the same within a thousandth; what is
/// left is for other releases of the compiler and of the system's library. What is cheaper by more is to be recorded.
const TOLERANCE: u64 = 5;

/// The system's library fills and copies memory by single instructions that are counted once for each byte; these make it
/// use the others.
const TUNABLES: &str = "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000:\
     glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// Instructions of one request in the program's own code and the guest's, the system's not counted.
fn count(options: &[&str], target: &str, fields: &[(&str, &str)], status: u16) -> u64 {
    let site = Site::new();
    site.file("file.bin", vec![b'x'; 1024]);
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release/wasi-httpd");
    assert!(host.is_file(), "`cargo build --release -p host` makes {}", host.display());
    let valgrind = [
        "env",
        TUNABLES,
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--callgrind-out-file=/dev/null",
    ];
    let options = [options, &["--quiet", "--max-instances", "4"]].concat();
    let server = programs!().ours_under(&valgrind, &host, &site, &options);
    let mut client = server.connect();
    let mut ask = || {
        for _ in 0..REQUESTS {
            assert_eq!(client.request("GET", target, fields).status, status);
        }
    };
    let switch = |state: &str| {
        let id = server.id().to_string();
        let output = Command::new("callgrind_control").args(["-i", state, &id]).output();
        assert!(output.unwrap().status.success(), "callgrind_control -i {state}");
    };
    ask();
    switch("on");
    ask();
    switch("off");
    server.signal("INT");
    drop(client);
    let (_, _, errors) = server.wait();
    let total = errors.iter().find_map(|line| line.split_once("Collected : "));
    let (_, total) = total.unwrap_or_else(|| panic!("valgrind has not counted: {errors:?}"));
    total.trim().parse::<u64>().unwrap() / REQUESTS
}

#[test]
fn a_request_costs_what_it_did() {
    let not_modified: &[_] = &[("if-none-match", "*")];
    let reuse: &[_] = &["--reuse", "1000000"];
    let cases = [
        ("1 KiB, fresh instance", 174_500, [].as_slice(), [].as_slice(), 200),
        ("304, fresh instance", 155_000, &[], not_modified, 304),
        ("1 KiB, reused instance", 98_900, reuse, &[], 200),
        ("304, reused instance", 79_200, reuse, not_modified, 304),
    ];
    let mut off = Vec::new();
    for (name, recorded, options, fields, status) in cases {
        let counted = count(options, "/file.bin", fields, status);
        println!("{name}: {counted} instructions, {recorded} recorded");
        if counted.abs_diff(recorded) > recorded * TOLERANCE / 100 {
            off.push(format!("{name}: {counted} instead of {recorded}"));
        }
    }
    assert!(off.is_empty(), "where this is meant, record the new figures: {off:#?}");
}
