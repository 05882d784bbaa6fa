//! A body that is compressed with gzip (RFC 1952) on its way, without a length that is known before.
//!
//! Threads for blocking work compress it, a [job](JOB_BYTES) at a time, so that those that answer other requests do not wait.
//! Meanwhile, the guest may write ahead as far as its queue goes. So such a body has about a mebibyte in memory, however long it is.

use super::memory::Buffered;
use super::outgoing::{Outgoing, OutgoingEnd, Part, READ_MAX, Source};
use super::{Incomplete, Piece};
use bytes::Buf as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::Write as _;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::thread::available_parallelism;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// The level. For an archive of HTML, 6 (the default of gzip) takes a quarter more time and saves one percent.
const LEVEL: Compression = Compression::new(5);

/// Bytes that are compressed at a time. That takes about a millisecond: it is not cut short when the client leaves, and passing it to
/// another thread takes far less.
const JOB_BYTES: u64 = 128 * 1024;

/// Pieces that are compressed at a time, each of which may be an open file.
const JOB_PIECES: usize = 32;

/// Jobs of all bodies that are under way at a time.
const MAX_AT_A_TIME: usize = 4;

/// The turns of jobs. Half of the processors is left for other requests.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, usize::from);
    Semaphore::new((processors / 2).clamp(1, MAX_AT_A_TIME))
});

/// What compresses a body, and what it has made and not given away.
type Encoder = GzEncoder<Vec<u8>>;

/// What a job gives: the encoder, unless this was the last job, and bytes.
type Outcome = Result<(Option<Encoder>, Vec<u8>), Incomplete>;

/// A compressed body.
pub struct Gzip {
    body: Outgoing,
    state: State,
    /// The pieces of the next job, and how many bytes they have.
    pieces: Vec<Piece>,
    gathered: u64,
    /// The right to send it.
    _permit: Arc<OwnedSemaphorePermit>,
}

enum State {
    Gathering(Box<Encoder>),
    Compressing(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    /// All was given away, or an error.
    Over,
}

impl Gzip {
    /// Compresses a body, and keeps the right to send it for as long.
    pub fn new(body: Outgoing, permit: Arc<OwnedSemaphorePermit>) -> Self {
        let encoder = Box::new(GzEncoder::new(Vec::new(), LEVEL));
        Self { body, state: State::Gathering(encoder), pieces: Vec::new(), gathered: 0, _permit: permit }
    }

    /// Takes pieces until there are enough for a job, or no more for now. Gives whether that was the last piece.
    fn poll_gather(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Incomplete>> {
        while self.gathered < JOB_BYTES && self.pieces.len() < JOB_PIECES {
            match self.body.poll_part(context, JOB_BYTES - self.gathered) {
                Poll::Ready(Some(Ok(Part::Piece(piece)))) => {
                    self.gathered += piece.len();
                    self.pieces.push(piece);
                }
                // There is no place for them: the length of the body is not known before either.
                Poll::Ready(Some(Ok(Part::Trailers(_)))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(true)),
                Poll::Pending if self.pieces.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(false))
    }

    fn poll_compressed(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Incomplete>>> {
        loop {
            match mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Gathering(encoder) => match self.poll_gather(context) {
                    Poll::Pending => {
                        self.state = State::Gathering(encoder);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Ok(is_last)) => {
                        self.gathered = 0;
                        let pieces = mem::take(&mut self.pieces);
                        self.state = State::Compressing(Box::pin(run(*encoder, pieces, is_last)));
                    }
                },
                State::Compressing(mut job) => match job.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Compressing(job);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Ok((encoder, bytes))) => {
                        if let Some(encoder) = encoder {
                            self.state = State::Gathering(Box::new(encoder));
                        }
                        if !bytes.is_empty() {
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                    }
                },
            }
        }
    }
}

/// Has a thread do a job, once it is its turn.
async fn run(encoder: Encoder, pieces: Vec<Piece>, is_last: bool) -> Outcome {
    // The semaphore is never closed.
    let turn = TURNS.acquire().await;
    let job = spawn_blocking(move || {
        // Kept by a job that nobody waits for any more.
        let _turn = turn;
        compress(encoder, pieces, is_last)
    });
    job.await.unwrap_or(Err(Incomplete::Compression))
}

fn compress(mut encoder: Encoder, pieces: Vec<Piece>, is_last: bool) -> Outcome {
    // What is written to memory does not fail.
    let failed = |_| Incomplete::Compression;
    for mut piece in pieces {
        while !piece.is_empty() {
            encoder.write_all(piece.take(READ_MAX)?.chunk()).map_err(failed)?;
        }
    }
    if is_last {
        return Ok((None, encoder.finish().map_err(failed)?));
    }
    let bytes = mem::take(encoder.get_mut());
    Ok((Some(encoder), bytes))
}

impl Source for Gzip {
    fn poll_part(
        &mut self,
        context: &mut Context<'_>,
        _file_max: u64,
    ) -> Poll<Option<Result<Part, Incomplete>>> {
        let compressed = ready!(self.poll_compressed(context));
        Poll::Ready(compressed.map(|bytes| Ok(Part::Piece(Piece::Bytes(Buffered::counted(bytes?.into()))))))
    }

