//! Files as a guest reads them through a stream, which knows where it is in which file, so that the rest can be handed
//! over.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// What one read of a guest gives at most, in bytes: it is copied into the guest's memory.
const MOST_READ: usize = 64 * 1024;

/// How long what was learned of a file is as good as asking again: the calls of a guest that looks at a file, opens it,
/// asks what it has opened, and hands it over come within microseconds.
pub const ALIKE: Duration = Duration::from_millis(1);

/// How long a file was, in bytes, and when.
#[derive(Clone, Copy, Debug)]
pub struct KnownLength(pub u64, pub Instant);

/// A file, and where in it a stream is.
#[derive(Debug)]
pub struct FileSource {
    file: Arc<File>,
    position: AtomicU64,
    /// How long it is, as far as the reader knows.
    known: Option<KnownLength>,
}

impl FileSource {
    /// A stream that begins at an offset. A reader that has asked for the file's length knows that.
    pub fn new(file: Arc<File>, offset: u64, known: Option<KnownLength>) -> Self {
        Self { file, position: AtomicU64::new(offset), known }
    }

    /// Takes a range of at most so many bytes from here, as far as the file reaches, now or as was asked just before; `None`
    /// at its end. Nothing is read.
    pub fn take(&self, most: u64) -> io::Result<Option<(Arc<File>, u64, u64)>> {
        let position = self.position.load(Ordering::Relaxed);
        let known = self.known.filter(|known| known.1.elapsed() < ALIKE);
        let known = known.map_or(0, |known| known.0.saturating_sub(position));
        let left = if most <= known { known } else { self.file.metadata()?.len().saturating_sub(position) };
        let length = left.min(most);
        if left == 0 {
            return Ok(None);
        }
        self.position.store(position + length, Ordering::Relaxed);
        Ok(Some((Arc::clone(&self.file), position, length)))
    }
}

/// The stream itself. A stream is used by one call at a time.
#[derive(Debug)]
pub struct FileStream(pub Arc<FileSource>);

impl InputStream for FileStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let position = self.0.position.load(Ordering::Relaxed);
        let mut bytes = vec![0; size.min(MOST_READ)];
        let read = loop {
            match self.0.file.read_at(&mut bytes, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => Err(StreamError::Closed),
            Ok(read) => {
                bytes.truncate(read);
                self.0.position.store(position + read as u64, Ordering::Relaxed);
                Ok(bytes.into())
            }
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

#[async_trait]
impl Pollable for FileStream {
    /// A file is read when it is asked for, on the thread that asks.
    async fn ready(&mut self) {}
}
