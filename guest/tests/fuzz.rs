//! Runs each fuzz target for a few seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

#[path = "../fuzz/entry_points.rs"]
mod entry_points;
#[path = "../fuzz/runner.rs"]
mod runner;

use entry_points::ENTRY_POINTS;
use runner::Targets;
use std::path::Path;

/// Pieces of input that at least one parser treats specially.
const PIECES: [&[u8]; 24] = [
    b"bytes=",
    b"0-",
    b"-1",
    b",",
    b", ",
    b";q=0.",
    b"\"",
    b"W/\"",
    b"%2f",
    b"%2e%2e/",
    b"%00",
    b"//",
    b"/",
    b"\\",
    b"\n",
    b"\n  ",
    b" /",
    b":splat",
    b"/*",
    b"https://",
    b" GMT",
    b"18446744073709551616",
    b"\xff",
    b"\xe2\x80\xae",
];

#[test]
fn no_target_fails_within_a_few_seconds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    Targets { directory: &directory, entry_points: &ENTRY_POINTS, pieces: &PIECES }.run();
}

#[test]
fn every_target_of_cargo_fuzz_is_run_here() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut here = ENTRY_POINTS.map(|(target, _)| target.to_owned());
    here.sort();
    assert_eq!(files, here);
}
