//! Content codings, encoded: what [`precompress`](mod@crate::precompress) writes beside files, and what
//! [sidecars](crate::wasi::sidecars) are made of while the server runs.

mod version;

pub use version::FileVersion;

use brotli::enc::BrotliEncoderParams;
use clap::ValueEnum;
use flate2::Compression;
use guest::encoding::Coding;
use std::io::{self, Read, Write};

/// How much time an encoder takes for a smaller result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Effort {
    /// Some percent larger than the best, in a hundredth of the time
    Fast,
    /// As small as it gets
    #[default]
    Best,
}

impl Effort {
    /// The level of a coding, as its encoder counts. Zstandard stays below the levels whose windows are larger than the 8 MiB
    /// that clients of HTTP have to support (RFC 9659).
    fn level(self, coding: Coding) -> u8 {
        match (self, coding) {
            (Self::Fast, Coding::Brotli) => 5,
            (Self::Fast, Coding::Zstandard | Coding::Gzip) => 6,
            (Self::Best, Coding::Brotli) => 11,
            (Self::Best, Coding::Zstandard) => 19,
            (Self::Best, Coding::Gzip) => 9,
        }
    }
}

/// The window of Brotli, as the exponent of its bytes: 4 MiB, which every client supports.
const BROTLI_WINDOW: i32 = 22;

/// Bytes that Brotli's encoder reads at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A result has fewer bytes than its file by at least one in so many, which is 5 %: less is not worth a file, a validator of its
/// own and the client's time.
const MIN_GAIN: u64 = 20;

/// Files of fewer bytes stay as they are: with the head of their answer, they fill one packet at most.
pub const MIN_SIZE: u64 = 1024;

/// Encodes `size` bytes. The result depends on nothing but them, so that replicas of a site agree on its length.
///
/// # Errors
/// Those of reading and writing, and `size` being wrong.
pub fn encode(
    coding: Coding,
    effort: Effort,
    size: u64,
    mut from: impl Read,
    mut to: impl Write,
) -> io::Result<()> {
    let level = effort.level(coding);
    match coding {
        Coding::Brotli => {
            let params = BrotliEncoderParams {
                quality: level.into(),
                lgwin: BROTLI_WINDOW,
                size_hint: usize::try_from(size).unwrap_or(usize::MAX),
                ..BrotliEncoderParams::default()
            };
            // The encoder that writes would not tell when its last write fails.
            io::copy(&mut brotli::CompressorReader::with_params(from, BUFFER_BYTES, &params), &mut to)?;
        }
        Coding::Zstandard => {
            let mut encoder = zstd::stream::write::Encoder::new(&mut to, level.into())?;
            encoder.set_pledged_src_size(Some(size))?;
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?;
        }
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut to, Compression::new(level.into()));
            io::copy(&mut from, &mut encoder)?;
            encoder.finish()?;
        }
    }
    to.flush()
}

/// Whether a result of `coded` bytes may stand for a file of `size` bytes.
pub fn is_worthwhile(size: u64, coded: u64) -> bool {
    coded <= largest_worthwhile(size)
}

/// The bytes of the largest result that may stand for a file of `size` bytes.
pub fn largest_worthwhile(size: u64) -> u64 {
    size - size.div_ceil(MIN_GAIN)
}

#[cfg(test)]
mod tests {
    use super::{Effort, encode, is_worthwhile};
    use guest::encoding::Coding;
    use proptest::prelude::*;
    use std::io::{self, Read as _, Write};

    fn decode(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        match coding {
            Coding::Brotli => _ = brotli::Decompressor::new(coded, 4096).read_to_end(&mut content).unwrap(),
            Coding::Zstandard => content = zstd::stream::decode_all(coded).unwrap(),
            Coding::Gzip => _ = flate2::read::GzDecoder::new(coded).read_to_end(&mut content).unwrap(),
        }
        content
    }

    fn encoded(coding: Coding, effort: Effort, content: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        encode(coding, effort, content.len() as u64, content, &mut coded).unwrap();
        coded
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(part in prop::collection::vec(any::<u8>(), 0..64), times in 0_usize..200) {
            let content = part.repeat(times);
            for coding in Coding::ALL {
                for effort in [Effort::Fast, Effort::Best] {
                    let coded = encoded(coding, effort, &content);
                    prop_assert_eq!(decode(coding, &coded), &content[..]);
                    prop_assert_eq!(encoded(coding, effort, &content), coded, "it depends on nothing else");
                }
            }
        }

        #[test]
        fn what_is_worthwhile_is_smaller(size: u64, coded: u64) {
            if is_worthwhile(size, coded) {
                prop_assert!(coded < size || size == 0);
                prop_assert!(u128::from(coded) * 100 <= u128::from(size) * 95);
            }
        }
    }

    /// Takes this many bytes and fails then.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_failure_of_a_write_is_lost() {
        let content = "content of some length, ".repeat(40).into_bytes();
        for coding in Coding::ALL {
            let length = encoded(coding, Effort::Fast, &content).len();
            for room in 0..=length {
                let outcome = encode(coding, Effort::Fast, content.len() as u64, &content[..], Full(room));
                assert_eq!(outcome.is_ok(), room == length, "{coding:?}: {room} of {length} bytes");
            }
        }
    }
}
