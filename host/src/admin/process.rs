//! What the kernel knows of this process: its memory, its time and its open files.

use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, fstat, open, seek};
use rustix::io::pread;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Ticks of `/proc/PID/stat` in a second, on every architecture that the server runs on (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes that are read of a file in `/proc`. `status` has some 1,500.
const MAX_FILE: usize = 8 * 1024;

/// Files in `/proc` that are opened before the process restricts itself, and read at each request for them. A value is `None`
/// where there is no `/proc`.
#[derive(Debug)]
pub struct Process {
    started: SystemTime,
    stat: Option<File>,
    status: Option<File>,
    /// One reader at a time, because they share the position.
    descriptors: Option<Mutex<OwnedFd>>,
}

impl Process {
    /// Opens them.
    pub fn open() -> Self {
        let directory =
            open("/proc/self/fd", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        Self {
            started: SystemTime::now(),
            stat: File::open("/proc/self/stat").ok(),
            status: File::open("/proc/self/status").ok(),
            descriptors: directory.ok().map(Mutex::new),
        }
    }

    /// When the process has started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Option<u64> {
        resident(&read(self.status.as_ref()?)?)
    }

    /// Time that it has had on processors, in seconds.
    pub fn cpu(&self) -> Option<f64> {
        ticks(&read(self.stat.as_ref()?)?)
    }

    /// How many files it has open.
    pub fn files(&self) -> Option<u64> {
        let directory = self.descriptors.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        // Linux 6.2 and later tell without being asked for each.
        match u64::try_from(fstat(&*directory).ok()?.st_size) {
            Ok(count) if count > 0 => return Some(count),
            _ => {}
        }
        seek(&*directory, SeekFrom::Start(0)).ok()?;
        let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
        let mut entries = RawDir::new(&*directory, &mut buffer);
        let mut count = 0;
        while let Some(entry) = entries.next() {
            // All but `.` and `..` are links.
            count += u64::from(entry.ok()?.file_type() == FileType::Symlink);
        }
        Some(count)
    }
}

fn read(file: &File) -> Option<String> {
    let mut buffer = [0; MAX_FILE];
    let length = pread(file, &mut buffer, 0).ok()?;
    // The name of a program may be no text.
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Resident memory in `/proc/PID/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Time in user and system mode in `/proc/PID/stat`, in seconds. The second field, the name in parentheses, may hold spaces and
/// parentheses itself.
#[allow(clippy::cast_precision_loss)]
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // The first field here is the third one.
    let mut fields = rest.split_whitespace().skip(14 - 3);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some((next()? + next()?) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{Process, resident, ticks};
    use std::fs::File;

    #[test]
    fn this_process_has_memory_time_and_files() {
        let process = Process::open();
        assert!(process.memory().unwrap() > 1 << 20);
        assert!(process.cpu().unwrap() >= 0.0);
        let before = process.files().unwrap();
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open and close some.
        assert!(process.files().unwrap() > before + 50);
        drop(files);
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let stat = "7 (a) 1 (b)) S 1 7 7 0 -1 4194304 0 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(ticks(stat), Some(2.0));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(resident("Name:\ta\nVmRSS:\t    1024 kB\n"), Some(1 << 20));
        assert_eq!(resident("Name:\ta\n"), None);
    }
}
