//! Signatures of components (`--verify-key`): those of minisign, and those of cosign with a key.
//!
//! - [`minisign`]: Ed25519 over the `BLAKE2b` hash of a component, in a file beside it or in its manifest
//! - [`cosign`]: ECDSA with P-256 over a component in a file, or over a document that names the digest of a manifest
//! - this module: the public keys, one of which has to have signed
//!
//! All of this comes before the component is parsed.

pub mod cosign;
pub mod minisign;

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The largest file of a key or signature, in bytes. Comments of minisign have up to 8 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// The public keys, one of which has to have signed a component.
#[derive(Debug)]
pub struct Keys {
    minisign: Vec<minisign::Key>,
    cosign: Vec<cosign::Key>,
}

impl Keys {
    /// Reads the files of keys. The error names the file that holds none.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut keys = Self { minisign: Vec::new(), cosign: Vec::new() };
        for file in files {
            keys.add(file).with_context(|| format!("--verify-key {}", file.display()))?;
        }
        Ok(keys)
    }

    fn add(&mut self, file: &Path) -> Result<()> {
        let text = read(file)?.context("there is no such file")?;
        if text.contains("PRIVATE KEY") || text.contains("encrypted secret key") {
            bail!("it is the secret key, which only the signer needs; name the public one");
        } else if text.contains(cosign::BEGIN) {
            let key = cosign::Key::parse(&text);
            self.cosign.push(key.context("it is not a public key of ECDSA with the curve P-256")?);
        } else if let Some(key) = minisign::Key::parse(&text) {
            self.minisign.push(key);
        } else {
            bail!("it is neither a public key of minisign nor one of cosign in PEM");
        }
        Ok(())
    }

    /// Those of minisign.
    pub fn minisign(&self) -> &[minisign::Key] {
        &self.minisign
    }

    /// Those of cosign.
    pub fn cosign(&self) -> &[cosign::Key] {
        &self.cosign
    }

    /// The files beside a component that may hold its signature.
    pub fn files_of<'a>(&'a self, component: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let suffixes = [
            (!self.minisign.is_empty()).then_some(minisign::SUFFIX),
            (!self.cosign.is_empty()).then_some(cosign::SUFFIX),
        ];
        suffixes.into_iter().flatten().map(|suffix| beside(component, suffix))
    }

    /// Checks the content of a file against the signatures beside it.
    pub fn check_file(&self, component: &Path, bytes: &[u8]) -> Result<()> {
        let mut faults = Vec::new();
        for file in self.files_of(component) {
            let Some(text) = read(&file).with_context(|| format!("its signature {}", file.display()))? else {
                continue;
            };
            let is_of_minisign = file.extension().is_some_and(|extension| extension == "minisig");
            let checked = if is_of_minisign {
                minisign::check(&self.minisign, &text, bytes)
            } else {
                cosign::check_blob(&self.cosign, &text, bytes)
            };
            match checked {
                Ok(()) => return Ok(()),
                Err(why) => faults.push(format!("its signature {} {why}", file.display())),
            }
        }
        if faults.is_empty() {
            let files: Vec<_> = self.files_of(component).map(|file| file.display().to_string()).collect();
            bail!("it is not signed, and --verify-key needs that: there is no {}", files.join(" and no "));
        }
        bail!("{}", faults.join(", and "))
    }
}

/// The file beside a component whose name ends with this in addition.
pub fn beside(component: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(component);
    name.push(suffix);
    PathBuf::from(name)
}

/// The text of a small file; `None` if there is no such file.
pub fn read(file: &Path) -> Result<Option<String>> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot be read"),
    };
    let mut text = String::new();
    match opened.take(MAX_FILE + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_FILE => bail!("is larger than {} KiB", MAX_FILE >> 10),
        Err(error) if error.kind() != ErrorKind::InvalidData => Err(error).context("cannot be read"),
        // What is no text is neither a key nor a signature.
        Err(_) => Ok(Some(String::new())),
        Ok(_) => Ok(Some(text)),
    }
}
