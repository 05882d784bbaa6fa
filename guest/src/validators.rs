//! Validators: the entity tag and the modification date of an opened file (RFC 9110 §8.8).

use crate::encoding::Coding;
use crate::resolve::{Metadata, Timestamp};
use xxhash_rust::xxh3::Xxh3Default;

/// A file changed less than this long ago may change again without its timestamp moving, so its tag is weak until then
/// (RFC 9110 §8.8.1).
const SETTLED_AFTER_SECONDS: u64 = 1;

/// Modification times up to this many seconds after 1970 are no times: reproducible builds (Nix, container images) give
/// every file the time 0 or 1, whatever it holds.
const LATEST_PLACEHOLDER_SECONDS: u64 = 1;

/// The largest file, in bytes, whose content is hashed for a tag where the time says nothing: a few milliseconds' work.
pub const LARGEST_HASHED: u64 = 8 * 1024 * 1024;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether the tag only promises equivalence, not identity byte by byte.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: Vec<u8>,
}

impl EntityTag {
    /// The tag as a field says it. Its opaque part is of this server's making, and so is text.
    pub fn field(&self) -> String {
        let mark = if self.weak { "W/\"" } else { "\"" };
        [mark, &String::from_utf8_lossy(&self.opaque), "\""].concat()
    }

    /// Weak comparison: the opaque parts are equal (RFC 9110 §8.8.3.2).
    pub fn matches_weakly(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// Strong comparison: equal, and neither is weak (RFC 9110 §8.8.3.2).
    pub fn matches_strongly(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
}

/// What identifies one state of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag`, where one can be given.
    pub entity_tag: Option<EntityTag>,
    /// The `Last-Modified` date in whole seconds since 1970, where there is one.
    pub last_modified: Option<u64>,
    /// Whether that date identifies the state byte by byte: when the file was last changed a second or more before the
    /// date of this answer (RFC 9110 §8.8.2.2).
    pub date_is_strong: bool,
}

impl Validators {
    /// The validators of a file whose modification time can be believed; `None` when it cannot, and the content has to
    /// be hashed instead.
    ///
    /// The tag is made of time and length, never of the inode: replicas of a site have to agree on it.
    pub fn from_metadata(metadata: &Metadata, now: Timestamp) -> Option<Self> {
        let modified = metadata.modified.filter(|time| time.seconds > LATEST_PLACEHOLDER_SECONDS)?;
        // Runtimes count nanoseconds since 1970 in 64 bits; a clock beyond that is wrong, and still a clock.
        let nanoseconds =
            modified.seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::from(modified.nanoseconds));
        let settled =
            Timestamp { seconds: modified.seconds.saturating_add(SETTLED_AFTER_SECONDS), ..modified };
        Some(Self {
            entity_tag: Some(EntityTag {
                weak: settled > now,
                opaque: opaque_tag(nanoseconds, metadata.length),
            }),
            // A date later than the answer's own must not be sent (RFC 9110 §8.8.2.1).
            last_modified: Some(modified.seconds.min(now.seconds)),
            date_is_strong: modified.seconds < now.seconds,
        })
    }

    /// The same for a coded form of the file, which is another sequence of bytes (RFC 9110 §8.8.3.3).
    #[must_use]
    pub fn with_coding(mut self, coding: Coding) -> Self {
        if let Some(tag) = &mut self.entity_tag {
            tag.opaque.push(b'-');
            tag.opaque.extend_from_slice(coding.name().as_bytes());
        }
        self
    }
}

/// Both numbers in hexadecimal digits, written one by one: it is done for every request.
fn opaque_tag(nanoseconds: u64, length: u64) -> Vec<u8> {
    let mut tag = Vec::with_capacity(33);
    push_hexadecimal(&mut tag, nanoseconds);
    tag.push(b'-');
    push_hexadecimal(&mut tag, length);
    tag
}

fn push_hexadecimal(tag: &mut Vec<u8>, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        tag.push(b"0123456789abcdef"[(number >> (4 * place) & 0xf) as usize]);
    }
}

/// Makes the validators of a file that is told apart by its content alone, piece by piece.
#[derive(Default)]
pub struct ContentHasher {
    hash: Xxh3Default,
    length: u64,
}

