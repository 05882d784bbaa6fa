//! Puts the file server's components, compressed, where `component/mod.rs` includes them from, and the functions of WASI where
//! `inspect/functions.rs` does.

use guest_builder::{FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3, Source};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zstd::bulk::Compressor;

/// The highest of zstd's that decompresses in little memory. It saves two thirds, and levels above it nothing more.
const LEVEL: i32 = 19;

fn main() -> ExitCode {
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let functions = guest_builder::world::functions()
        .and_then(|functions| Ok(std::fs::write(directory.join("functions.txt"), functions)?));
    let sources = [FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3];
    let components = functions.and_then(|()| guest_builder::provide(&sources));
    guest_builder::report(components.and_then(|()| Ok(compress(sources, &directory)?)))
}

/// Writes the compressed form and the digest of each component beside it. The first one is the dictionary of the others, most of
/// whose code is the same.
fn compress(sources: [Source; 3], directory: &Path) -> io::Result<()> {
    let mut dictionary = Vec::new();
    for source in sources {
        let file = directory.join(format!("{}.wasm", source.name()));
        let component = std::fs::read(&file)?;
        let compressed = Compressor::with_dictionary(LEVEL, &dictionary)?.compress(&component)?;
        std::fs::write(file.with_extension("wasm.zst"), compressed)?;
        std::fs::write(file.with_extension("wasm.sha256"), guest_builder::digest(&component))?;
        if dictionary.is_empty() {
            dictionary = component;
        }
    }
    Ok(())
}
