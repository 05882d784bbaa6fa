//! Signatures of minisign: Ed25519 over the `BLAKE2b`-512 hash of what is signed. The form of its files is described at
//! <https://jedisct1.github.io/minisign/>.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// What the name of a file with a signature has in addition to that of the signed file.
pub const SUFFIX: &str = ".minisig";

/// The algorithm of keys, and of signatures over a whole file instead of its hash.
const ED25519_OF_FILE: [u8; 2] = *b"Ed";

/// The algorithm of signatures over a hash.
const ED25519_OF_HASH: [u8; 2] = *b"ED";

/// What begins the first two comments.
const UNTRUSTED: &str = "untrusted comment:";
const TRUSTED: &str = "trusted comment: ";

/// What tells one key from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id([u8; 8]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// A public key.
#[derive(Debug)]
pub struct Key {
    id: Id,
    key: ParsedPublicKey,
}

impl Key {
    /// Reads a public key: a comment and a line of base64, or that line alone.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next()?;
        let line = if first.starts_with(UNTRUSTED) { lines.next()? } else { first };
        if lines.next().is_some() {
            return None;
        }
        let bytes: [u8; 42] = decode(line)?;
        let (algorithm, rest) = bytes.split_first_chunk()?;
        let (&id, key) = rest.split_first_chunk()?;
        if *algorithm != ED25519_OF_FILE {
            return None;
        }
        Some(Self { id: Id(id), key: ParsedPublicKey::new(&ED25519, key).ok()? })
    }
}

/// A signature as its file has it.
struct Signature<'a> {
    algorithm: [u8; 2],
    id: Id,
    /// The signature of what is signed.
    own: [u8; 64],
    comment: &'a str,
    /// Over the signature and the comment.
    global: [u8; 64],
}

impl<'a> Signature<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|line| line.starts_with(UNTRUSTED))?;
        let bytes: [u8; 74] = decode(lines.next()?)?;
        let (&algorithm, rest) = bytes.split_first_chunk()?;
        let (&id, signature) = rest.split_first_chunk()?;
        let comment = lines.next()?.strip_prefix(TRUSTED)?;
        let global = decode(lines.next()?)?;
        if lines.any(|line| !line.trim().is_empty()) {
            return None;
        }
        Some(Self { algorithm, id: Id(id), own: signature.try_into().ok()?, comment, global })
    }
}

/// Checks that one of these keys has signed these bytes. The error says what is wrong with the signature.
pub fn check(keys: &[Key], signature: &str, bytes: &[u8]) -> Result<(), String> {
    let signature = Signature::parse(signature).ok_or("is not one of minisign")?;
    if signature.algorithm != ED25519_OF_HASH {
        return Err(
            "is of a form that minisign no longer makes; sign again with minisign 0.10 or newer".to_owned()
        );
    }
    let key = keys.iter().find(|key| key.id == signature.id).ok_or_else(|| {
        let known: Vec<_> = keys.iter().map(|key| key.id.to_string()).collect();
        format!("is by the key {}, and --verify-key has {}", signature.id, known.join(", "))
    })?;
    let hash = blake2b_simd::blake2b(bytes);
    let signed = key.key.verify_sig(hash.as_bytes(), &signature.own);
    signed.map_err(|_| "does not fit: one of both was changed, or is another version".to_owned())?;
    let with_comment = [&signature.own[..], signature.comment.as_bytes()].concat();
    let signed = key.key.verify_sig(&with_comment, &signature.global);
    signed.map_err(|_| "has a comment that was changed".to_owned())
}

fn decode<const LENGTH: usize>(line: &str) -> Option<[u8; LENGTH]> {
    STANDARD.decode(line.trim_end()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{Key, check};
    use proptest::prelude::*;

    /// Made by minisign 0.11 of Debian: `minisign -G -W`, and `minisign -S -t comment` of a file with the content `test\n`.
    const KEY: &str = "untrusted comment: minisign public key 9CB20DCFD330B37B\n\
        RWR7szDTzw2ynKuQB5MH3MI4ZXkHA1LX7W9BlIR2JVZOh6z9JCA+fA55";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUR7szDTzw2ynHNbWrC/nz0d7w+DnfMySPLTB/2T1n58e82y5S7uLapznl2YXZue+jW/HiRelyi48yqmQzuTRE8OoSR+k8YMtQk=\n\
        trusted comment: comment\n\
        hggVEz5OA48xf2VT3sTQRwsN8H+hRzHpLPCCae+u1pbWgdZ7oRXKE4NKwDdPAXx1sG6mMt/sNazA5G0WsX4/DA==";
    const CONTENT: &[u8] = b"test\n";
    const OTHER: &str = "untrusted comment: minisign public key AE689CCD82294790\n\
        RWSQRymCzZxorqQ8NiEXCA9YDzNcWSyaTY/Gg25fI37LGaVs7kRGUcgh";
    const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
        RWR7szDTzw2ynL+Z6cyJVeo+5pSTFxTaKdxSC9vy13bKfFb05D/YDyse7wlTz/LeoTwsEhBd61/Kcbx+Xy+xvAGUfOqXQFAN+Qw=\n\
        trusted comment: comment\n\
        d98ildfAM60/aN2mM1tk7az7uKJq4D/yvOUdt2AJm7p34XuKLjZ4n5ZHgTEmTNpdqQ0dvmZBXgvL+U0aMaS1Dw==";

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn a_signature_by_minisign_is_good_for_its_key_and_content_only() {
        let keys = [key(OTHER), key(KEY)];
        assert_eq!(check(&keys, SIGNATURE, CONTENT), Ok(()));
        assert_eq!(check(&keys, &SIGNATURE.replace('\n', "\r\n"), CONTENT), Ok(()));
        let why =
            |keys: &[Key], signature: &str, content: &[u8]| check(keys, signature, content).unwrap_err();
        assert!(why(&keys, SIGNATURE, b"tess\n").contains("does not fit"));
        assert!(why(&keys[..1], SIGNATURE, CONTENT).contains("and --verify-key has"));
        assert!(
            why(&keys, &SIGNATURE.replace("trusted comment: comment", "trusted comment: other"), CONTENT)
                .contains("a comment")
        );
        assert!(why(&keys, LEGACY, CONTENT).contains("0.10 or newer"));
        assert!(why(&keys, "", CONTENT).contains("is not one of minisign"));
        assert!(why(&keys, KEY, CONTENT).contains("is not one of minisign"));
    }

    #[test]
    fn a_key_may_stand_without_its_comment() {
        let line = KEY.lines().nth(1).unwrap();
        assert_eq!(key(line).id, key(KEY).id);
        for text in ["", "untrusted comment: x", &line[1..], SIGNATURE, &format!("{KEY}\n{line}")] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_signature_is_refused(at in 0..SIGNATURE.len(), byte in 0x20..0x7f_u8) {
            let mut changed = SIGNATURE.as_bytes().to_vec();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            // Only the first comment is not signed.
            let is_signed = |text: &str| text.split_once('\n').map(|(_, rest)| rest.trim_end().to_owned());
            let is_same = is_signed(&changed) == is_signed(SIGNATURE);
            let is_good = check(&[key(KEY)], &changed, CONTENT).is_ok();
            prop_assert!(!is_good || is_same, "{changed}");
        }
    }
}
