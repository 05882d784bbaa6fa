//! Content that can be compressed, and what clients make of it in its codings.

use std::fmt::Write as _;
use std::io::Read as _;

/// The codings that the file server knows, by their names, with the suffixes of variants.
pub const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

/// Text of about this many bytes, which is compressed to a fraction. Another seed gives another text of the same length.
pub fn text(length: usize, seed: u64) -> String {
    let mut text = String::with_capacity(length + 16);
    // Numbers of a linear congruential generator (Knuth), as words of an alphabet that is small enough to be compressed.
    let mut state = seed;
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(["var", "let", "function", "return", "this", "null"][(state >> 33) as usize % 6]);
        let _ = write!(text, "{:x} ", (state >> 40) & 0xfff);
    }
    text.truncate(length);
    text
}

/// What is encoded in these bytes.
pub fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        "br" => _ = brotli::Decompressor::new(bytes, 64 * 1024).read_to_end(&mut content).unwrap(),
        "zstd" => content = zstd::stream::decode_all(bytes).unwrap(),
        "gzip" => _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap(),
        other => panic!("no coding `{other}`"),
    }
    content
}
