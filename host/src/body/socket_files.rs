//! Ranges of files that a socket sends by itself.
//!
//! The HTTP library only writes bytes. For a range it gets a [`Placeholder`]: as many bytes, all from one mapping that
//! nothing else uses. The range itself waits in [`SocketFiles`]. The socket recognises a placeholder by its address and
//! sends the range in its place.
//!
//! A placeholder that is dropped early would shift all later ranges, so it breaks the socket. One that is copied would
//! send zeros under a 200, so its mapping cannot be read: any attempt ends the process by SIGSEGV.

use super::FileRange;
use crate::report::Subject;
use bytes::Buf;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Bytes that one piece of a placeholder shows, and that one call of the socket sends at most. It takes some hundred
/// microseconds, in which other connections of the thread wait. With 256 KiB, an answer of 1 MiB costs a tenth more.
pub const MAX_PLACEHOLDER: usize = 1024 * 1024;

/// The memory that placeholders show.
static MAPPING: LazyLock<&'static [u8]> = LazyLock::new(map);

/// Address space that cannot be read.
#[allow(unsafe_code)]
fn map() -> &'static [u8] {
    // SAFETY: a new anonymous mapping at an address that the kernel chooses overlaps nothing, and it is never unmapped,
    // so that the slice is valid for `'static` as far as its address and length go. Its content must not be read, and
    // is not: `Placeholder` gives the slice to the HTTP library only, which passes address and length on to the socket
    // (`http1::Builder::writev`), and `is_placeholder` compares addresses. A read would end the process, which is what
    // the mapping is for; `reading_a_placeholder_ends_the_process` shows it.
    unsafe {
        match mmap_anonymous(std::ptr::null_mut(), MAX_PLACEHOLDER, ProtFlags::empty(), MapFlags::PRIVATE) {
            Ok(address) => std::slice::from_raw_parts(address.cast(), MAX_PLACEHOLDER),
            // Without address space for 1 MiB nothing else works either; a placeholder shows nothing then, and the
            // connection ends with an error.
            Err(_) => &[],
        }
    }
}

/// The ranges that a socket is to send. Clones refer to the same list.
#[derive(Clone, Debug, Default)]
pub struct SocketFiles(Arc<Mutex<Ranges>>);

#[derive(Default)]
struct Ranges {
    /// The next one at the front.
    waiting: VecDeque<Waiting>,
    /// Whether a placeholder was dropped before its range was sent.
    broken: bool,
}

/// A range that is to be sent.
struct Waiting {
    range: FileRange,
    /// Bytes of the body that follow it, as far as they are known.
    after: u64,
    /// The request that it answers.
    subject: Subject,
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.waiting.iter().map(|waiting| &waiting.range)).finish()
    }
}

/// Why no range could be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError<E> {
    /// What the socket is given and what the HTTP library writes do not agree.
    #[error("{0}")]
    Disagreement(&'static str),
    /// Sending failed.
    #[error("{1}")]
    Failed(Subject, E),
}

impl SocketFiles {
    fn lock(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a range, which answers `subject`, and gives what stands for it. At least `after` bytes of the body follow it.
    pub fn add(&self, range: FileRange, after: u64, subject: Subject) -> Placeholder {
        let left = range.length;
        self.lock().waiting.push_back(Waiting { range, after, subject });
        Placeholder { left, files: self.clone() }
    }

    /// Has `send` send from the next range; it is given the range and how many bytes of the body are left from there on, and
    /// returns how many bytes it has sent.
    pub fn send<E>(
        &self,
        send: impl FnOnce(&FileRange, u64) -> Result<usize, E>,
    ) -> Result<usize, SendError<E>> {
        let mut ranges = self.lock();
        if ranges.broken {
            return Err(SendError::Disagreement("a range of a file was not sent in full"));
        }
        let Some(Waiting { range, after, subject }) = ranges.waiting.front_mut() else {
            return Err(SendError::Disagreement("there is no range of a file to be sent"));
        };
        let left = range.length.saturating_add(*after);
        let count = send(range, left).map_err(|error| SendError::Failed(subject.clone(), error))?;
        range.offset += count as u64;
        range.length = range.length.saturating_sub(count as u64);
        if range.length == 0 {
            ranges.waiting.pop_front();
        }
        Ok(count)
    }

    /// Makes every further attempt to send fail.
    pub fn break_off(&self) {
        self.lock().broken = true;
    }
}

/// Stands for a range of a file. Its bytes cannot be read.
#[derive(Debug)]
pub struct Placeholder {
    left: u64,
    files: SocketFiles,
}

impl Buf for Placeholder {
    fn remaining(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &MAPPING[..self.remaining().min(MAPPING.len())]
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count as u64);
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        if self.left > 0 {
            self.files.break_off();
        }
    }
}

/// Whether these bytes are a placeholder's.
pub fn is_placeholder(bytes: &[u8]) -> bool {
    // Placeholders always show the mapping from its beginning.
    std::ptr::eq(bytes.as_ptr(), MAPPING.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::{FileRange, Placeholder, SocketFiles};
    use crate::report::Subject;
    use bytes::Buf as _;
    use http::Method;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::sync::Arc;

    const VARIABLE: &str = "READ_A_PLACEHOLDER";

    fn placeholder(files: &SocketFiles) -> Placeholder {
        let range = FileRange { file: Arc::new(tempfile::tempfile().unwrap()), offset: 0, length: 10 };
        files.add(range, 0, Subject::new(&Method::GET, &"/".parse().unwrap()))
    }

    #[test]
    fn reading_a_placeholder_ends_the_process() {
        if std::env::var_os(VARIABLE).is_some() {
            let placeholder = placeholder(&SocketFiles::default());
            std::process::exit(i32::from(placeholder.chunk()[0]));
        }
        let this = "body::socket_files::tests::reading_a_placeholder_ends_the_process";
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", this, "--nocapture"]).env(VARIABLE, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(11), "{output:?}");
    }
}
