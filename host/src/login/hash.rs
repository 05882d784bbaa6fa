//! Hashes of passwords: those of bcrypt, as `htpasswd -B` and most other programs make them.

use bcrypt::{BcryptError, DEFAULT_COST, HashParts, Version};

/// The lowest cost that bcrypt knows.
const MIN_COST: u32 = 4;

/// The highest cost of a hash: it takes a second of a processor. One more takes twice as long.
const MAX_COST: u32 = 14;

/// The longest password of which a new hash is made, in bytes. bcrypt ignores what comes after the 72nd byte, and its first version
/// counts a zero at the end.
pub(super) const MAX_PASSWORD: usize = 71;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash(Box<str>);

impl Hash {
    /// Reads a hash. An error says what is wrong with it, and does not repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let kind = text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(kind, _)| kind);
        match kind {
            Some("2a" | "2b" | "2y") => {}
            Some(other)
                if other.len() <= "argon2id".len() && other.bytes().all(|it| it.is_ascii_alphanumeric()) =>
            {
                return Err(format!("`${other}$` is another kind of hash"));
            }
            _ => return Err("what follows the name is no hash".to_owned()),
        }
        // The library takes it apart by bytes.
        let parts = text.is_ascii().then(|| text.parse::<HashParts>().ok()).flatten();
        let cost = parts.ok_or("the hash is not well formed")?.get_cost();
        if !(MIN_COST..=MAX_COST).contains(&cost) {
            return Err(format!("the cost of the hash is {cost}, and may be from {MIN_COST} to {MAX_COST}"));
        }
        Ok(Self(text.into()))
    }

    /// Makes the hash of a password, with a new salt.
    pub(super) fn make(password: &[u8]) -> Result<String, BcryptError> {
        let parts = bcrypt::non_truncating_hash_with_result(password, DEFAULT_COST)?;
        Ok(parts.format_for_version(Version::TwoY))
    }

    /// Whether it is the hash of this password. This takes as long as its cost says.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        bcrypt::verify(password, &self.0).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, MAX_PASSWORD};
    use proptest::prelude::*;

    /// Of `secret`, as another program has made it.
    const SECRET: &str = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

    #[test]
    fn a_hash_is_of_one_password() {
        for version in ["2a", "2b", "2y"] {
            let hash = Hash::parse(&SECRET.replace("2y", version)).unwrap();
            assert!(hash.is_of(b"secret"));
            for wrong in ["", "Secret", "secret ", "secre"] {
                assert!(!hash.is_of(wrong.as_bytes()), "{wrong}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_hash_is_told_and_not_repeated() {
        for (text, expected) in [
            ("secret", "what follows the name is no hash"),
            ("", "what follows the name is no hash"),
            ("$2y", "what follows the name is no hash"),
            ("$secret phrase$x", "what follows the name is no hash"),
            ("$apr1$abc$def", "`$apr1$` is another kind of hash"),
            ("$argon2id$v=19$m=1,t=1,p=1$abc$def", "`$argon2id$` is another kind of hash"),
            (
                "$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
                "`$2x$` is another kind of hash",
            ),
            ("$2y$04$abc", "the hash is not well formed"),
            (&SECRET.replace("$04$", "$15$"), "the cost of the hash is 15, and may be from 4 to 14"),
            (&SECRET.replace("$04$", "$03$"), "the cost of the hash is 3, and may be from 4 to 14"),
            (&SECRET.replace('9', "!"), "the hash is not well formed"),
            (&SECRET.replace("rW", "\u{e9}"), "the hash is not well formed"),
        ] {
            assert_eq!(Hash::parse(text).err().as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_new_hash_is_of_the_whole_password() {
        assert!(Hash::make(&[b'x'; MAX_PASSWORD + 1]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "\\$2[aby]\\$[01][0-9]\\$[./A-Za-z0-9é]{50,53}", other: String) {
            let _ = (Hash::parse(&text), Hash::parse(&other));
        }
    }
}
