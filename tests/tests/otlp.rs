//! Traces, in a build without the feature `otlp`: the flags are refused with the way to a build that has it, and the component
//! gets the trace context of the client as it was sent. The unit tests of `report::otlp` are for the other build.

use std::fs;
use tests::guests::{self, GuestFile};
use tests::{EXECUTORS, Site, programs};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What our host says where it is not to start: the exit status, and the lines on standard error.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let site = Site::new();
    fs::write(site.outside().join("site.toml"), "otlp = 'http://127.0.0.1:4318'\n").unwrap();
    let mut command = programs!().command();
    command.args(arguments).args(["--addr", "127.0.0.1:0", "--dir"]).arg(site.root());
    let output = command.current_dir(site.outside()).envs(variables.iter().copied()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A component that answers with the first field `traceparent` that it gets.
fn echo() -> GuestFile {
    let imports = r#"
        (import "wasi:http/types@0.2.12" "[method]incoming-request.headers" (func $headers (param i32) (result i32)))
        (import "wasi:http/types@0.2.12" "[method]fields.get" (func $get (param i32 i32 i32 i32)))"#;
    let name = r#"(data (i32.const 4096) "traceparent")"#;
    // A list of values, which are lists of bytes: an address and a length each.
    let body = "
        (call $get (call $headers (local.get $request)) (i32.const 4096) (i32.const 11) (i32.const 80))
        (local.set $stream (call $respond (local.get $out)))
        (call $say (local.get $stream)
            (i32.load (i32.load (i32.const 80))) (i32.load offset=4 (i32.load (i32.const 80))))
        (call $complete (local.get $stream))";
    GuestFile::new(guests::handler_and(imports, name, body))
}

#[test]
fn a_build_without_traces_says_how_to_get_one() {
    let expected = |place: &str| {
        let build = "cargo build --release -p host --features otlp";
        (Some(2), format!("wasi-httpd: {place}--otlp needs a program that was built with traces: {build}\n"))
    };
    let url = ["--otlp", "http://127.0.0.1:4318"];
    assert_eq!(refused(&url, &[]), expected(""));
    assert_eq!(refused(&["check", url[0], url[1], "--otlp-sample", "0.1"], &[]), expected(""));
    assert_eq!(refused(&[], &[("WASI_HTTPD_OTLP", url[1])]), expected("WASI_HTTPD_OTLP: "));
    assert_eq!(refused(&["check", "--config", "site.toml"], &[]), expected("site.toml:1:1: "));
}

#[test]
fn a_share_of_no_traces_is_a_mistake() {
    let message = "--otlp-sample says how many traces go to --otlp, which is not there; add --otlp URL\n";
    assert_eq!(refused(&["--otlp-sample", "0.5"], &[]), (Some(2), format!("wasi-httpd: {message}")));
}

#[test]
fn a_component_gets_the_trace_context_as_it_was_sent() {
    let guest = echo();
    for flags in EXECUTORS {
        let server = programs!().ours_with_guest(&guest.path, flags);
        for value in [TRACEPARENT, "of my own"] {
            let response = server.get_with("/", &[("traceparent", value)]);
            assert_eq!((response.status, response.text()), (200, value));
        }
    }
}
