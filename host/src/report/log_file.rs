//! The file of a log, which is opened again after it was moved away.

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The permissions of a new file: lines have addresses of clients, which are not for everybody.
const MODE: u32 = 0o640;

/// A file that lines are appended to.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    is_regular: bool,
}

impl LogFile {
    /// Opens a file to append to, which is made if it is missing. This waits for nothing: neither for the reader of a FIFO
    /// nor for a device.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, kind) = open(path).map_err(explain).with_context(|| cannot_open(path))?;
        Ok(Self { path: path.to_owned(), file, is_regular: kind.is_file() })
    }

    /// Says what would be wrong with opening it, without doing so.
    pub fn check(path: &Path) -> Result<()> {
        let is_writable = |what: &Path, how| access(what, how).with_context(|| cannot_open(path));
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => bail!("{}: it is a directory", cannot_open(path)),
            Ok(_) => is_writable(path, Access::WRITE_OK),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                is_writable(&directory(path), Access::WRITE_OK | Access::EXEC_OK)
            }
            Err(error) => Err(error).with_context(|| cannot_open(path)),
        }
    }

    /// Opens it again. It stays as it was if that fails, or if it is no regular file and so cannot be moved away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.is_regular {
            (self.file, _) = open(&self.path)?;
        }
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directories in which files have to be created and opened for it to be opened again: its own, and the one in which
    /// it is if it is a link.
    pub fn directories(&self) -> Vec<PathBuf> {
        if !self.is_regular {
            return Vec::new();
        }
        let target = self.path.canonicalize().ok();
        [Some(directory(&self.path)), target.map(|target| directory(&target))].into_iter().flatten().collect()
    }
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open the access log {}", path.display())
}

/// The directory that a file is in.
fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Opens a file without waiting.
fn open(path: &Path) -> io::Result<(File, FileType)> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let kind = file.metadata()?.file_type();
    // The thread that writes may wait.
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok((file, kind))
}

/// The kernel calls it "no such device or address" that nothing reads a FIFO.
fn explain(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
        io::Error::other("nothing reads it; start the reader of a FIFO first")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::{LogFile, directory};
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn a_file_is_opened_again_by_its_path() {
        let root = tempfile::tempdir().unwrap();
        let (path, moved) = (root.path().join("a.log"), root.path().join("a.log.1"));
        let mut log = LogFile::open(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        log.file().write_all(b"1\n").unwrap();
        log.reopen().unwrap();
        log.file().write_all(b"2\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        fs::remove_dir_all(root.path()).unwrap();
        log.reopen().unwrap_err();
        log.file().write_all(b"3\n").unwrap();
    }

    #[test]
    fn a_device_is_not_opened_again() {
        let mut log = LogFile::open(Path::new("/dev/null")).unwrap();
        assert!(log.directories().is_empty());
        log.reopen().unwrap();
    }

    #[test]
    fn a_link_needs_its_directory_and_that_of_the_file() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        symlink("logs/a.log", root.join("a.log")).unwrap();
        let log = LogFile::open(&root.join("a.log")).unwrap();
        assert_eq!(log.directories(), [root.clone(), root.join("logs")]);
        assert_eq!(directory(Path::new("a.log")), Path::new("."));
    }

    #[test]
    fn a_check_makes_no_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.log");
        LogFile::check(&path).unwrap();
        assert!(!path.exists());
        LogFile::open(&path).unwrap();
        LogFile::check(&path).unwrap();
        for wrong in [root.path().to_owned(), root.path().join("no/a.log"), path.join("a.log")] {
            let message = format!("{:#}", LogFile::check(&wrong).unwrap_err());
            let start = format!("cannot open the access log {}: ", wrong.display());
            assert!(message.starts_with(&start), "{message}");
            let message = format!("{:#}", LogFile::open(&wrong).unwrap_err());
            assert!(message.starts_with(&start), "{message}");
        }
    }
}
