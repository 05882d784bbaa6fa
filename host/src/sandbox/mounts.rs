//! Which directories lie on file systems that may hang: another machine, or another program, answers for them, and may
//! not.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Types of such file systems, as `/proc/self/mountinfo` names them; those of FUSE begin with `fuse`.
const REMOTE: [&str; 17] = [
    "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "smb3", "virtiofs",
];

/// The kernel's table of mounts, which each reading from its beginning makes anew. `None` where /proc is not mounted.
static TABLE: LazyLock<Option<Mutex<File>>> =
    LazyLock::new(|| File::open("/proc/self/mountinfo").ok().map(Mutex::new));

/// Opens the table, while nothing restricts the process.
pub(super) fn open() {
    LazyLock::force(&TABLE);
}

/// How many directories of all components may hang.
static HANGING: AtomicUsize = AtomicUsize::new(0);

/// Whether calls about files may hang, because another machine or program answers for a directory of some component. This is
/// asked more often than once a request.
pub fn may_hang() -> bool {
    HANGING.load(Ordering::Relaxed) > 0
}

/// Whether a directory may hang. It counts for as long as this is there.
#[derive(Debug)]
pub(super) struct Hanging(AtomicBool);

impl Hanging {
    pub(super) fn new(may_hang: bool) -> Self {
        let hanging = Self(AtomicBool::new(false));
        hanging.set(may_hang);
        hanging
    }

    pub(super) fn set(&self, may_hang: bool) {
        match (self.0.swap(may_hang, Ordering::Relaxed), may_hang) {
            (false, true) => _ = HANGING.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = HANGING.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.set(false);
    }
}

fn table() -> io::Result<String> {
    let file = TABLE.as_ref().ok_or(io::ErrorKind::NotFound)?;
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let mut table = String::new();
    file.rewind()?;
    file.read_to_string(&mut table)?;
    Ok(table)
}

/// Whether a directory, or something mounted below it, lies on a file system that may hang.
pub(super) fn is_remote_directory(directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    // Where there is no table, nothing is known.
    table().is_ok_and(|table| is_remote(&directory, &table))
}

/// The same, by this table of mounts (`proc_pid_mountinfo(5)`).
fn is_remote(directory: &Path, table: &str) -> bool {
    let mounts = table.lines().filter_map(mount);
    // The mount that the directory is on is the last of the longest path that leads to it.
    let mut own: Option<(PathBuf, bool)> = None;
    let mut below = false;
    for (point, is_remote) in mounts {
        if directory.starts_with(&point) {
            if own.as_ref().is_none_or(|(longest, _)| point.as_os_str().len() >= longest.as_os_str().len()) {
                own = Some((point, is_remote));
            }
        } else if point.starts_with(directory) {
            below |= is_remote;
        }
    }
    below || own.is_some_and(|(_, is_remote)| is_remote)
}

/// The path of a mount, and whether its file system may hang.
fn mount(line: &str) -> Option<(PathBuf, bool)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let point = unescaped(mount.split(' ').nth(4)?);
    let kind = file_system.split(' ').next()?;
    Some((point, kind.starts_with("fuse") || REMOTE.contains(&kind)))
}

/// A path of the table, in which spaces and the like are octal escapes.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let octal =
            after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::is_remote;
    use std::path::Path;

    const TABLE: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /mnt/nas rw,relatime shared:5 - nfs4 nas:/export rw,vers=4.2
31 22 0:27 / /srv/site/photos rw - fuse.sshfs photos: rw
32 22 0:28 / /srv/my\\040disk rw - cifs //nas/disk rw
33 30 0:29 / /mnt/nas/local rw - ext4 /dev/vdb rw
34 22 0:30 / /twice rw - nfs nas:/a rw
35 22 0:31 / /twice rw - tmpfs tmpfs rw
";

    #[test]
    fn the_file_system_of_a_directory_and_those_below_it_count() {
        let is_remote = |path| is_remote(Path::new(path), TABLE);
        for path in
            ["/mnt/nas", "/mnt/nas/pub", "/srv/site", "/srv/site/photos/2026", "/srv/my disk", "/srv", "/"]
        {
            assert!(is_remote(path), "{path}");
        }
        for path in ["/srv/other", "/mnt/nasty", "/srv/site/pages", "/mnt/nas/local", "/twice"] {
            assert!(!is_remote(path), "{path}");
        }
    }
}
