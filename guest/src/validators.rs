//! Validators: the entity tag and the modification date of an opened file (RFC 9110 §8.8).

use crate::config::TagSource;
use crate::encoding::Coding;
use crate::tree::{Metadata, Timestamp};
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_128;

/// A file changed less than this long ago may change again without its timestamp moving, so its tag is weak until then
/// (RFC 9110 §8.8.1).
const SETTLED_AFTER_SECONDS: u64 = 1;

/// Modification times before 1990 are placeholders, which reproducible builds and archives give to every file: 0 and 1
/// (Nix, container images), 1980-01-01 (zip), 1985-10-26 (npm).
const EARLIEST_CREDIBLE_SECONDS: u64 = 631_152_000;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether the tag only promises equivalence, not identity byte by byte.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: Cow<'a, [u8]>,
}

impl EntityTag<'_> {
    /// The tag of a text that the server has written: a hash of it.
    pub fn of(text: &[u8]) -> Self {
        Self { weak: false, opaque: format!("{:032x}", xxh3_128(text)).into_bytes().into() }
    }

    /// The tag as it stands in a field. Its opaque part was made by this server, and is text.
    pub fn field(&self) -> String {
        let mut field = String::with_capacity(self.opaque.len() + 4);
        field.push_str(if self.weak { "W/\"" } else { "\"" });
        field.push_str(str::from_utf8(&self.opaque).unwrap_or_default());
        field.push('"');
        field
    }

    /// Weak comparison: the opaque parts are equal (RFC 9110 §8.8.3.2).
    pub fn matches_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Strong comparison: equal, and neither is weak (RFC 9110 §8.8.3.2).
    pub fn matches_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
}

/// What identifies one state of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag`, where one can be given.
    pub entity_tag: Option<EntityTag<'static>>,
    /// The `Last-Modified` date in whole seconds since 1970, where there is one.
    pub last_modified: Option<u64>,
    /// Whether that date identifies the state byte by byte: the file was modified a second or more before the date of this
    /// answer (RFC 9110 §8.8.2.2), and no tool has set the time.
    pub date_is_strong: bool,
}

impl Validators {
    /// The validators of a file at the time of the answer.
    ///
    /// The tag is made of times and the length, not of the inode, on which replicas of a site never agree. A modification
    /// time of whole seconds was set by a tool (tar, zip, rsync, a reproducible build), and tools give the same time to
    /// different content. So the time of the last change, which only the kernel sets, is added to it.
    pub fn new(metadata: &Metadata, source: TagSource, now: Timestamp) -> Self {
        let modified = metadata.modified.filter(|time| time.seconds >= EARLIEST_CREDIBLE_SECONDS);
        let is_exact =
            modified.is_some_and(|time| time.nanoseconds != 0 || source == TagSource::Modification);
        let changed = metadata.changed.filter(|_| !is_exact);
        let settled = |time: Timestamp| {
            Timestamp { seconds: time.seconds.saturating_add(SETTLED_AFTER_SECONDS), ..time } <= now
        };
        let is_known = is_exact || changed.is_some();
        let is_settled = modified.is_none_or(settled) && changed.is_none_or(settled);
        let entity_tag = (modified.is_some() || changed.is_some()).then(|| EntityTag {
            weak: !(is_known && is_settled),
            opaque: opaque_tag(modified, metadata.length, changed).into(),
        });
        Self {
            entity_tag,
            // A date later than the answer's own must not be sent (RFC 9110 §8.8.2.1).
            last_modified: modified.map(|time| time.seconds.min(now.seconds)),
            date_is_strong: is_exact && modified.is_some_and(|time| time.seconds < now.seconds),
        }
    }

    /// The same for a coded form of the file, which is another sequence of bytes (RFC 9110 §8.8.3.3).
    #[must_use]
    pub fn with_coding(mut self, coding: Coding) -> Self {
        if let Some(tag) = &mut self.entity_tag {
            let opaque = tag.opaque.to_mut();
            opaque.push(b'-');
            opaque.extend_from_slice(coding.name().as_bytes());
        }
        self
    }
}

/// Modification time, length and time of change in hexadecimal digits. They are written by hand because the formatting
/// machinery would cost more than all else about validators.
fn opaque_tag(modified: Option<Timestamp>, length: u64, changed: Option<Timestamp>) -> Vec<u8> {
    // Runtimes count nanoseconds since 1970 in 64 bits; a later time wraps around and still makes a tag.
    let nanoseconds =
        |time: Timestamp| time.seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::from(time.nanoseconds));
    let mut tag = Vec::with_capacity(50);
    push_hexadecimal(&mut tag, modified.map_or(0, nanoseconds));
    tag.push(b'-');
    push_hexadecimal(&mut tag, length);
    if let Some(changed) = changed {
        tag.push(b'-');
        push_hexadecimal(&mut tag, nanoseconds(changed));
    }
    tag
}

