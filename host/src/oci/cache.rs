//! What has come from registries, on disk: manifests and components under their digests, and signatures of cosign under the
//! digest of what they are about. What is read is checked again, so that a damaged file counts as missing.
//!
//! The modification time of a file is that of its last use. Where there are too many bytes, the files go that were not used for
//! longest.

use super::digest::Sha256;
use crate::cache;
use crate::signature::cosign::Signed;
use anyhow::{Context as _, Result};
use std::fs::{self, DirEntry, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::debug;

/// The name of the directory among those of this program.
const DIRECTORY: &str = "oci";

/// The directories of manifests and components, and of signatures.
const BLOBS: &str = "sha256";
const SIGNATURES: &str = "cosign";

/// The largest file of a signature, in bytes.
const MAX_SIGNATURE: u64 = 128 * 1024;

/// The directory of what has come to this user, which is made where it is missing.
pub fn place() -> Result<PathBuf> {
    let directory = cache::directory("wasi-httpd")?.join(DIRECTORY);
    for name in [BLOBS, SIGNATURES] {
        let directory = directory.join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    Ok(directory)
}

/// What has come.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    /// How many bytes may stay.
    most: u64,
    /// What was used since then stays in any case: this process may load it again.
    opened: SystemTime,
}

impl Cache {
    /// That of this user, in which so many bytes may stay.
    pub fn open(most: u64) -> Result<Self> {
        Ok(Self { directory: place()?, most, opened: SystemTime::now() })
    }

    /// The bytes that have this digest, if they are there and no more than this.
    pub fn blob(&self, digest: &Sha256, most: u64) -> Option<Vec<u8>> {
        let (bytes, file) = read(&self.path(BLOBS, digest), most)?;
        (Sha256::of(&bytes) == *digest).then(|| {
            note_use(&file);
            bytes
        })
    }

    /// What was kept as signature of the manifest with this digest.
    pub fn signature(&self, manifest: &Sha256) -> Option<Signed> {
        let (bytes, file) = read(&self.path(SIGNATURES, manifest), MAX_SIGNATURE)?;
        note_use(&file);
        read_signature_file(&bytes)
    }

    /// Keeps bytes that have this digest.
    pub fn keep_blob(&self, digest: &Sha256, bytes: &[u8]) -> Result<()> {
        self.write(BLOBS, digest, bytes)
    }

    /// Keeps a signature of the manifest with this digest.
    pub fn keep_signature(&self, manifest: &Sha256, signed: &Signed) -> Result<()> {
        self.write(SIGNATURES, manifest, &signature_file(signed))
    }

    /// Removes what was not used for longest, until no more bytes are there than may stay. What this process has used stays.
    pub fn trim(&self) {
        let kinds = [BLOBS, SIGNATURES].map(|kind| self.directory.join(kind));
        let entries = kinds.iter().filter_map(|kind| fs::read_dir(kind).ok()).flatten().flatten();
        let mut files: Vec<_> = entries.filter_map(|entry| Kept::of(&entry)).collect();
        files.sort_unstable_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.size).sum();
        for Kept { used, size, path } in files {
            if total <= self.most || used >= self.opened {
                break;
            }
            match fs::remove_file(&path) {
                Ok(()) => total -= size,
                // Another process may have removed it.
                Err(error) => debug!("cannot remove {}: {error}", path.display()),
            }
        }
    }

    fn path(&self, kind: &str, digest: &Sha256) -> PathBuf {
        self.directory.join(kind).join(digest.digits())
    }

    /// Writes a file as a whole: servers that start at the same time read all of it or none.
    fn write(&self, kind: &str, digest: &Sha256, bytes: &[u8]) -> Result<()> {
        let path = self.path(kind, digest);
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                note_use(&file);
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A file that is there.
struct Kept {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

impl Kept {
    fn of(entry: &DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Self { used: metadata.modified().ok()?, size: metadata.len(), path: entry.path() })
    }
}

/// The content of a file, if it is no more than this.
fn read(path: &Path, most: u64) -> Option<(Vec<u8>, File)> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    (&file).take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some((bytes, file))
}

/// The content of the file of a signature: it, and the document.
fn signature_file(signed: &Signed) -> Vec<u8> {
    [signed.signature.as_bytes(), b"\n", &signed.document].concat()
}

/// Reads what [`signature_file`] has written.
fn read_signature_file(bytes: &[u8]) -> Option<Signed> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let signature = std::str::from_utf8(&bytes[..end]).ok()?.to_owned();
    Some(Signed { signature, document: bytes[end + 1..].to_vec() })
}

