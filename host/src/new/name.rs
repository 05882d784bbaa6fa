//! The name of a guest, which has to be one to cargo, npm and make.

use std::path::Path;

/// The longest name, in bytes. It becomes part of file names, of which a file system takes 255 bytes.
const NAME_MAX: usize = 64;

/// What a name may not be: the names of Rust's own crates and of what a guest depends on, and Rust's keywords, since the
/// name of a crate is an identifier.
const RESERVED: &str = "\
    abstract alloc as async await become box break const continue core crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv proc-macro pub ref return \
    self static std struct super test trait true try type typeof unsafe unsized use virtual where while \
    wit-bindgen yield";

/// The name of the guest in this directory.
pub(super) fn of(directory: &Path) -> String {
    // `.` and `..` have a name only in the file system, and a directory that is not there yet only in the path.
    let found = directory.canonicalize().ok().or_else(|| std::path::absolute(directory).ok());
    let last = found.as_deref().unwrap_or(directory).file_name();
    valid(&last.unwrap_or_default().to_string_lossy())
}

/// The name made of lower-case ASCII letters, digits and single hyphens, that begins with a letter.
fn valid(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == NAME_MAX {
            break;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "guest".to_owned()
    } else if name.starts_with(|first: char| first.is_ascii_digit()) || is_reserved(name) {
        format!("guest-{name}")
    } else {
        name.to_owned()
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.split(' ').any(|reserved| reserved == name)
}

#[cfg(test)]
mod tests {
    use super::{NAME_MAX, of, valid};
    use std::path::Path;

    #[test]
    fn a_name_is_valid_whatever_the_directory_is_called() {
        for (directory, name) in [
            ("hello", "hello"),
            ("My App", "my-app"),
            ("my_app.v2", "my-app-v2"),
            ("--x--", "x"),
            ("größe", "gr-e"),
            ("日本", "guest"),
            ("", "guest"),
            ("3d", "guest-3d"),
            ("fn", "guest-fn"),
            ("Test", "guest-test"),
            ("wit_bindgen", "guest-wit-bindgen"),
            ("a\"\nb$(id)", "a-b-id"),
        ] {
            assert_eq!(valid(directory), name, "{directory}");
        }
        assert_eq!(valid(&"a".repeat(1000)).len(), NAME_MAX);
        assert_eq!(valid(&format!("{}-b", "a".repeat(NAME_MAX - 1))), "a".repeat(NAME_MAX - 1));
    }

    #[test]
    fn dots_stand_for_a_directory() {
        assert_eq!(of(Path::new("/no/such/Directory/")), "directory");
        assert_eq!(of(Path::new("/")), "guest");
        assert_eq!(of(Path::new("/usr/lib/.")), "lib");
        assert_eq!(of(Path::new("/usr/lib/..")), "usr");
    }
}
