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
