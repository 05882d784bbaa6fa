//! Logins: passwords that clients send with a request (RFC 7617), looked at before the file server sees the request.
//!
//! 1. [`users`]: a file of names and hashes
//! 2. [`hash`]: one of these
//! 3. [`attempts`]: how often an address may fail
//! 4. this module: the user of a request, whom the file server is told
//!
//! The file server decides which paths need a password. To hash one takes long on purpose, so that it happens here, a few at a
//! time, and once for each user.

mod attempts;
mod hash;
mod users;

pub use users::Users;

use crate::net::{ConnInfo, Network, Reach};
use crate::report::tag::Label;
use crate::report::{Occasionally, Peer};
use anyhow::{Context as _, Result, anyhow, bail};
use attempts::Attempts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guest::guard::{LOGIN_IN_CLEAR, LOGIN_OF, credentials};
use hash::{Hash, MAX_PASSWORD};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;
use users::Credentials;

/// The field by which the file server is told who has logged in. Clients cannot send it.
const LOGIN: HeaderName = HeaderName::from_static("wasi-httpd-login");

/// Requests whose passwords wait to be hashed. Their heads are in memory meanwhile.
const MAX_WAITING: usize = 512;

/// Passwords that are hashed at a time, unless there are fewer processors: half of them serve other requests.
const MAX_AT_A_TIME: usize = 4;

/// What all sites share.
#[derive(Debug)]
pub struct Desk {
    attempts: Attempts,
    /// For each password that is hashed.
    turns: Arc<Semaphore>,
    /// For each request that waits for one.
    waiting: Semaphore,
}

impl Default for Desk {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            attempts: Attempts::default(),
            turns: Arc::new(Semaphore::new((processors / 2).clamp(1, MAX_AT_A_TIME))),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }
}

/// Why a password is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Too many others are hashed before it.
    Busy,
    /// Its address has sent too many wrong ones, and may send one again after this time.
    TooManyFailed(Duration),
}

/// What is done with the passwords that clients send to a site.
#[derive(Clone)]
pub struct Logins {
    /// Whose passwords are known. Without them, the file server compares passwords itself.
    pub users: Option<Arc<Users>>,
    /// Whether passwords may come in the clear.
    pub in_clear: bool,
    /// What logs call the site.
    pub site: Label,
    /// What it shares with others.
    pub desk: Arc<Desk>,
}

impl Logins {
    /// Looks at the password of a request, and tells the file server whose it is. This waits for so long at most until the
    /// password is hashed.
    pub async fn look(
        &self,
        headers: &mut HeaderMap,
        conn: &ConnInfo,
        patience: Duration,
    ) -> Result<(), NotNow> {
        headers.remove(&LOGIN);
        if !self.in_clear && is_in_clear(conn) {
            static WARNING: Occasionally = Occasionally::new();
            if headers.remove(AUTHORIZATION).is_some() && WARNING.is_due() {
                warn!(
                    "a password came in the clear from {}, and was not looked at; have a proxy before this server say that \
                     it speaks https, or add --auth-in-clear",
                    conn.peer
                );
            }
            headers.insert(LOGIN, HeaderValue::from_static(LOGIN_IN_CLEAR));
            return Ok(());
        }
        let Some(users) = &self.users else { return Ok(()) };
        let Some(given) = given(headers) else { return Ok(()) };
        let login = match users.recall(&given) {
            Some(name) => login_of(name),
            None => self.verify(users, given, conn.peer, patience).await?,
        };
        if let Some(login) = login {
            // The password has done its work, and components need not know it.
            headers.remove(AUTHORIZATION);
            headers.insert(LOGIN, login);
        }
        Ok(())
    }

