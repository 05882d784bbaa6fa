//! In which way a component runs: the line at the start says it, with the reason, and the answers are the same.

use tests::guests::{self, GuestFile};
use tests::programs;

/// Serves a guest that answers `half an answer`, and expects this on the line about the way in which it runs.
fn runs(guest: &GuestFile, options: &[&str], how: &str) {
    let server = programs!().ours_with_guest(&guest.path, options);
    let line = server.wait_for_error(|line| line.starts_with("Running "));
    assert!(line.ends_with(how), "{line}");
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.request("GET", "/", &[]);
        assert_eq!((response.status, response.text(), response.complete), (200, "half an answer", true));
    }
    assert_eq!(server.errors(), Vec::<String>::new());
}

#[test]
fn a_component_that_fits_runs_as_the_options_say() {
    let guest = GuestFile::new(guests::handler(guests::ANSWER));
    for (options, how) in [
        (&[][..], " directly, in instances that are restored after each request"),
        (
            &["--executor", "auto", "--instances", "auto"],
            " directly, in instances that are restored after each request",
        ),
        (
            &["--instances", "new"],
            " directly, in a new instance for each request: --instances new asks for it",
        ),
        (&["--executor", "component"], " on the component runtime: --executor component asks for it"),
    ] {
        runs(&guest, options, how);
    }
}

#[test]
fn a_component_that_almost_fits_runs_on_the_component_runtime() {
    let write = r#"(import "wasi:filesystem/types@0.2.12" "[method]descriptor.write"
        (func (param i32 i32 i32 i64 i32)))"#;
    for (imports, definitions, why) in [
        ("", "(func $start) (start $start)", "its main module has a start function"),
        ("", "(memory 1)", "its main module has a second memory"),
        (write, "", "it imports [method]descriptor.write of wasi:filesystem/types"),
    ] {
        let guest = GuestFile::new(guests::handler_and(imports, definitions, guests::ANSWER));
        runs(&guest, &[], &format!(" on the component runtime: {why}"));
    }
}

#[test]
fn instances_with_state_that_cannot_be_put_back_are_not_restored() {
    let marks = "(table $marks 1 funcref) (elem declare func $respond)";
    let set = format!("(table.set $marks (i32.const 0) (ref.func $respond)) {}", guests::ANSWER);
    for (definitions, body, why) in [
        ("(data \"passive\")", guests::ANSWER, "the module has a passive data segment"),
        (marks, &set, "contains the instruction TableSet"),
        ("(global (mut funcref) (ref.null func))", guests::ANSWER, "is of type funcref"),
    ] {
        let guest = GuestFile::new(guests::handler_and("", definitions, body));
        let server = programs!().ours_with_guest(&guest.path, &[]);
        let line = server.wait_for_error(|line| line.starts_with("Running "));
        assert!(
            line.contains(" directly, in a new instance for each request: ") && line.ends_with(why),
            "{line}"
        );
        assert_eq!(server.get("/").text(), "half an answer");
    }
}

#[test]
fn a_module_that_cannot_prepare_itself_runs_on_the_component_runtime() {
    for (prepare, why) in [
        ("unreachable", "unreachable"),
        ("(drop (call $fields))", "its `wasi-httpd:prepare` has left a handle"),
        (
            "(drop (memory.grow (i32.const 8)))",
            "its `wasi-httpd:prepare` has grown the memory beyond 512 KiB",
        ),
        ("(loop $forever (br $forever))", "it did not end within 1 s"),
        ("(call $environment (i32.const 65535))", "pointer not aligned"),
    ] {
        let definitions = format!("(func (export \"wasi-httpd:prepare\") {prepare})");
        let guest = GuestFile::new(guests::handler_and("", &definitions, guests::ANSWER));
        let server = programs!().ours_with_guest(&guest.path, &["--timeout", "1"]);
        let line = server.wait_for_error(|line| line.starts_with("Running "));
        assert!(line.contains(" on the component runtime: ") && line.contains(why), "{line}");
        assert_eq!(server.get("/").text(), "half an answer");
    }
}

#[test]
fn what_a_module_has_prepared_is_there_for_each_request() {
    // It changes a byte that each request changes further, and a global.
    let prepare = r#"(global $letter (mut i32) (i32.const 104))
        (func (export "wasi-httpd:prepare") (i32.store8 (i32.const 1025) (i32.const 65)) (global.set $letter (i32.const 72)))"#;
    let body = format!(
        "(i32.store8 (i32.const 1024) (global.get $letter)) {}
        (global.set $letter (i32.const 120)) (i32.store8 (i32.const 1025) (i32.const 120))",
        guests::ANSWER
    );
    let guest = GuestFile::new(guests::handler_and("", prepare, &body));
    for (options, expected) in [
        (&[][..], "HAlf an answer"),
        (&["--instances", "new"], "HAlf an answer"),
        // Other runtimes do not know of it.
        (&["--executor", "component"], "half an answer"),
    ] {
        let server = programs!().ours_with_guest(&guest.path, options);
        let mut client = server.connect();
        for _ in 0..5 {
            assert_eq!(client.request("GET", "/", &[]).text(), expected, "{options:?}");
        }
    }
}

#[test]
fn memory_that_a_module_has_prepared_is_there_for_each_request() {
    // A letter at the end of the memory that it grows, which each request changes.
    let prepare = r#"(func (export "wasi-httpd:prepare")
        (drop (memory.grow (i32.const 3))) (i32.store8 (i32.const 262143) (i32.const 72)))"#;
    let body = format!(
        "(i32.store8 (i32.const 1024) (i32.load8_u (i32.const 262143))) {}
        (i32.store8 (i32.const 262143) (i32.const 120))",
        guests::ANSWER
    );
    let guest = GuestFile::new(guests::handler_and("", prepare, &body));
    for (options, how) in [(&[][..], "restored"), (&["--instances", "new"], "new instance")] {
        let server = programs!().ours_with_guest(&guest.path, options);
        server.wait_for_error(|line| line.starts_with("Running ") && line.contains(how));
        let mut client = server.connect();
        for _ in 0..5 {
            assert_eq!(client.request("GET", "/", &[]).text(), "Half an answer", "{options:?}");
        }
    }
}

#[test]
fn a_module_may_prepare_nothing_but_a_global() {
    let prepare = r#"(global $letter (mut i32) (i32.const 104))
        (func (export "wasi-httpd:prepare") (global.set $letter (i32.const 72)))"#;
    let body = format!(
        "(i32.store8 (i32.const 1024) (global.get $letter)) {} (global.set $letter (i32.const 120))",
        guests::ANSWER
    );
    let guest = GuestFile::new(guests::handler_and("", prepare, &body));
    for options in [&[][..], &["--instances", "new"]] {
        let server = programs!().ours_with_guest(&guest.path, options);
        let mut client = server.connect();
        for _ in 0..3 {
            assert_eq!(client.request("GET", "/", &[]).text(), "Half an answer", "{options:?}");
        }
    }
}