fn push_hexadecimal(tag: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 16];
    for (digit, place) in digits.iter_mut().zip((0..16).rev()) {
        *digit = b"0123456789abcdef"[(number >> (4 * place) & 0xf) as usize];
    }
    let zeros = (number.leading_zeros() / 4).min(15) as usize;
    tag.extend_from_slice(&digits[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::{EntityTag, Validators};
    use crate::config::TagSource;
    use crate::encoding::Coding;
    use crate::tree::{Kind, Metadata, Timestamp};
    use proptest::prelude::*;

    fn file(seconds: u64, nanoseconds: u32, length: u64) -> Metadata {
        let modified = Some(Timestamp { seconds, nanoseconds });
        Metadata { kind: Kind::File, length, modified, changed: None }
    }

    fn changed(seconds: u64, metadata: Metadata) -> Metadata {
        Metadata { changed: Some(at(seconds, 7)), ..metadata }
    }

    fn at(seconds: u64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    fn validators(metadata: &Metadata, now: Timestamp) -> Validators {
        Validators::new(metadata, TagSource::Auto, now)
    }

    fn tag(metadata: &Metadata, now: Timestamp) -> String {
        validators(metadata, now).entity_tag.unwrap().field()
    }

    const LATER: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

    #[test]
    fn a_tag_is_the_time_in_nanoseconds_and_the_length() {
        assert_eq!(tag(&file(1_700_000_000, 5, 1000), LATER), "\"17979cfe362a0005-3e8\"");
        let touched = changed(1_750_000_000, file(1_700_000_000, 5, 1000));
        assert_eq!(tag(&touched, LATER), "\"17979cfe362a0005-3e8\"");
    }

    #[test]
    fn a_time_of_whole_seconds_does_not_tell_contents_apart() {
        let set_by_a_tool = |at| changed(at, file(1_700_000_000, 0, 5));
        assert_eq!(tag(&set_by_a_tool(1_750_000_000), LATER), "\"17979cfe362a0000-5-18493fba64ef0007\"");
        assert_ne!(tag(&set_by_a_tool(1_750_000_000), LATER), tag(&set_by_a_tool(1_750_000_001), LATER));
        assert!(tag(&set_by_a_tool(1_800_000_000), LATER).starts_with("W/"), "it changed a moment ago");
        assert_eq!(
            tag(&file(1_700_000_000, 0, 5), LATER),
            "W/\"17979cfe362a0000-5\"",
            "no other time is known"
        );
        let trusted = Validators::new(&set_by_a_tool(1_750_000_000), TagSource::Modification, LATER);
        assert_eq!(trusted.entity_tag.unwrap().field(), "\"17979cfe362a0000-5\"");
    }

    #[test]
    fn placeholder_times_are_not_believed() {
        for seconds in [0, 1, 315_532_800, 499_162_500] {
            let metadata = file(seconds, 0, 5);
            assert_eq!(validators(&metadata, LATER), Validators::default(), "no other time is known");
            let validators = validators(&changed(1_750_000_000, metadata), LATER);
            assert_eq!(validators.last_modified, None);
            assert_eq!(validators.entity_tag.unwrap().field(), "\"0-5-18493fba64ef0007\"");
        }
        let absent = Metadata { modified: None, ..file(0, 0, 1) };
        assert_eq!(validators(&absent, LATER), Validators::default());
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
        let validators = validators(&file(4_102_444_800, 0, 1), at(1_700_000_000, 0));
        assert_eq!(validators.last_modified, Some(1_700_000_000));
        assert!(validators.entity_tag.unwrap().weak);
    }

    #[test]
    fn weak_and_strong_comparison_are_those_of_the_rfc() {
        let tag = |weak, opaque: &str| EntityTag { weak, opaque: opaque.as_bytes().to_vec().into() };
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
        let is_strong = |now| validators(&file(700_000_000, 999_999_999, 1), now).date_is_strong;
        assert!(!is_strong(at(700_000_000, 999_999_999)));
        assert!(is_strong(at(700_000_001, 0)));
        assert!(!is_strong(at(699_999_999, 0)));
    }

    #[test]
    fn a_coded_form_has_a_tag_of_its_own() {
        let coded = validators(&file(1_700_000_000, 1, 5), LATER).with_coding(Coding::Gzip);
        assert_eq!(coded.entity_tag.unwrap().field(), "\"17979cfe362a0001-5-gzip\"");
    }

    proptest! {
        #[test]
        fn no_time_or_length_is_too_odd(seconds: u64, nanoseconds: u32, length: u64, now: u64) {
            let validators = validators(&file(seconds, nanoseconds, length), at(now, 0));
            prop_assert!(validators.last_modified.is_none_or(|date| date <= now));
        }

        #[test]
        fn another_time_or_length_is_another_tag(a in 1_u64 << 30..1 << 34, b in 1_u64 << 30..1 << 34, length: u64) {
            let now = at(u64::MAX, 0);
            prop_assume!(a != b);
            prop_assert_ne!(tag(&file(a, 1, length), now), tag(&file(b, 1, length), now));
            prop_assert_ne!(tag(&file(a, 1, a), now), tag(&file(a, 1, b), now));
        }
    }
}
