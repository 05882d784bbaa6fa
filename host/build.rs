//! Puts the file server's component where `component/mod.rs` includes it from, and the functions of WASI 0.2 where
//! `inspect/functions.rs` does.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let functions = guest_builder::world::functions().and_then(|functions| {
        let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
        Ok(std::fs::write(directory.join("functions.txt"), functions)?)
    });
    guest_builder::report(functions.and_then(|()| guest_builder::provide(&[guest_builder::FILE_SERVER])))
}
