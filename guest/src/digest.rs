//! Digests of a representation (RFC 9530): which one a client wants, and what a sidecar says of a file.
//!
//! Nothing is computed here: a digest is sent if a file beside the one that is sent has it, for the very version that is sent. On our
//! host, such a file may be in memory only.

use crate::request::{Headers, Name};
use crate::split;
use crate::tree::{Metadata, Timestamp};

/// What the name of a sidecar has after the name of the file that it is about.
pub const SUFFIX: &str = ".digest";

/// The longest sidecar, in bytes: twice what one with both digests has.
pub const MAX_BYTES: usize = 512;

/// An algorithm of the registry that RFC 9530 §5 begins. Those that are insecure are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the one that is used among equals first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its key in `Repr-Digest` and `Want-Repr-Digest`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    /// How long a digest is in base64.
    fn length(self) -> usize {
        match self {
            Self::Sha256 => 44,
            Self::Sha512 => 88,
        }
    }
}

/// The highest preference (RFC 9530 §4).
const MAX_PREFERENCE: u8 = 10;

/// The algorithms that a client wants, the best first. Without the field, there are none.
///
/// A member is `KEY=PREFERENCE`, and one that comes twice counts as it came last (RFC 9651 §4.2.2). A field with anything else, be it
/// valid or not, is ignored: no client sends parameters, and to send no digest is always right.
pub fn wanted(headers: &Headers) -> Vec<Algorithm> {
    let mut preferences = [0; Algorithm::ALL.len()];
    for line in headers.values(Name::WantReprDigest) {
        let Ok(line) = str::from_utf8(line) else { return Vec::new() };
        for member in split::pieces(line, b',') {
            let Some((key, preference)) = member_of(member.trim_matches([' ', '\t'])) else {
                return Vec::new();
            };
            if let Some(at) = Algorithm::ALL.iter().position(|algorithm| algorithm.key() == key) {
                preferences[at] = preference;
            }
        }
    }
    let [sha256, sha512] = preferences;
    let mut wanted = Algorithm::ALL.to_vec();
    if sha512 > sha256 {
        wanted.reverse();
    }
    wanted.retain(|&algorithm| preferences[algorithm as usize] > 0);
    wanted
}

/// The key and the preference of a member.
fn member_of(text: &str) -> Option<(&str, u8)> {
    let (key, value) = split::once(text, b'=')?;
    let mut bytes = key.bytes();
    let is_key = bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'*')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte));
    let is_number = matches!(value.len(), 1..=2) && value.bytes().all(|byte| byte.is_ascii_digit());
    let preference = value.parse().ok().filter(|&preference| is_number && preference <= MAX_PREFERENCE)?;
    is_key.then_some((key, preference))
}

/// The value of `Repr-Digest` for a file with this metadata, by its sidecar: the first of these algorithms that it has. There is none
/// where the sidecar is about another version of the file, or is no sidecar.
///
/// Its lines are `size=BYTES`, `modified=SECONDS.NANOSECONDS` since 1970, and a member of `Repr-Digest` for each algorithm. The
/// digests are not computed again: a sidecar is as credible as its file.
pub fn of_sidecar(sidecar: &[u8], file: &Metadata, algorithms: &[Algorithm]) -> Option<String> {
    let text = str::from_utf8(sidecar).ok().filter(|text| text.len() <= MAX_BYTES)?;
    let value = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')))
    };
    if value("size")?.parse() != Ok(file.length) || parse_time(value("modified")?) != file.modified {
        return None;
    }
    algorithms.iter().find_map(|&algorithm| {
        let digest = value(algorithm.key())?;
        let base64 = digest.strip_prefix(':').and_then(|rest| rest.strip_suffix(':'))?;
        let is_base64 = base64.len() == algorithm.length()
            && base64.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        is_base64.then(|| [algorithm.key(), "=", digest].concat())
    })
}

fn parse_time(text: &str) -> Option<Timestamp> {
    let (seconds, nanoseconds) = split::once(text, b'.').filter(|(_, nanoseconds)| nanoseconds.len() == 9)?;
    Some(Timestamp { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? })
}

