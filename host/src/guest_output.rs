//! What guests print: line by line to the host's standard error, marked as theirs, and never more than so much.

use bytes::Bytes;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// What one request may print to one stream, in bytes. A guest that prints without end must not fill a disk.
const LIMIT: usize = 64 * 1024;

/// The longest line, in bytes; what is longer is broken.
const LONGEST_LINE: usize = 4 * 1024;

/// One of the two output streams of one instance.
#[derive(Clone, Debug)]
pub struct GuestOutput(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    prefix: &'static str,
    line: Vec<u8>,
    /// Bytes that may still be printed.
    room: usize,
    is_cut: bool,
}

impl GuestOutput {
    /// A stream whose lines begin with `prefix`.
    pub fn new(prefix: &'static str) -> Self {
        Self(Arc::new(Mutex::new(State { prefix, line: Vec::new(), room: LIMIT, is_cut: false })))
    }

    /// What is printed from now on belongs to another request.
    pub fn end_request(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.line.is_empty() {
            state.end_line();
        }
        (state.room, state.is_cut) = (LIMIT, false);
    }

    fn print(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).print(bytes);
    }
}

impl State {
    fn print(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.room == 0 {
                self.cut();
                return;
            }
            self.room -= 1;
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
                if self.line.len() >= LONGEST_LINE {
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
            self.line.extend_from_slice(b"(more than 64 KiB: the rest is not shown)");
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let mut text = self.prefix.to_owned();
        text.push_str(&printable(&self.line));
        text.push('\n');
        self.line.clear();
        // There is nowhere left to report that standard error is gone.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

/// Text that cannot move a terminal's cursor, forge a line, or read otherwise than it is: control characters, and those
/// that turn the direction of writing, are shown as `\u{1b}` and the like.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let line = String::from_utf8_lossy(bytes);
    // Some write the end of a line as two characters.
    for character in line.strip_suffix('\r').unwrap_or(&line).chars() {
        match character {
            '\t' => text.push('\t'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.extend(character.escape_unicode());
            }
            character if character.is_control() => text.extend(character.escape_default()),
            character => text.push(character),
        }
    }
    text
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
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LIMIT)
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_guest_cannot_speak_to_the_terminal() {
        assert_eq!(printable(b"plain\ttext\r"), "plain\ttext");
        assert_eq!(printable(b"\x1b[2Jgone"), "\\u{1b}[2Jgone");
        assert_eq!(printable(b"one\rother"), "one\\rother");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
