//! The inputs of the components: the files that a build script watches, and a digest that detects stale prebuilt ones.

use crate::{Compiler, PACKAGE, published, workspace};
use anyhow::{Context as _, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The files and folders, relative to the workspace, whose whole content is an input of the components.
const SOURCES: &[&str] =
    &["guest/Cargo.toml", "guest/examples", "guest/src", "guest/builder/src/build.rs", "wit"];

/// The paths that a build script watches.
pub(crate) fn watched() -> Vec<PathBuf> {
    let root = workspace();
    if published().is_some() {
        return vec![root];
    }
    let others = ["Cargo.toml", "Cargo.lock", "guest/builder/src", "guest/prebuilt"];
    let mut watched: Vec<_> = SOURCES.iter().chain(&others).map(|source| root.join(source)).collect();
    // These change when a toolchain for WebAssembly is installed: rustup records added targets and sources in a file,
    // and a distribution's compiler is a new program. A missing path would make cargo rerun the build script every
    // time.
    let components = Compiler::active().map(|active| active.sysroot().join("lib/rustlib/components"));
    let system = ["/usr/bin/rustc", "/usr/bin"].map(PathBuf::from).into_iter().find(|path| path.exists());
    watched.extend(components.into_iter().chain(system));
    watched.retain(|path| path.exists());
    watched
}

/// The SHA-256, in hexadecimal digits, of all inputs of the components: the sources, the profiles, and the locked
/// dependencies.
pub(crate) fn digest() -> Result<String> {
    let root = workspace();
    let mut hash = Sha256::new();
    let mut add = |name: &str, content: &[u8]| {
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
    };
    for source in SOURCES {
        for path in files_below(&root.join(source))? {
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            add(&name, &compiled_part(&path, content));
        }
    }
    add("manifest", manifest(&root)?.as_bytes());
    add("dependencies", locked_dependencies(&root, PACKAGE)?.as_bytes());
    add("componentizer", locked_dependencies(&root, "wit-component")?.as_bytes());
    Ok(hex(&hash.finalize()))
}

/// Returns the part of a source file that the compiler turns into code: Rust without comments, documentation and tests. A file
/// that is not Rust, or does not parse, counts as it is.
fn compiled_part(path: &Path, content: Vec<u8>) -> Vec<u8> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let text = str::from_utf8(&content).ok().filter(|_| is_rust);
    match text.and_then(|text| text.parse::<TokenStream>().ok()) {
        Some(tokens) => {
            let mut text = String::new();
            write_compiled(tokens, &mut text);
            text.into_bytes()
        }
        None => content,
    }
}

/// Writes tokens, without attributes for documentation and without items for tests.
fn write_compiled(tokens: TokenStream, text: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                // An inner attribute has a `!`.
                let mark =
                    tokens.next_if(|next| matches!(next, TokenTree::Punct(punct) if punct.as_char() == '!'));
                let attribute =
                    tokens.peek().map(|next| next.to_string().replace(' ', "")).unwrap_or_default();
                if attribute.starts_with("[doc=") {
                    tokens.next();
                } else if attribute == "[cfg(test)]" {
                    // The item ends with its block, or with a semicolon.
                    tokens.by_ref().find(|next| match next {
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        TokenTree::Punct(punct) => punct.as_char() == ';',
                        _ => false,
                    });
                } else {
                    text.push_str(if mark.is_some() { "#!" } else { "#" });
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_compiled(group.stream(), text);
                text.push_str(close);
            }
            token => {
                let _ = write!(text, "{token} ");
            }
        }
    }
}

/// Formats bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every file below `path`, or `path` itself if it is a file, sorted by name.
fn files_below(path: &Path) -> Result<BTreeSet<PathBuf>> {
    if !path.is_dir() {
        return Ok(BTreeSet::from([path.to_owned()]));
    }
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        files.append(&mut files_below(&entry?.path())?);
    }
    Ok(files)
}

fn read_table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("cannot parse {}", path.display()))
}

/// The parts of the workspace's manifest that the guest is built with: the profiles, and its direct dependencies.
fn manifest(root: &Path) -> Result<String> {
    let manifest = read_table(&root.join("Cargo.toml"))?;
    let profile = |name| manifest.get("profile")?.get(name).map(Value::to_string);
    let mut text = format!("{:?} {:?}", profile("release"), profile("component"));

    let guest = read_table(&root.join("guest/Cargo.toml"))?;
    let everywhere = guest.get("dependencies");
    let on_wasm = guest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let on_wasm = on_wasm.filter_map(|target| target.get("dependencies"));
    let shared = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    for name in everywhere.into_iter().chain(on_wasm).filter_map(Value::as_table).flat_map(Table::keys) {
        let dependency = shared.and_then(|shared| shared.get(name)).map(Value::to_string);
        let _ = write!(text, "\n{name} {dependency:?}");
    }
    Ok(text)
}

/// The name, version and checksum of `package` and of each of its dependencies in `Cargo.lock`, one per line.
fn locked_dependencies(root: &Path, package: &str) -> Result<String> {
    let lock = read_table(&root.join("Cargo.lock"))?;
    let packages = lock.get("package").and_then(Value::as_array).context("Cargo.lock lists no package")?;
    let text =
        |package: &Value, key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();

    let mut found = BTreeSet::new();
    let mut wanted = vec![package.to_owned()];
    while let Some(wanted_name) = wanted.pop() {
        // "name", or "name version" if there are several versions.
        let (name, version) = wanted_name.split_once(' ').unwrap_or((&wanted_name, ""));
        let matching = packages.iter().filter(|package| {
            text(package, "name") == name && (version.is_empty() || text(package, "version") == version)
        });
        for package in matching {
            if found.insert(format!(
                "{} {} {}",
                text(package, "name"),
                text(package, "version"),
                text(package, "checksum")
            )) {
                let dependencies = package.get("dependencies").and_then(Value::as_array);
                wanted
                    .extend(dependencies.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
            }
        }
    }
    Ok(found.into_iter().collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::compiled_part;
    use std::path::Path;

    #[test]
    fn comments_and_tests_are_not_compiled() {
        let part = |text: &str| compiled_part(Path::new("a.rs"), text.as_bytes().to_vec());
        let bare = part("fn f(a: [u8; 2]) -> u8 { a[0] }");
        let full = "//! Doc.\n\n/// Doc.\nfn f(a: [u8; 2]) -> u8 {\n    // Why.\n    a[0]\n}\n\n\
            #[cfg(test)]\nmod tests {\n    #[test]\n    fn g() {}\n}\n#[cfg(test)]\nuse x::y;\n";
        assert_eq!(part(full), bare);
        assert_ne!(part("fn f(a: [u8; 2]) -> u8 { a[1] }"), bare);
        assert_ne!(part("#[inline]\nfn f(a: [u8; 2]) -> u8 { a[0] }"), bare);
        assert_ne!(part("#![allow(x)]"), part("#[allow(x)]"));
        let toml = b"# A comment.\n".to_vec();
        assert_eq!(compiled_part(Path::new("a.toml"), toml.clone()), toml);
    }
}