    /// Hashes a password, once it is its turn. The value of [`LOGIN`], if the password is right.
    async fn verify(
        &self,
        users: &Arc<Users>,
        given: Credentials,
        peer: Peer,
        patience: Duration,
    ) -> Result<Option<HeaderValue>, NotNow> {
        let address = Network::from(peer);
        self.may_try(address)?;
        let turn = self.turn(patience).await.ok_or(NotNow::Busy)?;
        // Meanwhile, another request may have been the first one of this user, or the last one that this address may fail with.
        if let Some(name) = users.recall(&given) {
            return Ok(login_of(name));
        }
        self.may_try(address)?;
        let (logins, users) = (self.clone(), Arc::clone(users));
        let verified = tokio::task::spawn_blocking(move || {
            let login = users.verify(&given).and_then(login_of);
            if login.is_none() {
                logins.note_failure(&users, &given, peer);
            }
            drop(turn);
            login
        });
        // A hash that panics admits no user.
        Ok(verified.await.ok().flatten())
    }

    fn may_try(&self, address: Network) -> Result<(), NotNow> {
        let wait = self.desk.attempts.wait(address, Instant::now());
        wait.map_or(Ok(()), |wait| Err(NotNow::TooManyFailed(wait)))
    }

    /// Waits until a password may be hashed; `None` if that takes too long.
    async fn turn(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let _waiting = self.desk.waiting.try_acquire().ok()?;
        let turn = tokio::time::timeout(patience, Arc::clone(&self.desk.turns).acquire_owned()).await;
        turn.ok()?.ok()
    }

    /// Counts a failed login, and reports it once a minute for each address. The name is told only if a user has it: people type
    /// their password there by mistake.
    fn note_failure(&self, users: &Users, given: &Credentials, peer: Peer) {
        if !self.desk.attempts.fail(peer.into(), Instant::now()) {
            return;
        }
        let site = &self.site;
        let of_site = if site.is_default() { String::new() } else { format!(" to {}", site.as_str()) };
        if users.contain(&given.name) {
            warn!(
                "{peer} has sent a wrong password of `{}`{of_site}; more within a minute are not told",
                given.name
            );
        } else {
            warn!("{peer} has sent the name of no user{of_site}; more within a minute are not told");
        }
    }
}

/// The name of the user whose password a request had, once [`Logins::look`] has looked at it.
pub fn user(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(LOGIN)?.as_bytes().strip_prefix(LOGIN_OF.as_bytes())
}

/// Whether others could read the password of a request on its way: it came neither over TLS nor from this machine.
fn is_in_clear(conn: &ConnInfo) -> bool {
    if conn.scheme == Scheme::HTTPS {
        return false;
    }
    // A proxy on this machine says where its clients are.
    let is_from_elsewhere = || conn.peer.address().is_some_and(|address| !address.is_loopback());
    conn.reach == Reach::Network || (conn.forwarding.is_some() && is_from_elsewhere())
}

/// The credentials of a request, if there are any and it is clear which ones.
fn given(headers: &HeaderMap) -> Option<Credentials> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    let mut password = STANDARD.decode(credentials(field.as_bytes())?).ok()?;
    let colon = memchr::memchr(b':', &password)?;
    let name = String::from_utf8(password[..colon].to_vec()).ok()?;
    password.drain(..=colon);
    Some(Credentials { name, password })
}

/// The value of [`LOGIN`] for a user.
fn login_of(name: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes([LOGIN_OF, name].concat().as_bytes()).ok()
}

