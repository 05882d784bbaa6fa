//! What to do with a guest that was written: install, build, serve.

use super::templates::Template;
use super::tools::Missing;
use crate::cli::{Language, Wasi};
use crate::config::Project;
use crate::report::text::printable;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The steps, each a line with its command, which can be pasted into a shell.
pub(super) fn steps(config: &Project, template: &Template, name: &str, missing: &[Missing]) -> String {
    let language = match config.language {
        Language::Rust => "Rust",
        Language::Js => "JavaScript",
        Language::Python => "Python",
        Language::C => "C",
    };
    let wasi = match config.wasi {
        Wasi::V02 => "0.2",
        Wasi::V03 => "0.3",
    };
    let directory = &config.directory;
    let quoted = shell(directory);
    let shown = printable(directory.as_os_str().as_encoded_bytes());
    let mut text = format!("Made a guest in {language} for WASI {wasi} in {shown}.\n\n");
    for Missing { what, install } in missing {
        let _ = writeln!(text, "Missing: {what}; to install: {install}");
    }
    if let Some(setup) = template.setup {
        let _ = writeln!(text, "Set up:  (cd {quoted} && {setup})");
    }
    let _ = writeln!(text, "Build:   (cd {quoted} && {})", template.build(name));
    let component = component(config, &template.component(name));
    let _ = writeln!(text, "Serve:   wasi-httpd --watch {}", shell(&component));
    let _ = writeln!(
        text,
        "\nThen open http://localhost:8080/ and change {}.",
        shell(&directory.join(template.source))
    );
    text
}

/// Where the component will be: below the directory, or where the environment has cargo put what it builds.
fn component(config: &Project, below: &str) -> PathBuf {
    let elsewhere = std::env::var_os("CARGO_TARGET_DIR").filter(|_| config.language == Language::Rust);
    match (elsewhere, below.strip_prefix("target/")) {
        (Some(target), Some(rest)) if !target.is_empty() => config.directory.join(target).join(rest),
        _ => config.directory.join(below),
    }
}

/// A path as a shell reads it.
fn shell(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(byte);
    // A word that begins with a hyphen would be a flag.
    let dash = if bytes.first() == Some(&b'-') { "./" } else { "" };
    match path.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(plain) => format!("{dash}{text}"),
        Some(text) if printable(bytes) == text && !text.contains('\t') => {
            format!("'{dash}{}'", text.replace('\'', r"'\''"))
        }
        // What would control the terminal, or is no text.
        _ => {
            let escaped = bytes.iter().fold(String::new(), |mut escaped, byte| {
                let _ = match byte {
                    b'\'' | b'\\' => write!(escaped, "\\{}", char::from(*byte)),
                    b' '..=b'~' => write!(escaped, "{}", char::from(*byte)),
                    _ => write!(escaped, "\\x{byte:02x}"),
                };
                escaped
            });
            format!("$'{dash}{escaped}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shell;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_shell_reads_every_path_as_it_is() {
        for path in [
            &b"hello"[..],
            b"my dir",
            b"it's",
            b"-x",
            b"gr\xc3\xb6\xc3\x9fe",
            b"a\n\x1b[31m'\\",
            b"\xff",
            b"$(id)`id`;~*",
        ] {
            let quoted = shell(Path::new(OsStr::from_bytes(path)));
            assert!(!quoted.contains(['\n', '\u{1b}']), "{quoted}");
            let output = Command::new("bash").args(["-c", &format!("printf %s {quoted}")]).output().unwrap();
            let expected = if path == b"-x" { b"./-x" } else { path };
            assert_eq!(output.stdout, expected, "{quoted}");
        }
        assert_eq!(shell(Path::new("hello")), "hello");
    }
}
