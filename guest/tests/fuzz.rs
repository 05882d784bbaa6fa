//! Runs each fuzz target for a few seconds, with any compiler: on its corpus, and on random mutations of it.
//!
//! This finds less than `cargo fuzz`, which is guided by coverage, but it runs with every `cargo test`. `FUZZ_SEED` repeats the
//! mutations of an earlier run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

#[path = "../fuzz/entry_points.rs"]
mod entry_points;

use entry_points::ENTRY_POINTS;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each target is fuzzed if the environment variable `FUZZ_SECONDS` is not set.
const FUZZ_TIME: Duration = Duration::from_secs(3);

/// The longest input, in bytes: as long as all fields of a request may be together.
const MAX_INPUT_BYTES: usize = 64 * 1024;

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

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut inputs: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs.sort();
    inputs
}

/// Applies one random mutation to an input.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    match random.random_range(0..6) {
        0 => input.insert(at, random.random()),
        1 if at < input.len() => input[at] = random.random(),
        2 if at < input.len() => {
            let end = random.random_range(at..=input.len());
            input.drain(at..end);
        }
        3 => {
            let piece = PIECES.choose(random).unwrap();
            input.splice(at..at, piece.iter().copied());
        }
        4 => {
            let other = corpus.choose(random).unwrap();
            let from = random.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        // Repeats a piece of the input.
        _ => {
            let end = random.random_range(at..=input.len());
            let piece = input[at..end].to_vec();
            for _ in 0..random.random_range(0..50) {
                if input.len() + piece.len() <= MAX_INPUT_BYTES {
                    input.splice(at..at, piece.iter().copied());
                }
            }
        }
    }
    input.truncate(MAX_INPUT_BYTES);
}

fn fuzz(target: &str, entry_point: entry_points::EntryPoint, seed: u64) {
    let corpus = corpus(target);
    for input in &corpus {
        entry_point(input);
    }
    let mut random = StdRng::seed_from_u64(seed);
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let end = Instant::now() + seconds.map_or(FUZZ_TIME, Duration::from_secs);
    while Instant::now() < end {
        let mut input = corpus.choose(&mut random).unwrap().clone();
        for _ in 0..random.random_range(1..12) {
            mutate(&mut input, &corpus, &mut random);
        }
        let outcome = catch_unwind(|| entry_point(&input));
        assert!(outcome.is_ok(), "{target} fails with FUZZ_SEED={seed} on {}", input.escape_ascii());
    }
}

#[test]
fn no_target_fails_within_a_few_seconds() {
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    println!("FUZZ_SEED={seed}");
    std::thread::scope(|scope| {
        for (target, entry_point) in ENTRY_POINTS {
            scope.spawn(move || fuzz(target, entry_point, seed));
        }
    });
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