/// Asks for a password and returns the line of this user for a file of passwords.
pub fn line(user: &str) -> Result<String> {
    if !users::is_name(user) {
        bail!("`{}` cannot be the name of a user: it has no spaces, commas and colons", user.escape_debug());
    }
    let password = if io::stdin().is_terminal() {
        let ask = |prompt| rpassword::prompt_password(prompt).context("cannot ask for a password");
        let password = ask("Password: ")?;
        if ask("Again: ")? != password {
            bail!("these are two different passwords");
        }
        password
    } else {
        let mut line = String::new();
        // One byte more than a password and the end of its line, so that a longer one is not cut.
        let mut input = io::stdin().lock().take(MAX_PASSWORD as u64 + 3);
        input.read_line(&mut line).context("cannot read a password from standard input")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() || password.len() > MAX_PASSWORD || password.contains('\0') {
        bail!("a password has from 1 to {MAX_PASSWORD} bytes");
    }
    let hash = Hash::make(password.as_bytes());
    let hash = hash.map_err(|error| anyhow!("the password cannot be hashed: {error}"))?;
    Ok(format!("{user}:{hash}\n"))
}

#[cfg(test)]
mod tests {
    use super::users::Users;
    use super::{Desk, LOGIN, Logins, NotNow, STANDARD, given, is_in_clear};
    use crate::net::{ConnInfo, Reach};
    use crate::report::Peer;
    use crate::report::tag::Label;
    use base64::Engine as _;
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use http::uri::Scheme;
    use proptest::prelude::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Semaphore;

    fn conn(scheme: Scheme, reach: Reach) -> ConnInfo {
        ConnInfo { peer: Peer::UNIX, scheme, tls: None, reach, files: None, hangup: None, forwarding: None }
    }

    #[test]
    fn only_other_machines_send_passwords_in_the_clear() {
        for (scheme, reach, expected) in [
            (Scheme::HTTP, Reach::Network, true),
            (Scheme::HTTPS, Reach::Network, false),
            (Scheme::HTTP, Reach::Loopback, false),
            (Scheme::HTTP, Reach::Unix, false),
        ] {
            assert_eq!(is_in_clear(&conn(scheme, reach)), expected, "{reach:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_waits_for_its_turn_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users");
        fs::write(&file, format!("ann:{}", bcrypt::hash("secret", 4).unwrap())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let users = Arc::new(Users::read(&file).unwrap());
        let logins = |turns, waiting| Logins {
            users: Some(Arc::clone(&users)),
            in_clear: false,
            site: Label::default(),
            desk: Arc::new(Desk {
                turns: Arc::new(Semaphore::new(turns)),
                waiting: Semaphore::new(waiting),
                ..Desk::default()
            }),
        };
        let patience = Duration::from_secs(5);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic YW5uOnNlY3JldA=="));
        headers.insert(LOGIN, HeaderValue::from_static("user bob"));
        let conn = conn(Scheme::HTTP, Reach::Loopback);
        for (waiting, waited) in [(0, Duration::ZERO), (1, patience)] {
            let start = tokio::time::Instant::now();
            let looked = logins(0, waiting).look(&mut headers, &conn, patience).await;
            assert_eq!((looked, start.elapsed()), (Err(NotNow::Busy), waited));
            assert_eq!(headers.get(LOGIN), None);
        }
        assert_eq!(logins(1, 1).look(&mut headers, &conn, patience).await, Ok(()));
        assert_eq!(headers.get(LOGIN).unwrap(), "user ann");
        assert_eq!(headers.get(AUTHORIZATION), None);
        // Whoever is known does not wait.
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic YW5uOnNlY3JldA=="));
        assert_eq!(logins(0, 0).look(&mut headers, &conn, patience).await, Ok(()));
        assert_eq!(headers.get(LOGIN).unwrap(), "user ann");
    }

    #[test]
    fn credentials_are_a_name_and_a_password() {
        let read = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            given(&headers).map(|given| (given.name, given.password))
        };
        let ann = || Some(("ann".to_owned(), b"p:w".to_vec()));
        assert_eq!(read(&["Basic YW5uOnA6dw=="]), ann());
        assert_eq!(read(&["bASIC   YW5uOnA6dw=="]), ann());
        assert_eq!(read(&["Basic Og=="]), Some((String::new(), Vec::new())));
        for fields in [
            &[][..],
            &["Basic YW5uOnA6dw==", "Basic YW5uOnA6dw=="],
            &["Basic YW5uOnA6dw"],
            &["Basic"],
            &["Basic YW5u"],
            &["Bearer YW5uOnA6dw=="],
            &["Basic /zpwdw=="],
            &["Basic \u{ff}"],
        ] {
            assert_eq!(read(fields), None, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read(field in proptest::collection::vec(0x20..=0x7e_u8, 0..40), name in "[a-z\u{e9}]{0,4}", password: Vec<u8>) {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_bytes(&[b"Basic ", &field[..]].concat()).unwrap());
            given(&headers);
            let sent = STANDARD.encode([name.as_bytes(), b":", &password].concat());
            headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Basic {sent}")).unwrap());
            let read = given(&headers).unwrap();
            prop_assert_eq!((read.name, read.password), (name, password));
        }
    }
}
