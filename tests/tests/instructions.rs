//! What a request costs, in instructions. They are counted and not timed, so that they do not depend on how busy the machine
//! is, and a change that makes requests dearer fails before it lands.
//!
//! valgrind does not know `openat2`, so that files are opened as on old kernels, which takes more instructions. For the same reason the
//! host leaves rules to the file server, which then reads and parses them for each request; elsewhere it does so once.
//!
//! This needs valgrind, and the program as people run it: `cargo build --release -p host`. With `-- --nocapture`, each
//! test prints its lines of `RECORDED` as they have to be for the counts of this run.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tests::site::{header_rules, redirects};
use tests::{Site, browser, programs};

/// Requests that are counted, after as many to warm up.
const REQUESTS: u64 = 100;

/// How far a count may be from the recorded one, in percent. On one machine counts agree within a thousandth; the rest is for
/// other releases of the compiler and of the system's library. A count that is lower by more has to be recorded.
const TOLERANCE: u64 = 5;

/// Makes the system's library fill and copy memory without string instructions, which count once for each byte.
const TUNABLES: &str = "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1000000000:\
     glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// Where the instance for a request comes from, and how it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Executor {
    /// The core module, in an instance that is restored: the default.
    Restored,
    /// The core module, in a new instance.
    New,
    /// The component, in a new instance.
    Component,
    /// The component, in an instance that is used again.
    ComponentReused,
}

/// A kind of request.
#[derive(Clone, Copy, Debug)]
enum Case {
    /// 1 KiB, for a head without fields.
    Small,
    /// 1 KiB, for the head of a browser.
    Browser,
    NotModified,
    Missing,
    Range,
    /// A listing of 1,000 entries.
    Listing,
    /// 1 KiB, beside 20 redirects and 10 rules for headers.
    Rules,
    /// 1 KiB, beside 1,000 redirects and 500 rules for headers.
    ManyRules,
}

use Case::{Browser, Listing, ManyRules, Missing, NotModified, Range, Rules, Small};
use Executor::{Component, ComponentReused, New, Restored};

/// Instructions for each request.
const RECORDED: &[(Executor, Case, u64)] = &[
    (Restored, Small, 52_300),
    (Restored, Browser, 74_400),
    (Restored, NotModified, 45_700),
    (Restored, Missing, 35_300),
    (Restored, Range, 59_900),
    (Restored, Listing, 12_171_100),
    (Restored, Rules, 83_500),
    (Restored, ManyRules, 746_300),
    (New, Small, 70_100),
    (New, Browser, 91_200),
    (New, NotModified, 64_700),
    (New, Missing, 55_700),
    (New, Range, 78_600),
    (Component, Small, 167_500),
    (Component, Browser, 219_100),
    (Component, NotModified, 150_700),
    (Component, Missing, 147_100),
    (Component, Range, 179_900),
    (ComponentReused, Small, 86_200),
    (ComponentReused, Browser, 139_300),
    (ComponentReused, NotModified, 70_500),
    (ComponentReused, Missing, 66_700),
    (ComponentReused, Range, 97_400),
];

impl Executor {
    fn options(self) -> &'static [&'static str] {
        match self {
            Restored => &[],
            New => &["--instances", "new"],
            Component => &["--executor", "component"],
            ComponentReused => &["--executor", "component", "--reuse", "1000000"],
        }
    }
}

impl Case {
    /// The path, the header fields and the expected status.
    fn request(self) -> (&'static str, &'static [(&'static str, &'static str)], u16) {
        match self {
            Small | Rules | ManyRules => ("/file.bin", &[], 200),
            Browser => ("/file.bin", &browser::FIELDS, 200),
            NotModified => ("/file.bin", &[("if-none-match", "*")], 304),
            Missing => ("/missing", &[], 404),
            Range => ("/file.bin", &[("range", "bytes=0-99")], 206),
            Listing => ("/many/", &[], 200),
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Listing => &["--listing"],
            Rules | ManyRules => &["--rules"],
            Small | Browser | NotModified | Missing | Range => &[],
        }
    }

    /// A site with a file of 1 KiB, a directory of 1,000 files, and rules about other paths.
    fn site(self) -> Site {
        let (redirect_count, header_count) = match self {
            Rules => (20, 10),
            ManyRules => (1_000, 500),
            _ => (0, 0),
        };
        let site = Site::new();
        site.file("file.bin", vec![b'x'; 1024]);
        for at in 0..1_000 {
            site.file(&format!("many/document-{at:04}.txt"), "x");
        }
        site.file("_redirects", redirects(redirect_count)).file("_headers", header_rules(header_count));
        site
    }
}

/// Counts the instructions of one request in the program's own code and the guest's, without the kernel's.
fn count(executor: Executor, case: Case) -> u64 {
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
    let site = case.site();
    let options = [executor.options(), case.options(), &["--quiet", "--max-instances", "2"]].concat();
    let server = programs!().ours_under(&valgrind, &host, &site, &options);
    let mut client = server.connect();
    let (target, fields, status) = case.request();
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

/// A count in hundreds, with underscores, as the code has it.
fn literal(count: u64) -> String {
    let digits = (count.div_ceil(100) * 100).to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join("_")
}

/// Fails when a request costs something else with this executor than recorded.
fn check(executor: Executor) {
    let (mut lines, mut off) = (String::new(), Vec::new());
    for &(_, case, recorded) in RECORDED.iter().filter(|(of, ..)| *of == executor) {
        let counted = count(executor, case);
        let _ = writeln!(lines, "    ({executor:?}, {case:?}, {}),", literal(counted));
        if counted.abs_diff(recorded) > recorded * TOLERANCE / 100 {
            off.push(format!("{case:?}: {counted} instead of {recorded}"));
        }
    }
    print!("{lines}");
    assert!(off.is_empty(), "where this is meant, record the new figures: {off:#?}");
}

#[test]
fn a_request_costs_what_it_did_in_a_restored_instance() {
    check(Restored);
}

#[test]
fn a_request_costs_what_it_did_in_a_new_instance() {
    check(New);
}

#[test]
fn a_request_costs_what_it_did_in_a_component() {
    check(Component);
}

#[test]
fn a_request_costs_what_it_did_in_a_component_that_is_used_again() {
    check(ComponentReused);
}
