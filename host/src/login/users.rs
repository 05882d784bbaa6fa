//! Users and their passwords, from a file with a line for each of them: `NAME:HASH`, as `htpasswd -B` writes it.

use super::hash::Hash;
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, hmac};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::OnceLock;

/// The most bytes of a file: ten thousand users.
const MAX_BYTES: u64 = 1024 * 1024;

/// Permissions that a file of passwords must not have: everything for others, and writing for its group. The group may read it,
/// for a server that runs as another user than the owner of the file.
const FORBIDDEN_MODE: u32 = 0o027;

/// What makes a line of the file.
const REMEDY: &str = "make the line with `wasi-httpd password USER` or `htpasswd -nB USER`";

/// Users, in the order of their names.
pub struct Users {
    users: Vec<User>,
    /// Known to this process only, and for no longer than these users are.
    key: Key,
}

struct User {
    name: Box<str>,
    hash: Hash,
    /// The [tag](Users::tag) of the right password, once it was found to be that: to hash it takes long, and clients send it with
    /// each request.
    known: OnceLock<Tag>,
}

/// Without names and hashes.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.users.len())
    }
}

impl Users {
    /// Reads a file that others can neither read nor write.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        // Opening a FIFO would wait for a writer.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.with_context(|| format!("cannot read the passwords {shown}"))?;
        let metadata = file.metadata().with_context(|| format!("cannot read the passwords {shown}"))?;
        if !metadata.is_file() {
            bail!("the passwords {shown} are no regular file");
        }
        let mode = metadata.mode() & 0o777;
        if mode & FORBIDDEN_MODE != 0 {
            bail!(
                "other users may read or change the passwords {shown}, whose mode is {mode:03o}: chmod 600 {shown}"
            );
        }
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut text)
            .with_context(|| format!("cannot read the passwords {shown}"))?;
        if text.len() as u64 > MAX_BYTES {
            bail!("the passwords {shown} have more than {MAX_BYTES} bytes");
        }
        let users = parse(&text).map_err(|(line, why)| anyhow::anyhow!("{shown}, line {line}: {why}"))?;
        if users.is_empty() {
            bail!("the passwords {shown} have no users; {REMEDY}");
        }
        let key =
            Key::generate(HMAC_SHA256, &SystemRandom::new()).context("the system gives no random numbers")?;
        Ok(Self { users, key })
    }

    /// Whether there is a user of this name.
    pub fn contain(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// The name of the user, if this password was found to be right before.
    pub(super) fn recall(&self, given: &Credentials) -> Option<&str> {
        let (user, is_there) = self.user_or_other(given);
        let tag = self.tag(given);
        let is_known = user
            .known
            .get()
            .is_some_and(|known| verify_slices_are_equal(known.as_ref(), tag.as_ref()).is_ok());
        (is_known && is_there).then_some(&*user.name)
    }

    /// The name of the user, if the password is right. This takes long, and as long for a name that no user has.
    pub(super) fn verify(&self, given: &Credentials) -> Option<&str> {
        let (user, is_there) = self.user_or_other(given);
        let is_right = user.hash.is_of(&given.password);
        (is_right && is_there).then(|| {
            let _ = user.known.set(self.tag(given));
            &*user.name
        })
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.users.binary_search_by(|user| (*user.name).cmp(name)).ok()
    }

    /// The user and whether there is one, or another user instead. That is the same one for each name, so that names that no user
    /// has take as long as those of users, whatever the costs of their hashes.
    fn user_or_other(&self, given: &Credentials) -> (&User, bool) {
        let index = self.index(&given.name);
        let tag = hmac::sign(&self.key, given.name.as_bytes());
        let number = tag.as_ref().iter().take(8).fold(0, |number, &byte| number << 8 | usize::from(byte));
        // There is one at least.
        (&self.users[index.unwrap_or(number % self.users.len())], index.is_some())
    }

    /// What stands for credentials in memory.
    fn tag(&self, given: &Credentials) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // Names have no colon.
        context.update(given.name.as_bytes());
        context.update(b":");
        context.update(digest::digest(&digest::SHA256, &given.password).as_ref());
        context.sign()
    }
}

/// A name and a password that a client has sent.
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) password: Vec<u8>,
}

