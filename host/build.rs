//! Puts the file server's components where `component/mod.rs` includes them from, and the functions of WASI where
//! `inspect/functions.rs` does.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let functions = guest_builder::world::functions().and_then(|functions| {
        let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
        Ok(std::fs::write(directory.join("functions.txt"), functions)?)
    });
    let components =
        [guest_builder::FILE_SERVER, guest_builder::FILE_SERVER_MARKDOWN, guest_builder::FILE_SERVER_P3];
    guest_builder::report(functions.and_then(|()| guest_builder::provide(&components)))
}
