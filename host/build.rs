//! Puts the file server's components, compressed, where `component/mod.rs` includes them from, and the functions of WASI where
//! `inspect/functions.rs` does.

use guest_builder::{FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3, Source};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The highest of zstd's that decompresses in little memory. It saves two thirds, and levels above it nothing more.
const LEVEL: i32 = 19;

fn main() -> ExitCode {
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let functions = guest_builder::world::functions()
        .and_then(|functions| Ok(std::fs::write(directory.join("functions.txt"), functions)?));
    let sources = [FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3];
    let components = functions.and_then(|()| guest_builder::provide(&sources));
    guest_builder::report(
        components.and_then(|()| Ok(sources.iter().try_for_each(|&source| compress(source, &directory))?)),
    )
}

/// Writes a component's compressed form and the digest of the component beside it.
fn compress(source: Source, directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!("{}.wasm", source.name()));
    let component = std::fs::read(&file)?;
    std::fs::write(file.with_extension("wasm.zst"), zstd::bulk::compress(&component, LEVEL)?)?;
    std::fs::write(file.with_extension("wasm.sha256"), guest_builder::digest(&component))
}
