//! Runs fuzz targets for a few seconds, with any compiler: on their corpora, and on random mutations of these.
//!
//! This finds less than `cargo fuzz`, which is guided by coverage, but it runs with every `cargo test`. `FUZZ_SEED` repeats the
//! mutations of an earlier run.

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

/// A function of arbitrary bytes.
pub type EntryPoint = fn(&[u8]);

/// The fuzz targets of a package.
pub struct Targets<'a> {
    /// Its directory for cargo-fuzz, with the corpora.
    pub directory: &'a Path,
    /// The entry points, by the names of their targets.
    pub entry_points: &'a [(&'a str, EntryPoint)],
    /// Pieces of input that at least one parser treats specially.
    pub pieces: &'a [&'a [u8]],
}

fn corpus(directory: &Path, target: &str) -> Vec<Vec<u8>> {
    let directory = directory.join("corpus").join(target);
    let files =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut inputs: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs.sort();
    inputs
}

/// Applies one random mutation to an input.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], pieces: &[&[u8]], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    match random.random_range(0..6) {
        0 => input.insert(at, random.random()),
        1 if at < input.len() => input[at] = random.random(),
        2 if at < input.len() => {
            let end = random.random_range(at..=input.len());
            input.drain(at..end);
        }
        3 => {
            let piece = pieces.choose(random).unwrap();
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

impl Targets<'_> {
    /// Fuzzes each of them for a few seconds.
    pub fn run(&self) {
        let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| rand::rng().random());
        println!("FUZZ_SEED={seed}");
        std::thread::scope(|scope| {
            for &(target, entry_point) in self.entry_points {
                scope.spawn(move || self.fuzz(target, entry_point, seed));
            }
        });
    }

    fn fuzz(&self, target: &str, entry_point: EntryPoint, seed: u64) {
        let corpus = corpus(self.directory, target);
        for input in &corpus {
            entry_point(input);
        }
        let mut random = StdRng::seed_from_u64(seed);
        let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
        let end = Instant::now() + seconds.map_or(FUZZ_TIME, Duration::from_secs);
        let mut tried = 0_u64;
        while Instant::now() < end {
            let mut input = corpus.choose(&mut random).unwrap().clone();
            for _ in 0..random.random_range(1..12) {
                mutate(&mut input, &corpus, self.pieces, &mut random);
            }
            let outcome = catch_unwind(|| entry_point(&input));
            assert!(outcome.is_ok(), "{target} fails with FUZZ_SEED={seed} on {}", input.escape_ascii());
            tried += 1;
        }
        println!("{target}: {tried} inputs");
    }
}
