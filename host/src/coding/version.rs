//! Which version of a file something was made of.

use rustix::fs::{FileType, Stat};

/// A version of a regular file, as far as the kernel tells one from another. Times are seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// The device and the inode.
    pub file: (u64, u64),
    /// Its length in bytes.
    pub size: u64,
    /// When its content was modified. Programs can set it to any time.
    pub modified: (i64, i64),
    /// When its content or its metadata last changed. Programs cannot set it.
    pub changed: (i64, i64),
}

impl FileVersion {
    /// That of a file with this metadata; `None` for anything but a regular file.
    #[allow(clippy::cast_possible_wrap, reason = "nanoseconds are small")]
    pub fn of(stat: &Stat) -> Option<Self> {
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| Self {
            file: (stat.st_dev, stat.st_ino),
            size: stat.st_size.unsigned_abs(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        })
    }
}
