//! The directory whose files are compressed.

use anyhow::{Context as _, Result, bail};
use guest::encoding::Coding;
use guest::path::RelativePath;
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags, Stat, flock, fstat, open, openat2};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How often a path is resolved anew when something was renamed meanwhile (openat2(2), `EAGAIN`).
const TRIES: usize = 8;

/// A directory, opened, and how the command line names it.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

impl Tree {
    /// Opens a directory. Only one process at a time has it.
    pub(super) fn open_root(path: &Path) -> Result<Self> {
        let shown = path.display();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match open(path, flags, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOTDIR) => bail!("{shown} is not a directory; name the one that it is in"),
            Err(error) => return Err(error).with_context(|| format!("cannot open {shown}")),
        };
        // A file system without locks does without.
        if flock(&root, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            bail!("another `wasi-httpd precompress` works in {shown}; wait until it has ended");
        }
        Ok(Self { root, path: path.to_owned() })
    }

    /// Opens what a path leads to. Symbolic links are followed as long as they stay below the directory.
    pub(super) fn open(&self, path: &RelativePath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let name = if path.as_str().is_empty() { "." } else { path.as_str() };
        let mut tries = 0;
        loop {
            match openat2(&self.root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Examines what a path leads to, without opening it: a FIFO would be waited for.
    pub(super) fn stat(&self, path: &RelativePath, flags: OFlags) -> Result<Stat, Errno> {
        fstat(self.open(path, flags | OFlags::PATH)?)
    }

    /// Opens the directory that a path is in.
    pub(super) fn parent(&self, path: &RelativePath) -> Result<OwnedFd, Errno> {
        let parent = path.parent().unwrap_or_else(RelativePath::root);
        self.open(&parent, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// A path as it is shown to the user.
    pub(super) fn shown(&self, path: &RelativePath) -> String {
        self.path.join(path.as_str()).display().to_string()
    }
}

/// Where the variant of a file is.
pub(super) fn variant(path: &RelativePath, coding: Coding) -> RelativePath {
    let name = format!("{}{}", path.file_name(), coding.suffix());
    path.parent().unwrap_or_else(RelativePath::root).join(&name)
}
