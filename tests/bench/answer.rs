//! Parses answers as they arrive, and discards their bodies.

use std::borrow::Cow;
use std::io::{Error, ErrorKind};

/// Parses one answer after another.
#[derive(Debug, Default)]
pub struct Parser {
    /// The received bytes of an incomplete head, or of a chunked body.
    bytes: Vec<u8>,
    /// The status, once the head is complete, and the rest of the body.
    body: Option<(u16, Body)>,
}

#[derive(Debug)]
enum Body {
    Left(u64),
    Chunked,
}

impl Parser {
    /// Whether no byte of the next answer has been received.
    pub fn is_between(&self) -> bool {
        self.bytes.is_empty() && self.body.is_none()
    }

    /// Takes received bytes, and returns the status of the answer that they complete. No byte may follow it before the
    /// next request.
    pub fn read(&mut self, bytes: &[u8]) -> std::io::Result<Option<u16>> {
        let mut bytes = Cow::Borrowed(bytes);
        if self.body.is_none() {
            self.bytes.extend_from_slice(&bytes);
            let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(None);
            };
            self.body = Some(head(&String::from_utf8_lossy(&self.bytes[..end]))?);
            bytes = Cow::Owned(self.bytes.split_off(end + 4));
            self.bytes.clear();
        }
        let complete = match &mut self.body {
            None => false,
            Some((_, Body::Left(left))) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(ErrorKind::InvalidData)?;
                *left == 0
            }
            Some((_, Body::Chunked)) => {
                self.bytes.extend_from_slice(&bytes);
                are_all_chunks(&self.bytes)?
            }
        };
        if !complete {
            return Ok(None);
        }
        self.bytes.clear();
        Ok(self.body.take().map(|(status, _)| status))
    }
}

fn head(head: &str) -> std::io::Result<(u16, Body)> {
    let invalid = || Error::new(ErrorKind::InvalidData, head.to_owned());
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(invalid)?;
    let (mut length, mut is_chunked) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<u64>().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = true;
        }
    }
    let body = match (status, length) {
        (304, _) => Body::Left(0),
        _ if is_chunked => Body::Chunked,
        (_, Some(length)) => Body::Left(length),
        _ => return Err(invalid()),
    };
    Ok((status, body))
}

/// Whether this is a complete chunked body, without trailers.
fn are_all_chunks(mut bytes: &[u8]) -> std::io::Result<bool> {
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(false) };
        let size =
            std::str::from_utf8(&bytes[..end]).ok().and_then(|line| usize::from_str_radix(line, 16).ok());
        let size = size.ok_or(ErrorKind::InvalidData)?;
        let Some(next) = bytes.get(end + 2 + size + 2..) else { return Ok(false) };
        if size == 0 {
            return Ok(true);
        }
        bytes = next;
    }
}