/// A sidecar of a file with this metadata. `digests` are in base64, in the order of [`Algorithm::ALL`]. Without a time of modification
/// there is none.
pub fn sidecar(file: &Metadata, digests: [&str; 2]) -> Option<String> {
    let Timestamp { seconds, nanoseconds } = file.modified?;
    let mut text = format!("size={}\nmodified={seconds}.{nanoseconds:09}\n", file.length);
    for (algorithm, digest) in Algorithm::ALL.into_iter().zip(digests) {
        for part in [algorithm.key(), "=:", digest, ":\n"] {
            text.push_str(part);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, MAX_BYTES, of_sidecar, sidecar, wanted};
    use crate::request::Headers;
    use crate::tree::{Kind, Metadata, Timestamp};
    use Algorithm::{Sha256, Sha512};
    use proptest::prelude::*;

    fn headers(lines: &[&str]) -> Headers {
        let field = |line: &&str| ("Want-Repr-Digest".to_owned(), line.as_bytes().to_vec());
        Headers::new(lines.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn the_algorithm_of_the_highest_preference_is_wanted() {
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&["sha-256=1"], &[Sha256]),
            (&["sha-512=3, sha-256=10, unixsum=0"], &[Sha256, Sha512]),
            (&["sha-512=3,\tsha-256=2"], &[Sha512, Sha256]),
            (&["sha-512=5, sha-256=5"], &[Sha256, Sha512]),
            (&["sha-256=0, sha-512=1"], &[Sha512]),
            (&["sha-256=0"], &[]),
            (&["md5=10, sha=9"], &[]),
            (&["md5=10", "sha-512=1"], &[Sha512]),
            (&["sha-256=10, sha-256=0"], &[]),
            (&["*a_b.c-d=1, sha-256=00"], &[]),
            (&["sha-256=01"], &[Sha256]),
        ] {
            assert_eq!(wanted(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_field_is_ignored() {
        for line in [
            "",
            ",",
            "sha-256",
            "sha-256=",
            "sha-256=11",
            "sha-256=-1",
            "sha-256=1.0",
            "sha-256=x",
            "SHA-256=1",
            "sha-256=1,",
            "sha-256=1,,sha-512=1",
            "sha-256 =1",
            "sha-256= 1",
            "sha-256=1 sha-512=1",
            "sha-256=?1",
            "sha-256=\"1\"",
            "1=1",
            "sha-256=1;a",
            "sha-256=(1)",
            "sha-256=001",
            "sha-256=+1",
            "\u{e9}=1",
        ] {
            assert_eq!(wanted(&headers(&[line])), [], "{line:?}");
            assert_eq!(wanted(&headers(&["sha-512=1", line])), [], "{line:?}");
        }
    }

    fn file(length: u64, nanoseconds: u32) -> Metadata {
        let modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds });
        Metadata { kind: Kind::File, length, modified, changed: None }
    }

    #[test]
    fn a_sidecar_is_about_one_version() {
        let (short, long) = ("a".repeat(44), "b".repeat(88));
        let text = sidecar(&file(5, 7), [&short, &long]).unwrap();
        assert_eq!(
            text,
            format!("size=5\nmodified=1700000000.000000007\nsha-256=:{short}:\nsha-512=:{long}:\n")
        );
        assert!(text.len() <= MAX_BYTES);
        let of = |text: &str, file| of_sidecar(text.as_bytes(), &file, &[Sha512, Sha256]);
        assert_eq!(of(&text, file(5, 7)), Some(format!("sha-512=:{long}:")));
        assert_eq!(of_sidecar(text.as_bytes(), &file(5, 7), &[Sha256]), Some(format!("sha-256=:{short}:")));
        assert_eq!(of_sidecar(text.as_bytes(), &file(5, 7), &[]), None);
        for other in [file(6, 7), file(5, 8), Metadata { modified: None, ..file(5, 7) }] {
            assert_eq!(of(&text, other), None, "{other:?}");
        }
        for (from, to) in [
            ("size=5", "size=+5x"),
            ("modified=", "modified"),
            (".000000007", ".7"),
            ("sha-", "SHA-"),
            (":", ""),
            ("=:", "=:\r\nX-Evil: "),
            ("b", ":"),
        ] {
            let wrong = text.replace(from, to).replace("sha-256", "sha-1");
            assert_eq!(of(&wrong, file(5, 7)), None, "{wrong}");
        }
        assert_eq!(of(&(text.clone() + &" ".repeat(MAX_BYTES)), file(5, 7)), None);
        assert_eq!(sidecar(&Metadata { modified: None, ..file(5, 7) }, [&short, &long]), None);
    }

    proptest! {
        #[test]
        fn a_digest_is_a_field_value(bytes in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8) {
            let mut text = sidecar(&file(5, 7), [&"a".repeat(44), &"b".repeat(88)]).unwrap().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            for text in [bytes, text] {
                if let Some(value) = of_sidecar(&text, &file(5, 7), &Algorithm::ALL) {
                    prop_assert!(value.starts_with("sha-") && value.ends_with(':'));
                    prop_assert!(value.bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{}", value);
                }
            }
        }
    }
}