/// Notes that a file is used now. The kernel's own time of a change is some milliseconds late. A file of another user keeps its
/// time, and goes sooner.
fn note_use(file: &File) {
    let _ = file.set_modified(SystemTime::now());
}

#[cfg(test)]
mod tests {
    use super::{BLOBS, Cache, SIGNATURES, read_signature_file, signature_file};
    use crate::oci::digest::Sha256;
    use crate::signature::cosign::Signed;
    use proptest::prelude::*;
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// One whose file has nine bytes.
    fn signed() -> Signed {
        Signed { signature: "base64".to_owned(), document: b"{}".to_vec() }
    }

    fn cache(place: &Path, most: u64) -> Cache {
        for name in [BLOBS, SIGNATURES] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        Cache { directory: place.to_owned(), most, opened: SystemTime::now() }
    }

    #[test]
    fn what_is_damaged_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path(), 100);
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
        assert!(
            cache.keep_signature(&digest, &signed()).unwrap_err().to_string().starts_with("cannot write")
        );
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let place = tempfile::tempdir().unwrap();
        let digests = [b"content 1", b"content 2", b"content 3", b"content 4"].map(|bytes| {
            let digest = Sha256::of(bytes);
            cache(place.path(), 0).keep_blob(&digest, bytes).unwrap();
            digest
        });
        cache(place.path(), 0).keep_signature(&digests[0], &signed()).unwrap();
        let age = |kind: &str, digest: &Sha256, hours: u64| {
            let file =
                File::options().write(true).open(place.path().join(kind).join(digest.digits())).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_hours(hours)).unwrap();
        };
        for (digest, hours) in digests.iter().zip([4, 9, 2, 1]) {
            age(BLOBS, digest, hours);
        }
        age(SIGNATURES, &digests[0], 4);
        let trimmed = |most: u64| {
            let cache = cache(place.path(), most);
            cache.trim();
            let has_signature = cache.path(SIGNATURES, &digests[0]).exists();
            (digests.map(|digest| cache.path(BLOBS, &digest).exists()), has_signature)
        };
        assert_eq!(trimmed(45), ([true; 4], true));
        assert_eq!(trimmed(44), ([true, false, true, true], true));
        // What is read is used.
        age(BLOBS, &digests[3], 8);
        assert!(cache(place.path(), 0).blob(&digests[3], 9).is_some());
        assert_eq!(cache(place.path(), 0).signature(&digests[0]), Some(signed()));
        assert_eq!(trimmed(27), ([false, false, true, true], true));
        assert_eq!(trimmed(18), ([false, false, false, true], true));
        assert_eq!(trimmed(0), ([false; 4], false));
    }

    #[test]
    fn what_this_process_uses_stays() {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (Sha256::of(b"first"), Sha256::of(b"second"));
        cache(place.path(), 0).keep_blob(&first, b"first").unwrap();
        let cache = cache(place.path(), 0);
        cache.keep_blob(&second, b"second").unwrap();
        cache.trim();
        assert_eq!((cache.blob(&first, 100), cache.blob(&second, 100).is_some()), (None, true));
        // What is no file is left alone.
        let directory = place.path().join(BLOBS).join("directory");
        fs::create_dir(&directory).unwrap();
        Cache { opened: SystemTime::now(), ..cache }.trim();
        assert!(directory.exists());
        assert_eq!(fs::read_dir(place.path().join(BLOBS)).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn a_kept_signature_is_read_again(signature in "[A-Za-z0-9+/=]{0,90}", document: Vec<u8>) {
            let signed = Signed { document, signature };
            prop_assert_eq!(read_signature_file(&signature_file(&signed)), Some(signed));
        }
    }
}
