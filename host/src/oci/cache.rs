//! What has come from registries, on disk: manifests and components under their digests, and signatures of cosign under the
//! digest of what they are about. What is read is checked again, so that a damaged file counts as missing.

use super::digest::Sha256;
use crate::cache;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The name of the directory among those of this program.
const DIRECTORY: &str = "oci";

/// The directories of manifests and components, and of signatures.
const BLOBS: &str = "sha256";
const SIGNATURES: &str = "cosign";

/// The directory of what has come.
#[derive(Debug)]
pub struct Cache(PathBuf);

impl Cache {
    /// That of this user, which is made where it is missing.
    pub fn open() -> Result<Self> {
        let directory = cache::directory("wasi-httpd")?.join(DIRECTORY);
        for name in [BLOBS, SIGNATURES] {
            let directory = directory.join(name);
            fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        Ok(Self(directory))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The bytes that have this digest, if they are there and no more than this.
    pub fn blob(&self, digest: &Sha256, most: u64) -> Option<Vec<u8>> {
        let bytes = read(&self.path(BLOBS, digest), most)?;
        (Sha256::of(&bytes) == *digest).then_some(bytes)
    }

    /// What was kept as signature of the manifest with this digest.
    pub fn signature(&self, manifest: &Sha256, most: u64) -> Option<Vec<u8>> {
        read(&self.path(SIGNATURES, manifest), most)
    }

    /// Keeps bytes that have this digest.
    pub fn keep_blob(&self, digest: &Sha256, bytes: &[u8]) -> Result<()> {
        self.write(BLOBS, digest, bytes)
    }

    /// Keeps a signature of the manifest with this digest.
    pub fn keep_signature(&self, manifest: &Sha256, bytes: &[u8]) -> Result<()> {
        self.write(SIGNATURES, manifest, bytes)
    }

    fn path(&self, kind: &str, digest: &Sha256) -> PathBuf {
        self.0.join(kind).join(digest.digits())
    }

    /// Writes a file as a whole: servers that start at the same time read all of it or none.
    fn write(&self, kind: &str, digest: &Sha256, bytes: &[u8]) -> Result<()> {
        let path = self.path(kind, digest);
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The content of a file, if it is no more than this.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{BLOBS, Cache, SIGNATURES};
    use crate::oci::digest::Sha256;
    use std::fs;

    #[test]
    fn what_is_damaged_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        for name in [BLOBS, SIGNATURES] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let cache = Cache(place.path().to_owned());
        let digest = Sha256::of(b"content");
        assert_eq!(cache.blob(&digest, 100), None);
        cache.keep_blob(&digest, b"content").unwrap();
        assert_eq!(cache.blob(&digest, 7).as_deref(), Some(&b"content"[..]));
        assert_eq!(cache.blob(&digest, 6), None);
        fs::write(cache.path(BLOBS, &digest), "Content").unwrap();
        assert_eq!(cache.blob(&digest, 100), None);
        cache.keep_blob(&digest, b"content").unwrap();
        assert!(cache.blob(&digest, 100).is_some());
        assert_eq!(fs::read_dir(place.path().join(BLOBS)).unwrap().count(), 1);
        fs::remove_dir_all(place.path().join(SIGNATURES)).unwrap();
        assert!(cache.keep_signature(&digest, b"").unwrap_err().to_string().starts_with("cannot write"));
    }
}
