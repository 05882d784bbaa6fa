//! What a request costs, in instructions. They are counted and not timed, so that they do not depend on how busy the machine
//! is, and a change that makes requests dearer fails before it lands.
//!
//! valgrind does not know `openat2`, so that files are opened as on old kernels, which takes more instructions.
//!
//! This needs valgrind, and the program as people run it: `cargo build --release -p host`.

use std::path::Path;
use std::process::Command;
use tests::{Site, programs};

/// Requests that are counted, after as many to warm up.
const REQUESTS: u64 = 100;

/// How far a count may be from the recorded one, in percent. On one machine counts agree within a thousandth; the rest is for
/// other releases of the compiler and of the system's library. A count that is lower by more has to be recorded.
const TOLERANCE: u64 = 5;

/// Makes the system's library fill and copy memory without string instructions, which count once for each byte.
const TUNABLES: &str = "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000:\
     glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// A kind of request.
struct Case {
    name: &'static str,
    /// Instructions for each request.
    recorded: u64,
    options: &'static [&'static str],
    target: &'static str,
    fields: &'static [(&'static str, &'static str)],
    status: u16,
}

/// A site with a file of 1 KiB, a directory of 1,000 files, and rules about other paths.
fn site(redirects: usize, headers: usize) -> Site {
    let site = Site::new();
    site.file("file.bin", vec![b'x'; 1024]);
    for at in 0..1000 {
        site.file(&format!("many/document-{at:04}.txt"), "x");
    }
    let redirects = (0..redirects).map(|at| format!("/old/section-{at}/page /new/section/{at} 301\n"));
    let headers = (0..headers).map(|at| format!("/docs/section-{at}/*\n  X-Robots-Tag: noindex\n"));
    site.file("_redirects", redirects.collect::<String>()).file("_headers", headers.collect::<String>());
    site
}

/// Counts the instructions of one request in the program's own code and the guest's, without the kernel's.
fn count(site: &Site, case: &Case) -> u64 {
    let Case { options, target, fields, status, .. } = *case;
    let host = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release/wasi-httpd");
    assert!(host.is_file(), "`cargo build --release -p host` makes {}", host.display());
    let valgrind = [
        "env",
        TUNABLES,
        // Errors of the runtime record where they came from if this is set, and would count for most of a 404.
        "RUST_BACKTRACE=0",
        "valgrind",
        "--tool=callgrind",
        "--instr-atstart=no",
        "--callgrind-out-file=/dev/null",
    ];
    let options = [options, &["--quiet", "--max-instances", "4"]].concat();
    let server = programs!().ours_under(&valgrind, &host, site, &options);
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

const REUSE: &[&str] = &["--reuse", "1000000"];
const FRESH: &[&str] = &[];
const RULES: &[&str] = &["--rules"];

/// Fails when a case costs something else than recorded.
fn check(site: &Site, cases: &[Case]) {
    let mut off = Vec::new();
    for case in cases {
        let Case { name, recorded, .. } = *case;
        let counted = count(site, case);
        println!("{name}: {counted} instructions, {recorded} recorded");
        if counted.abs_diff(recorded) > recorded * TOLERANCE / 100 {
            off.push(format!("{name}: {counted} instead of {recorded}"));
        }
    }
    assert!(off.is_empty(), "where this is meant, record the new figures: {off:#?}");
}

#[test]
fn a_request_costs_what_it_did() {
    let case = |name, recorded, options, target, fields, status| Case {
        name,
        recorded,
        options,
        target,
        fields,
        status,
    };
    let not_modified: &[_] = &[("if-none-match", "*")];
    let cases = [
        case("1 KiB, fresh instance", 172_000, FRESH, "/file.bin", &[], 200),
        case("304, fresh instance", 154_000, FRESH, "/file.bin", not_modified, 304),
        case("404, fresh instance", 160_400, FRESH, "/missing", &[], 404),
        case("range, fresh instance", 184_900, FRESH, "/file.bin", &[("range", "bytes=0-99")], 206),
        case("1 KiB, reused instance", 96_400, REUSE, "/file.bin", &[], 200),
        case("304, reused instance", 79_300, REUSE, "/file.bin", not_modified, 304),
        case("listing of 1,000 entries", 13_570_000, &["--listing"], "/many/", &[], 200),
    ];
    check(&site(0, 0), &cases);
    check(
        &site(20, 10),
        &[case("1 KiB, 20 redirects and 10 headers", 204_500, RULES, "/file.bin", &[], 200)],
    );
    check(
        &site(1000, 500),
        &[case("1 KiB, 1,000 redirects and 500 headers", 546_500, RULES, "/file.bin", &[], 200)],
    );
}
