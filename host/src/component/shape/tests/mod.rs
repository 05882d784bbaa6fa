//! Tests of [`shape`](super::shape()): what fits, what does not and why, and that no bytes make it panic.

mod damaged;
mod fitting;
mod linking;
mod unfit;

use super::{Misfit, Shape, shape};

/// A component that fits, from which others are made by changing it.
const FITS: &str = include_str!("fits.wat");

/// The component that fits, with some of its text replaced.
fn changed(changes: &[(&str, &str)]) -> Vec<u8> {
    let text = changes.iter().fold(FITS.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in the component");
        text.replace(from, to)
    });
    wat::parse_str(text).unwrap()
}

/// The shape of a changed component.
fn with(changes: &[(&str, &str)]) -> Result<Shape, Misfit> {
    shape(&changed(changes))
}

fn prebuilt(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../guest/prebuilt/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Checks the reason of each changed component.
#[track_caller]
fn refused(cases: &[(&[(&str, &str)], &str)]) {
    for (changes, reason) in cases {
        let misfit = with(changes).expect_err(reason).to_string();
        assert_eq!(misfit, *reason, "{changes:?}");
    }
}
