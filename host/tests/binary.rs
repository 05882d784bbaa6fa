//! The program that users start is the one that the suites test: this starts it by its own name.

use std::process::Command;

#[test]
fn the_program_says_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_wasi-httpd")).arg("--version").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let version = format!("wasi-httpd {}\nbuilt-in guest: ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&version), "{text}");
}
