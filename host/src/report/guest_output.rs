//! What guests print while they serve: line by line to standard error, marked as theirs, and bounded.

use super::stderr::guest_line;
use super::tag::Tag;
use super::text::printable;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that a guest may print at once.
const WRITE_MAX: usize = 64 * 1024;

/// Bytes after which a line is broken.
const MAX_LINE: usize = 4 * 1024;

/// One of the two output streams of one instance.
#[derive(Clone, Debug)]
pub struct GuestOutput(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    name: &'static str,
    /// The request that it answers.
    tag: Option<Tag>,
    /// The line that has begun.
    line: Vec<u8>,
    /// Bytes that each request may print.
    most: usize,
    /// Bytes that this request may still print.
    left: usize,
    /// Whether it was said that there is more.
    is_cut: bool,
}

impl GuestOutput {
    /// A stream whose lines begin with `name` and with the tag of the request, which may print so many bytes.
    pub fn new(name: &'static str, most: usize, tag: Option<Tag>) -> Self {
        Self(Arc::new(Mutex::new(Lines { name, tag, line: Vec::new(), most, left: most, is_cut: false })))
    }

    /// What is printed from now on belongs to this request.
    pub fn begin_request(&self, tag: Tag) {
        self.lock().tag = Some(tag);
    }

    /// Ends the line that has begun, and with it what belongs to this request.
    pub fn end_request(&self) {
        let mut lines = self.lock();
        if !lines.line.is_empty() {
            lines.end_line();
        }
        (lines.left, lines.is_cut) = (lines.most, false);
        lines.tag = None;
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn print(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.left == 0 {
                self.cut();
                return;
            }
            self.left -= 1;
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
                if self.line.len() >= MAX_LINE {
                    self.end_line();
                }
            }
        }
    }

    /// Says once that there is more.
    fn cut(&mut self) {
        if !std::mem::replace(&mut self.is_cut, true) {
            if !self.line.is_empty() {
                self.end_line();
            }
            let cut = format!("(more than {} KiB: the rest is not shown)", self.most / 1024);
            self.line.extend_from_slice(cut.as_bytes());
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let (name, text) = (self.name, printable(&self.line));
        guest_line(&match &self.tag {
            Some(tag) => format!("{name} {tag}: {text}"),
            None => format!("{name}: {text}"),
        });
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lock().print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.lock().print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
