//! Files that may change, looked at by path.
//!
//! That finds every way in which they are replaced, on every file system: new content, a rename, and a symbolic link on the way
//! that leads elsewhere, such as `..data` in a volume of Kubernetes.

use rustix::fs::{FileType, stat};
use std::path::{Path, PathBuf};

/// Links that are followed on the way to a file, as many as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// What tells one state of a file from another: device, inode, size, and the times of its last changes.
type Stamp = Option<(u64, u64, i64, [i64; 4])>;

/// Files that may change, and directories that others may take the place of. Each may be missing.
#[derive(Debug, Default)]
pub struct Files {
    paths: Vec<PathBuf>,
    /// As they were when they were read last.
    read: Vec<Stamp>,
    /// As they were when they were looked at last.
    seen: Vec<Stamp>,
}

impl Files {
    /// Files that are about to be read.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_unstable();
        paths.dedup();
        let read: Vec<_> = paths.iter().map(|path| stamp(path)).collect();
        Self { paths, seen: read.clone(), read }
    }

    /// These files instead. What is known of those that stay is kept, and the others are about to be read.
    #[must_use]
    pub fn replaced_by(&self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut files = Self::new(paths);
        for (at, path) in files.paths.iter().enumerate() {
            if let Ok(known) = self.paths.binary_search(path) {
                (files.read[at], files.seen[at]) = (self.read[known], self.seen[known]);
            }
        }
        files
    }

    /// The directories in which they are, and those that links on the way to them lead to: what has to stay readable for them to
    /// be read again.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        for path in &self.paths {
            for directory in holders(path) {
                if !directories.contains(&directory) {
                    directories.push(directory);
                }
            }
        }
        directories
    }

    /// Notes that they are about to be read.
    pub fn note(&mut self) {
        self.seen = self.paths.iter().map(|path| stamp(path)).collect();
        self.read.clone_from(&self.seen);
    }

    /// Whether they are to be read again: they have changed, and not since the last look. So a file is not read while it is
    /// written, nor a certificate before its key is there.
    pub fn have_changed(&mut self) -> bool {
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

/// The directory in which a file is, and those in which links on the way to it lead.
fn holders(path: &Path) -> Vec<PathBuf> {
    let mut holders = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let next = std::fs::read_link(&path).map(|target| directory.join(target));
        holders.push(directory);
        let Ok(next) = next else { break };
        path = next;
    }
    holders
}

#[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast)]
fn stamp(path: &Path) -> Stamp {
    let found = stat(path).ok()?;
    // What is in a directory is not looked at.
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        return Some((found.st_dev, found.st_ino, 0, [0; 4]));
    }
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
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    fn pair(root: &Path) -> [PathBuf; 2] {
        ["tls.crt", "tls.key"].map(|name| root.join(name))
    }

    #[test]
    fn files_are_read_again_once_they_have_settled() {
        let root = tempfile::tempdir().unwrap();
        let pair = pair(root.path());
        let [certificate, key] = &pair;
        fs::write(certificate, "1").unwrap();
        fs::write(key, "1").unwrap();
        let mut files = Files::new(pair.clone());
        assert!(!files.have_changed());
        fs::write(certificate, "22").unwrap();
        assert!(!files.have_changed(), "its key may be about to come");
        fs::write(key, "22").unwrap();
        assert!(!files.have_changed());
        assert!(files.have_changed());
        assert!(!files.have_changed(), "once");
        fs::remove_file(key).unwrap();
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
        let mut files = Files::new(pair.clone());
        symlink("..2", root.path().join("..new")).unwrap();
        fs::rename(root.path().join("..new"), root.path().join("..data")).unwrap();
        assert!(!files.have_changed());
        assert!(files.have_changed());
        let found = Files::new(pair).directories();
        assert_eq!(found, [root.path().to_owned(), root.path().join("..data")]);
    }

    #[test]
    fn links_that_form_a_circle_have_an_end() {
        let root = tempfile::tempdir().unwrap();
        let pair = pair(root.path());
        symlink("tls.key", &pair[0]).unwrap();
        symlink("tls.crt", &pair[1]).unwrap();
        assert_eq!(Files::new(pair).directories(), [root.path()]);
    }
}
