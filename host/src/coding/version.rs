//! Which version of a file something was made of.

use rustix::fs::{FileType, Stat};
use std::time::{Duration, SystemTime};

/// How long a file must have stayed the same. The kernel gives two changes within some milliseconds the same time, so that the
/// version of a file that has just changed may be that of other content.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

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

    /// Whether this has been the version of its file for so long that no other content can have it.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds)) else {
            return true;
        };
        let changed = Duration::new(seconds, nanoseconds);
        since >= changed.saturating_add(SETTLED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::FileVersion;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_version_is_settled_after_a_second() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_000, 500);
        let version = |changed| FileVersion { file: (1, 1), size: 5_000, modified: (1, 1), changed };
        assert!(version((999, 500)).is_settled(now) && version((-1, 0)).is_settled(now));
        assert!(!version((999, 501)).is_settled(now) && !version((2_000, 0)).is_settled(now));
    }
}