impl ContentHasher {
    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.length += piece.len() as u64;
    }

    /// How many bytes were taken in.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The validators of what was taken in.
    pub fn finish(&self) -> Validators {
        let opaque = format!("{:032x}", self.hash.digest128()).into_bytes();
        Validators { entity_tag: Some(EntityTag { weak: false, opaque }), ..Validators::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentHasher, EntityTag, Validators};
    use crate::encoding::Coding;
    use crate::resolve::{Kind, Metadata, Timestamp};
    use proptest::prelude::*;

    fn file(seconds: u64, nanoseconds: u32, length: u64) -> Metadata {
        Metadata { kind: Kind::File, length, modified: Some(Timestamp { seconds, nanoseconds }) }
    }

    fn at(seconds: u64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    fn tag(metadata: &Metadata, now: Timestamp) -> String {
        Validators::from_metadata(metadata, now).unwrap().entity_tag.unwrap().field()
    }

    #[test]
    fn a_tag_is_the_time_in_nanoseconds_and_the_length() {
        assert_eq!(tag(&file(1_700_000_000, 5, 1000), at(1_800_000_000, 0)), "\"17979cfe362a0005-3e8\"");
    }

    #[test]
    fn a_tag_is_weak_until_a_second_has_passed() {
        let fresh = file(1_700_000_000, 500, 1);
        assert!(tag(&fresh, at(1_700_000_000, 600)).starts_with("W/"));
        assert!(tag(&fresh, at(1_700_000_001, 499)).starts_with("W/"));
        assert!(!tag(&fresh, at(1_700_000_001, 500)).starts_with("W/"));
    }

    #[test]
    fn a_date_in_the_future_is_sent_as_now() {
        let validators = Validators::from_metadata(&file(4_102_444_800, 0, 1), at(1_700_000_000, 0)).unwrap();
        assert_eq!(validators.last_modified, Some(1_700_000_000));
        assert!(validators.entity_tag.unwrap().weak);
    }

    #[test]
    fn placeholder_times_are_not_believed() {
        for seconds in [0, 1] {
            assert_eq!(Validators::from_metadata(&file(seconds, 0, 1), at(1_700_000_000, 0)), None);
        }
        let absent = Metadata { modified: None, ..file(0, 0, 1) };
        assert_eq!(Validators::from_metadata(&absent, at(1_700_000_000, 0)), None);
    }

    #[test]
    fn content_is_told_apart_however_it_comes_in_pieces() {
        let validators = |pieces: &[&[u8]]| {
            let mut hasher = ContentHasher::default();
            for piece in pieces {
                hasher.update(piece);
            }
            hasher.finish()
        };
        assert_eq!(validators(&[b"ab", b"c"]), validators(&[b"a", b"bc"]));
        assert_ne!(validators(&[b"abc"]), validators(&[b"abd"]));
        assert_eq!(validators(&[b"abc"]).last_modified, None);
    }

    #[test]
    fn weak_and_strong_comparison_are_those_of_the_rfc() {
        let tag = |weak, opaque: &str| EntityTag { weak, opaque: opaque.into() };
        // The table of RFC 9110 §8.8.3.2.
        for (a, b, strong, weak) in [
            (tag(true, "1"), tag(true, "1"), false, true),
            (tag(true, "1"), tag(true, "2"), false, false),
            (tag(true, "1"), tag(false, "1"), false, true),
            (tag(false, "1"), tag(false, "1"), true, true),
        ] {
            assert_eq!(a.matches_strongly(&b), strong);
            assert_eq!(a.matches_weakly(&b), weak);
        }
    }

    #[test]
    fn a_date_is_strong_once_its_second_is_over() {
        let is_strong =
            |now| Validators::from_metadata(&file(100, 999_999_999, 1), now).unwrap().date_is_strong;
        assert!(!is_strong(at(100, 999_999_999)));
        assert!(is_strong(at(101, 0)));
        assert!(!is_strong(at(99, 0)));
    }

    #[test]
    fn a_coded_form_has_a_tag_of_its_own() {
        let validators = Validators::from_metadata(&file(1_700_000_000, 0, 5), at(1_800_000_000, 0)).unwrap();
        let coded = validators.with_coding(Coding::Gzip);
        assert_eq!(coded.entity_tag.unwrap().field(), "\"17979cfe362a0000-5-gzip\"");
    }

    proptest! {
        #[test]
        fn no_time_or_length_is_too_odd(seconds: u64, nanoseconds: u32, length: u64, now: u64) {
            if let Some(validators) = Validators::from_metadata(&file(seconds, nanoseconds, length), at(now, 0)) {
                prop_assert!(validators.last_modified.unwrap() <= now);
            }
        }

        #[test]
        fn another_time_or_length_is_another_tag(a in 2..1_u64 << 34, b in 2..1_u64 << 34, length: u64) {
            let now = at(u64::MAX, 0);
            prop_assume!(a != b);
            prop_assert_ne!(tag(&file(a, 0, length), now), tag(&file(b, 0, length), now));
            prop_assert_ne!(tag(&file(a, 0, a), now), tag(&file(a, 0, b), now));
        }
    }
}
