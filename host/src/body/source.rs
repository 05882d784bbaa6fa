//! Files as guests read them through streams. Such a stream knows its file and its position, so that the rest of the
//! file can be handed over without being read.

use super::FileRange;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// Bytes that one read gives at most: they are copied into the guest's memory.
const READ_MAX: usize = 64 * 1024;

/// How long metadata of a file may be used without another `statx`. A guest that examines a file, opens it, asks for its
/// length and hands it over does all of that within microseconds.
pub const METADATA_TTL: Duration = Duration::from_millis(1);

/// The length of a file in bytes, and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct TimedLength(pub u64, pub Instant);

/// A file, and a position in it.
#[derive(Debug)]
pub struct FileSource {
    file: Arc<File>,
    position: AtomicU64,
    /// The file's length, as the guest was told it.
    known: Option<TimedLength>,
}

/// What was taken from a file.
#[derive(Debug)]
pub enum Taken {
    /// A range of it, of which nothing was read.
    Range(FileRange),
    /// Bytes, from a file that has more content than its length says (as those below /proc have).
    Bytes(Bytes),
    /// Nothing: the file ends here.
    End,
}

impl FileSource {
    /// A position in a file. `known` is the file's length, where the guest has asked for it.
    pub fn new(file: Arc<File>, offset: u64, known: Option<TimedLength>) -> Self {
        Self { file, position: AtomicU64::new(offset), known }
    }

    /// Takes at most `most` bytes from here on; at most `room` of them if they have to be read.
    pub fn take(&self, most: u64, room: usize) -> io::Result<Taken> {
        if let Some(range) = self.take_range(most)? {
            return Ok(Taken::Range(range));
        }
        let most = usize::try_from(most).unwrap_or(room).min(room);
        Ok(match self.read(most)? {
            bytes if bytes.is_empty() => Taken::End,
            bytes => Taken::Bytes(bytes),
        })
    }

    /// Takes at most `most` bytes from here on without reading them; `None` where the file has none by its length.
    pub fn take_range(&self, most: u64) -> io::Result<Option<FileRange>> {
        let position = self.position.load(Ordering::Relaxed);
        let length = self.left(position, most)?.min(most);
        self.position.store(position + length, Ordering::Relaxed);
        Ok((length > 0).then(|| FileRange { file: Arc::clone(&self.file), offset: position, length }))
    }

    /// Bytes that the file has after a position by its length, of which `most` are wanted.
    fn left(&self, position: u64, most: u64) -> io::Result<u64> {
        let known = self.known.filter(|known| known.1.elapsed() < METADATA_TTL);
        let known = known.map_or(0, |known| known.0.saturating_sub(position));
        Ok(if most <= known { known } else { self.file.metadata()?.len().saturating_sub(position) })
    }

    /// Reads at most `most` bytes from here on; none only at the end of the file.
    fn read(&self, most: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; most.min(READ_MAX)];
        let read = self.read_into(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes.into())
    }

    /// Reads from here on into a buffer, and gives how many bytes there were; none only at the end of the file.
    pub fn read_into(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        let read = loop {
            match self.file.read_at(buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.position.store(position + read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The stream. Only one call at a time uses it.
#[derive(Debug)]
pub struct FileStream(pub Arc<FileSource>);

impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        match self.0.read(size) {
            Ok(bytes) if bytes.is_empty() => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

#[async_trait]
impl Pollable for FileStream {
    /// A file is always ready: it is read by the call itself.
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::{FileSource, Taken};
    use std::fs::File;
    use std::sync::Arc;

    #[test]
    fn a_file_without_a_length_is_read() {
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0, "what this is a test of");
        let source = FileSource::new(Arc::new(file), 0, None);
        let Taken::Bytes(first) = source.take(u64::MAX, 5).unwrap() else { panic!("no bytes") };
        assert_eq!(&first[..], b"Name:");
        while !matches!(source.take(u64::MAX, 4096).unwrap(), Taken::End) {}
    }
}
