//! The components checked in under `guest/prebuilt/`, and the files that verify them: `SHA256SUMS` has their checksums,
//! `TOOLCHAIN` the `rustc -vV` of the compiler that built them, and `SOURCES` a digest of their sources.

use crate::sources::{self, hex};
use crate::{Component, Origin, Policy, components, obtain, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The command that rebuilds the content of the folder.
pub const REFRESH: &str = "cargo run --bin guest-builder -- refresh";

fn folder() -> PathBuf {
    workspace().join("guest/prebuilt")
}

fn read_text(name: &str) -> Result<String> {
    let path = folder().join(name);
    std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; `{REFRESH}` writes it", path.display()))
}

/// Reads the prebuilt component called `name` and verifies its checksum.
pub fn read(name: &str) -> Result<Vec<u8>> {
    let path = folder().join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; `{REFRESH}` writes it", path.display()))?;
    let line = format!("{}  {name}.wasm", hex(&Sha256::digest(&bytes)));
    ensure!(
        read_text("SHA256SUMS")?.lines().any(|entry| entry == line),
        "{} does not match its checksum in SHA256SUMS; `{REFRESH}` rebuilds it",
        path.display()
    );
    Ok(bytes)
}

/// Checks that every prebuilt component is intact and was built from the current sources. Needs no toolchain.
pub fn check() -> Result<()> {
    for source in components() {
        read(source.name())?;
    }
    let recorded = read_text("SOURCES")?;
    let current = sources::digest()?;
    ensure!(
        recorded.trim() == current,
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

/// Builds every component from source and compares it with the prebuilt one. With the compiler named in `TOOLCHAIN`,
/// the bytes must be equal.
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
                "{name}: {origin}; bytes not compared, as guest/prebuilt/TOOLCHAIN names another compiler"
            );
        } else if bytes == read(name)? {
            println!("{name}: {origin}, the same {} bytes as prebuilt", bytes.len());
        } else {
            bail!("{name}: {origin}, but the bytes differ from guest/prebuilt; run `{REFRESH}`");
        }
    }
    Ok(())
}
