//! The components as checked in under `guest/prebuilt/`, with what tells whether they can be trusted:
//! `SHA256SUMS` of the files, `TOOLCHAIN` (the `rustc -vV` that made them) and `SOURCES` (a digest of what they were
//! made from).

use crate::sources::{self, hex};
use crate::{Component, Origin, Policy, components, obtain, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The command that brings the folder up to date.
pub const REFRESH: &str = "cargo run -p guest-builder -- refresh";

fn folder() -> PathBuf {
    workspace().join("guest/prebuilt")
}

fn read_text(name: &str) -> Result<String> {
    let path = folder().join(name);
    std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; `{REFRESH}` writes it", path.display()))
}

/// The prebuilt component called `name`, after its checksum was found right.
pub fn read(name: &str) -> Result<Vec<u8>> {
    let path = folder().join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; `{REFRESH}` writes it", path.display()))?;
    let line = format!("{}  {name}.wasm", hex(&Sha256::digest(&bytes)));
    ensure!(
        read_text("SHA256SUMS")?.lines().any(|known| known == line),
        "{} does not have the checksum in SHA256SUMS; `{REFRESH}` builds it anew",
        path.display()
    );
    Ok(bytes)
}

/// Checks, without any toolchain, that every prebuilt component is intact and was made from the sources as they are.
pub fn check() -> Result<()> {
    for source in components() {
        read(source.name())?;
    }
    let recorded = read_text("SOURCES")?;
    let present = sources::digest()?;
    ensure!(
        recorded.trim() == present,
        "the guest's sources have changed since guest/prebuilt was made; run `{REFRESH}` and commit the result"
    );
    Ok(())
}

/// Builds every component from source and replaces the folder's content with the result.
pub fn refresh(target_dir: &Path) -> Result<()> {
    let mut sums = String::new();
    for source in components() {
        let name = source.name();
        let Component { bytes, origin } = obtain(source, target_dir, Policy::Source)?;
        let Origin::Source(toolchain) = &origin else {
            bail!("the {name} component did not come from source")
        };
        println!("{name}: {} bytes, {origin}", bytes.len());
        let _ = writeln!(sums, "{}  {name}.wasm", hex(&Sha256::digest(&bytes)));
        write(&format!("{name}.wasm"), &bytes)?;
        write("TOOLCHAIN", toolchain.compiler().version().as_bytes())?;
    }
    write("SHA256SUMS", sums.as_bytes())?;
    write("SOURCES", format!("{}\n", sources::digest()?).as_bytes())
}

fn write(name: &str, content: &[u8]) -> Result<()> {
    let path = folder().join(name);
    std::fs::create_dir_all(folder())
        .and_then(|()| std::fs::write(&path, content))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Builds every component from source and compares it with the prebuilt one: where the compiler is the one of
/// `TOOLCHAIN`, the bytes must be equal.
pub fn verify(target_dir: &Path) -> Result<()> {
    check()?;
    for source in components() {
        let name = source.name();
        let Component { bytes, origin } = obtain(source, target_dir, Policy::Source)?;
        let Origin::Source(toolchain) = &origin else {
            bail!("the {name} component did not come from source")
        };
        if toolchain.compiler().version() != read_text("TOOLCHAIN")? {
            println!(
                "{name}: {origin}, another compiler than that of guest/prebuilt/TOOLCHAIN: bytes not compared"
            );
        } else if bytes == read(name)? {
            println!("{name}: {origin}, the same {} bytes as prebuilt", bytes.len());
        } else {
            bail!("{name}: {origin}, but the bytes are not those of guest/prebuilt; run `{REFRESH}`");
        }
    }
    Ok(())
}