    fn left(&self) -> Option<u64> {
        matches!(self.state, State::Over).then_some(0)
    }

    fn end_handle(&self) -> Option<OutgoingEnd> {
        Some(self.body.end_handle())
    }

    fn has_instance(&self) -> bool {
        self.body.has_instance()
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip").field("body", &self.body).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BodyWriter, FileRange, body};
    use super::{Gzip, JOB_BYTES, JOB_PIECES};
    use crate::body::{Incomplete, Outgoing};
    use bytes::Bytes;
    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use std::io::{self, Read as _, Write as _};
    use std::sync::Arc;
    use tokio::sync::{OwnedSemaphorePermit, Semaphore};

    /// A body that is to be compressed, and what came of it: the compressed bytes, and the error at its end.
    async fn compressed(
        length: Option<u64>,
        write: impl AsyncFnOnce(BodyWriter),
    ) -> (Vec<u8>, Result<(), Incomplete>) {
        let (writer, outgoing) = body(length);
        let mut compressed = Outgoing::of(Box::new(Gzip::new(outgoing, permit())));
        let read = async {
            let mut bytes = Vec::new();
            while let Some(frame) = compressed.frame().await {
                match frame {
                    Ok(frame) => bytes.extend(frame.into_data().unwrap()),
                    Err(error) => return (bytes, Err(error)),
                }
            }
            (bytes, Ok(()))
        };
        tokio::join!(read, write(writer)).0
    }

    fn permit() -> Arc<OwnedSemaphorePermit> {
        Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut content).map(|_| content)
    }

    fn file(content: &[u8]) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRange { file: Arc::new(file), offset: 0, length: content.len() as u64 }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_compressed_is_what_was_written(
            pieces in proptest::collection::vec((any::<bool>(), 1..3 * JOB_BYTES, any::<u64>()), 0..JOB_PIECES * 2)
        ) {
            let contents: Vec<Vec<u8>> = pieces.iter().map(|&(is_file, length, seed)| {
                let length = if is_file { length } else { length.min(4096) };
                (0..length).map(|at| at.wrapping_mul(seed).to_le_bytes()[1]).collect()
            }).collect();
            let expected = contents.concat();
            let write = async |mut writer: BodyWriter| {
                let stream = writer.take_stream().unwrap();
                for (content, (is_file, ..)) in contents.iter().zip(&pieces) {
                    stream.ready().await;
                    if *is_file {
                        stream.write_file(file(content)).unwrap();
                    } else {
                        stream.write(Bytes::copy_from_slice(content)).unwrap();
                    }
                }
                writer.finish(None).unwrap();
            };
            let (bytes, outcome) = runtime().block_on(compressed(Some(expected.len() as u64), write));
            prop_assert_eq!(outcome, Ok(()));
            prop_assert!(decoded(&bytes).unwrap() == expected);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_complete_has_no_end() {
        let (bytes, outcome) = compressed(None, async |mut writer| {
            writer.take_stream().unwrap().write_file(file(&vec![b'x'; 1 << 20])).unwrap();
        })
        .await;
        assert_eq!(outcome, Err(Incomplete::Guest));
        assert!(decoded(&bytes).is_err());

        let (bytes, outcome) = compressed(None, async |mut writer| {
            let range = FileRange { length: 2 << 20, ..file(&vec![b'x'; 1 << 20]) };
            writer.take_stream().unwrap().write_file(range).unwrap();
            writer.finish(None).unwrap();
        })
        .await;
        assert_eq!(outcome, Err(Incomplete::Shrunk));
        assert!(decoded(&bytes).is_err());
    }

    #[tokio::test]
    async fn nothing_is_compressed_that_no_client_takes() {
        let (mut writer, outgoing) = body(None);
        let stream = writer.take_stream().unwrap();
        let mut compressed = Outgoing::of(Box::new(Gzip::new(outgoing, permit())));
        let content = file(&vec![b'x'; 1 << 20]);
        let mut written = 0;
        while stream.room().unwrap() > 0 {
            stream.write_file(content.clone()).unwrap();
            written += 1;
        }
        assert!(compressed.frame().await.unwrap().is_ok());
        while stream.room().unwrap() > 0 {
            stream.write_file(content.clone()).unwrap();
            written += 1;
        }
        assert!(written < 40, "{written} MiB were taken");
        drop(compressed);
        assert!(stream.room().is_err(), "the client has left");
    }
}
