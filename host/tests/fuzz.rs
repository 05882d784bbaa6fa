//! Runs the fuzz target `registry` for a few seconds.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use wasi_httpd::{oci, signature};

#[path = "../fuzz/registry.rs"]
mod registry;
#[path = "../../guest/fuzz/runner.rs"]
mod runner;

use runner::Targets;
use std::path::Path;

/// Pieces of input that at least one parser treats specially.
const PIECES: [&[u8]; 28] = [
    b"oci://",
    b"localhost",
    b"[::1]",
    b":5000",
    b"/",
    b"//",
    b"..",
    b"@sha256:",
    b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"Bearer ",
    b"Basic ",
    b"realm=\"",
    b",service=",
    b"\\\"",
    b"?",
    b"#",
    b"&",
    b"https://",
    b"\"mediaType\":",
    b"application/wasm",
    b"application/vnd.oci.image.index.v1+json",
    b"\"layers\":[",
    b"{}",
    b"\"size\":18446744073709551615",
    b"\"annotations\":{",
    b"\n",
    b"\x1b",
    b"\xff",
];

#[test]
fn no_target_fails_within_a_few_seconds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    Targets { directory: &directory, entry_points: &[("registry", registry::registry)], pieces: &PIECES }
        .run();
}
