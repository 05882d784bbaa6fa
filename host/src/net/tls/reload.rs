//! When certificates are read again: at SIGHUP, and when their files have changed.
//!
//! Files are looked at by path once a second. That finds every way in which they are replaced, on every file system: new
//! content, a rename, and a symbolic link on the way that leads elsewhere, such as `..data` in a volume of Kubernetes.

use super::store::Store;
use crate::config::tls::Pair;
use crate::report::stderr;
use anyhow::{Context as _, Result};
use rustix::fs::stat;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tracing::warn;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Links that are followed on the way to a file, as many as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Asks for the certificates to be read again.
#[derive(Clone, Debug)]
pub struct Reload(Sender<()>);

impl Reload {
    /// Reads them now, whether or not they have changed.
    pub fn now(&self) {
        // The thread lives as long as the process.
        let _ = self.0.send(());
    }
}

/// Starts a thread that reads the files of `store` again when they change; `files` are the same, as they were before they were
/// read. It is a thread of its own, because a file system that hangs would block one that serves.
pub fn start(store: Arc<Store>, files: Files) -> Result<Reload> {
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("tls-reload".to_owned());
    thread
        .spawn(move || watch(&store, files, &receiver))
        .context("cannot start a thread for certificates")?;
    Ok(Reload(sender))
}

fn watch(store: &Store, mut files: Files, asked: &Receiver<()>) {
    loop {
        match asked.recv_timeout(INTERVAL) {
            Ok(()) => files.note(),
            Err(RecvTimeoutError::Timeout) if files.have_changed() => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        match store.reload() {
            Ok(warnings) => {
                stderr::line("Certificates were read again");
                for warning in warnings {
                    warn!("{warning}");
                }
            }
            Err(error) => warn!("certificates stay as they are: {error:#}"),
        }
    }
}

/// What tells one state of a file from another: device, inode, size, and the times of its last changes.
type Stamp = Option<(u64, u64, i64, [i64; 4])>;

/// Files that may change.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// As they were when they were read last.
    read: Vec<Stamp>,
    /// As they were when they were looked at last.
    seen: Vec<Stamp>,
}

impl Files {
    /// The files of these pairs, which are about to be read.
    pub fn new(pairs: &[Pair]) -> Self {
        let paths: Vec<_> =
            pairs.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]).collect();
        let read: Vec<_> = paths.iter().map(|path| stamp(path)).collect();
        Self { paths, seen: read.clone(), read }
    }

    /// The directories in which the files of certificates are, and those that links on the way to them lead to: what has to stay
    /// readable for [`start`].
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        for path in &self.paths {
            let mut path = path.clone();
            for _ in 0..MAX_LINKS {
                let directory = match path.parent() {
                    Some(parent) if parent != Path::new("") => parent.to_owned(),
                    _ => PathBuf::from("."),
                };
                let next = std::fs::read_link(&path).map(|target| directory.join(target));
                if !directories.contains(&directory) {
                    directories.push(directory);
                }
                let Ok(next) = next else { break };
                path = next;
            }
        }
        directories
    }

    /// Notes that they are about to be read.
    fn note(&mut self) {
        self.seen = self.paths.iter().map(|path| stamp(path)).collect();
        self.read.clone_from(&self.seen);
    }

    /// Whether they are to be read again: they have changed, and not since the last look. So a certificate is not read while
    /// it is written, nor before its key is there.
    fn have_changed(&mut self) -> bool {
        let now: Vec<_> = self.paths.iter().map(|path| stamp(path)).collect();
        let is_settled = now == self.seen;
        self.seen = now;
        if !is_settled || self.seen == self.read {
            return false;
        }
        self.read.clone_from(&self.seen);
        true
    }
}

#[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast)]
fn stamp(path: &Path) -> Stamp {
    let found = stat(path).ok()?;
    let times = [
        found.st_mtime as i64,
        found.st_mtime_nsec as i64,
        found.st_ctime as i64,
        found.st_ctime_nsec as i64,
    ];
    Some((found.st_dev, found.st_ino, found.st_size, times))
}

#[cfg(test)]
mod tests {
    use super::Files;
    use crate::config::tls::Pair;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn pair(root: &Path) -> Pair {
        Pair { certificate: root.join("tls.crt"), key: root.join("tls.key") }
    }

    #[test]
    fn files_are_read_again_once_they_have_settled() {
        let root = tempfile::tempdir().unwrap();
        let pair = pair(root.path());
        fs::write(&pair.certificate, "1").unwrap();
        fs::write(&pair.key, "1").unwrap();
        let mut files = Files::new(std::slice::from_ref(&pair));
        assert!(!files.have_changed());
        fs::write(&pair.certificate, "22").unwrap();
        assert!(!files.have_changed(), "its key may be about to come");
        fs::write(&pair.key, "22").unwrap();
        assert!(!files.have_changed());
        assert!(files.have_changed());
        assert!(!files.have_changed(), "once");
        fs::remove_file(&pair.key).unwrap();
        files.note();
        assert!(!files.have_changed(), "that they were read on request counts");
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        // As Kubernetes lays out a volume.
        for version in ["..1", "..2"] {
            fs::create_dir(root.path().join(version)).unwrap();
            for name in ["tls.crt", "tls.key"] {
                fs::write(root.path().join(version).join(name), "same size").unwrap();
            }
        }
        symlink("..1", root.path().join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), root.path().join(name)).unwrap();
        }
        let pair = pair(root.path());
        let mut files = Files::new(std::slice::from_ref(&pair));
        symlink("..2", root.path().join("..new")).unwrap();
        fs::rename(root.path().join("..new"), root.path().join("..data")).unwrap();
        assert!(!files.have_changed());
        assert!(files.have_changed());
        let found = Files::new(&[pair]).directories();
        assert_eq!(found, [root.path().to_owned(), root.path().join("..data")]);
    }

    #[test]
    fn links_that_form_a_circle_have_an_end() {
        let root = tempfile::tempdir().unwrap();
        let pair = pair(root.path());
        symlink("tls.key", &pair.certificate).unwrap();
        symlink("tls.crt", &pair.key).unwrap();
        assert_eq!(Files::new(&[pair]).directories(), [root.path()]);
    }
}