/// The users of a file, or the line that is wrong, and why.
fn parse(text: &[u8]) -> Result<Vec<User>, (usize, String)> {
    let mut users: Vec<(usize, User)> = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = |why: &str| (number, format!("{why}; {REMEDY}"));
        let line = str::from_utf8(line).map_err(|_| wrong("this is not UTF-8"))?;
        let (name, hash) = line.split_once(':').ok_or_else(|| wrong("a line is `NAME:HASH`"))?;
        if !is_name(name) {
            return Err(wrong("this is no name of a user"));
        }
        let hash = Hash::parse(hash).map_err(|why| wrong(&why))?;
        users.push((number, User { name: name.into(), hash, known: OnceLock::new() }));
    }
    users.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    if let Some(pair) = users.windows(2).find(|pair| pair[0].1.name == pair[1].1.name) {
        let name = &pair[1].1.name;
        return Err((
            pair[1].0,
            format!("line {} has the password of `{name}` too; leave one out", pair[0].0),
        ));
    }
    Ok(users.into_iter().map(|(_, user)| user).collect())
}

/// Whether this can be the name of a user: it has no colon (RFC 7617 §2), and can be sent to the file server and named in `--auth`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.contains([':', ','])
        && !text.chars().any(|it| it.is_control() || it.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Users, parse};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn line(name: &str, password: &str) -> String {
        format!("{name}:{}\n", bcrypt::hash(password, 4).unwrap())
    }

    fn write(directory: &Path, text: &str, mode: u32) -> std::path::PathBuf {
        let path = directory.join("passwords");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn credentials(name: &str, password: &str) -> Credentials {
        Credentials { name: name.to_owned(), password: password.as_bytes().to_vec() }
    }

    #[test]
    fn a_password_is_recalled_once_it_was_right() {
        let directory = tempfile::tempdir().unwrap();
        let text = ["# people\n\n", &line("bob", "hunter2"), &line("ann", "secret")].concat();
        let users = Users::read(&write(directory.path(), &text, 0o640)).unwrap();
        assert!(users.contain("ann") && !users.contain("carol"));
        for (name, password) in [("ann", "hunter2"), ("carol", "secret"), ("carol", "hunter2"), ("ann", "")] {
            assert_eq!(users.verify(&credentials(name, password)), None, "{name} {password}");
            assert_eq!(users.recall(&credentials(name, password)), None, "{name} {password}");
        }
        let ann = credentials("ann", "secret");
        assert_eq!(users.recall(&ann), None);
        assert_eq!(users.verify(&ann), Some("ann"));
        assert_eq!(users.recall(&ann), Some("ann"));
        for (name, password) in [("ann", "secret "), ("bob", "secret"), ("carol", "secret"), ("", "")] {
            assert_eq!(users.recall(&credentials(name, password)), None, "{name} {password}");
        }
    }

    #[test]
    fn a_name_that_no_user_has_takes_a_user_who_stays_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let text: String = (0..4).map(|number| line(&format!("user{number}"), "x")).collect();
        let users = Users::read(&write(directory.path(), &text, 0o600)).unwrap();
        let other = |name: &str| {
            let (user, is_there) = users.user_or_other(&credentials(name, "x"));
            assert!(!is_there);
            user.name.clone()
        };
        let names: Vec<_> = (0..100).map(|number| format!("nobody{number}")).collect();
        assert!(names.iter().all(|name| other(name) == other(name)));
        assert!(names.iter().any(|name| other(name) != other(&names[0])));
    }

    #[test]
    fn a_file_is_refused_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let right = line("ann", "x");
        let refused = |text: &str, mode| {
            let error = Users::read(&write(directory.path(), text, mode)).err().unwrap();
            format!("{error:#}").replace(&directory.path().display().to_string(), "/etc")
        };
        for mode in [0o604, 0o644, 0o606, 0o620, 0o601] {
            let expected = format!(
                "other users may read or change the passwords /etc/passwords, whose mode is {mode:o}: chmod 600 /etc/passwords"
            );
            assert_eq!(refused(&right, mode), expected);
        }
        for (text, expected) in [
            ("", "the passwords /etc/passwords have no users; make the line"),
            ("ann\n", "/etc/passwords, line 1: a line is `NAME:HASH`; make the line"),
            (
                "\nann:secret\n",
                "/etc/passwords, line 2: what follows the name is no hash; make the line with",
            ),
            (&format!(":{right}"), "/etc/passwords, line 1: this is no name of a user; "),
            (&format!("a b{right}"), "/etc/passwords, line 1: this is no name of a user; "),
            (
                &[&*right, &*right].concat(),
                "/etc/passwords, line 2: line 1 has the password of `ann` too; leave one",
            ),
            (&"#".repeat(2_000_000), "the passwords /etc/passwords have more than 1048576 bytes"),
        ] {
            let message = refused(text, 0o600);
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        assert!(Users::read(directory.path()).err().unwrap().to_string().ends_with("are no regular file"));
        assert!(parse(b"\xff:x").is_err());
    }
}
