//! SHA-256 digests as registries write them: `sha256:` and 64 hexadecimal digits.

use aws_lc_rs::digest::SHA256;
use std::fmt;

/// The name of the algorithm, before the digits.
const ALGORITHM: &str = "sha256:";

/// The SHA-256 digest of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref());
        Self(digest)
    }

    /// Reads `sha256:` and 64 lower-case digits (OCI image specification, "Digests"); `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(ALGORITHM)?.as_bytes();
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
        }
        Some(Self(digest))
    }

    /// Its 64 digits, without the name of the algorithm.
    pub fn digits(&self) -> String {
        use std::fmt::Write as _;
        let mut digits = String::with_capacity(2 * self.0.len());
        for byte in self.0 {
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::Sha256;
    use proptest::prelude::*;

    /// FIPS 180-4, example "abc".
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn it_is_written_and_read_in_one_way() {
        assert_eq!(Sha256::of(b"abc").to_string(), ABC);
        assert_eq!(Sha256::parse(ABC), Some(Sha256::of(b"abc")));
        for text in ["", "sha256:", &ABC[..70], &ABC.to_uppercase(), &ABC[7..], &format!("{ABC}0")] {
            assert_eq!(Sha256::parse(text), None, "{text}");
        }
        assert_eq!(Sha256::parse(&ABC.replace("sha256", "sha512")), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "sha256:[0-9a-f]{64}") {
            prop_assert_eq!(Sha256::parse(&text).map(|digest| digest.to_string()), Some(text));
        }

        #[test]
        fn anything_can_be_tried(text in "(sha256:)?.{0,70}") {
            let _ = Sha256::parse(&text);
        }
    }
}
