//! The number of a request, by which its lines in the access log, of its guest and of its failure are found.

use super::text::hex_digit;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// The longest id that is taken from a proxy, in bytes.
const MAX_GIVEN: usize = 64;

/// The id of a request: 16 hexadecimal digits, which no other request of this process has, or what a proxy has sent.
///
/// Only a counter moves for each request. The digits are made from it when something prints them.
#[derive(Clone, Debug)]
pub struct RequestId {
    number: u64,
    given: Option<Arc<str>>,
}

impl RequestId {
    /// The id of another request.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self { number: NUMBER.fetch_add(1, Ordering::Relaxed), given: None }
    }

    /// The id that a proxy has sent: up to 64 letters, digits, `.`, `_` and `-`. `None` for anything else.
    pub fn given(text: &[u8]) -> Option<Self> {
        let is_one = (1..=MAX_GIVEN).contains(&text.len())
            && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let text = std::str::from_utf8(text).ok().filter(|_| is_one)?;
        Some(Self { number: 0, given: Some(text.into()) })
    }

    /// Appends it to a line.
    pub fn append(&self, line: &mut Vec<u8>) {
        match &self.given {
            Some(text) => line.extend_from_slice(text.as_bytes()),
            None => line.extend_from_slice(&digits(scramble(self.number, &SECRET))),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(text) => f.write_str(text),
            None => write!(f, "{:016x}", scramble(self.number, &SECRET)),
        }
    }
}

/// What the ids of this process depend on. Without randomness from the kernel they would be those of another process, which
/// is no reason to fail.
static SECRET: LazyLock<[u64; 3]> = LazyLock::new(|| {
    let mut bytes = [0; 24];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let (words, _) = bytes.as_chunks();
    std::array::from_fn(|at| u64::from_ne_bytes(words[at]))
});

/// A permutation of the numbers: no two have the same id. With one secret only, the id of a request would give away the next
/// one, because [`mix`] can be undone.
fn scramble(number: u64, [before, between, after]: &[u64; 3]) -> u64 {
    mix(mix(number ^ before) ^ between) ^ after
}

/// A round of the finalizer of `MurmurHash3`, with the constants of David Stafford's variant 13.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn digits(number: u64) -> [u8; 16] {
    std::array::from_fn(|at| {
        let [.., value] = (number >> (60 - 4 * at)).to_be_bytes();
        hex_digit(value & 15)
    })
}

#[cfg(test)]
mod tests {
    use super::{RequestId, digits, scramble};
    use proptest::prelude::{any, proptest};
    use std::collections::HashSet;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids: HashSet<_> = (0..10_000).map(|_| RequestId::next().to_string()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }

    #[test]
    fn what_a_proxy_sends_is_taken_if_it_is_short_and_plain() {
        for text in ["a", "f47ac10b-58cc-4372-a567-0e02b2c3d479", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(RequestId::given(text.as_bytes()).unwrap().to_string(), text);
        }
        for text in ["", " a", "a b", "a]", "a\"", "\u{e9}", "a/b", &"x".repeat(65)] {
            assert!(RequestId::given(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn neighbours_have_different_ids(number in any::<u64>(), secret in any::<[u64; 3]>()) {
            let ids: HashSet<_> = (0..100).map(|more| scramble(number.wrapping_add(more), &secret)).collect();
            assert_eq!(ids.len(), 100);
        }

        #[test]
        fn digits_are_those_that_fmt_writes(number in any::<u64>()) {
            assert_eq!(digits(number).as_slice(), format!("{number:016x}").as_bytes());
        }

        #[test]
        fn an_id_is_appended_as_it_is_shown(given in "[A-Za-z0-9._-]{1,64}") {
            for id in [RequestId::next(), RequestId::given(given.as_bytes()).unwrap()] {
                let mut line = Vec::new();
                id.append(&mut line);
                assert_eq!(line, id.to_string().into_bytes());
            }
        }
    }
}
