//! Directories that guests see: opened once, read-only, and always the one that its path leads to.

use super::BLOCK;
use crate::config::grants;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use wasmtime_wasi::filesystem::{Dir, FsPerms, OpenMode};

/// A directory that guests see. It is opened once, and again only when its path leads to another one: a site is
/// published by moving a new directory, or a symbolic link to it, into the old one's place.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// What the guest knows it as.
    pub(super) name: String,
    opened: RwLock<Opened>,
}

struct Opened {
    directory: Dir,
    identity: Identity,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.identity.fmt(f)
    }
}

/// Device and inode: what makes two directories the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Directory {
    pub(super) fn open(config: &grants::Directory) -> Result<Self> {
        let shown = config.host.display();
        // The path must mean the same for as long as the server runs, even where the working directory is removed.
        let path = std::path::absolute(&config.host).with_context(|| format!("cannot find --dir {shown}"))?;
        let metadata = std::fs::metadata(&path).with_context(|| format!("cannot serve --dir {shown}"))?;
        ensure!(
            metadata.is_dir(),
            "cannot serve --dir {shown}: it is not a directory; serve the one that it is in"
        );
        // Being listable is more than being opened needs, and what listings will need.
        std::fs::read_dir(&path).with_context(|| format!("cannot read --dir {shown}"))?;
        let opened = Opened::at(&path).with_context(|| format!("cannot open --dir {shown}"))?;
        Ok(Self { path, name: config.guest.clone(), opened: RwLock::new(opened) })
    }

    /// The directory that the path leads to, if it leads to one.
    pub(super) fn current(&self) -> Option<Dir> {
        let found = Identity::from(&std::fs::metadata(&self.path).ok().filter(Metadata::is_dir)?);
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if found == opened.identity {
            return Some(opened.directory.clone());
        }
        drop(opened);
        let new = Opened::at(&self.path).ok()?;
        let directory = new.directory.clone();
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = new;
        Some(directory)
    }
}

impl Opened {
    fn at(path: &Path) -> std::io::Result<Self> {
        // Only a directory: what is put in its place meanwhile might be a FIFO, which would be waited for.
        let file =
            rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(File::from)?;
        let identity = Identity::from(&file.metadata()?);
        let directory = Dir::new(file, FsPerms::ReadOnly, OpenMode::READ, BLOCK);
        Ok(Self { directory, identity })
    }
}
