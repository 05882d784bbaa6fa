//! Guards: patterns of paths for which clients need a user name and a password (RFC 7617).
//!
//! A line of `FILES_AUTH` is a guard for users whose passwords the host has checked. The lines `Basic-Auth` below a path of
//! `_headers` are one as well, and hold the passwords. Every guard that is about a request has to admit its client.
//!
//! A guard of a directory is one of everything in it. Case makes no difference: some file systems open `Private/a` where
//! `private/a` is meant.

use crate::fields;
use crate::pattern::Pattern;
use crate::request::{Headers, Name};
use crate::rules::captures;
use std::hint::black_box;

/// The variable that only a host sets where it checks passwords: the realm (RFC 9110 §11.5). Requests then have the field
/// [`Name::Login`] only if the host has set it.
pub const REALM: &str = "FILES_LOGIN_REALM";

/// The realm where the host sets none.
pub const DEFAULT_REALM: &str = "Restricted";

/// The value of [`Name::Login`] before the name of a user whose password is right.
pub const LOGIN_OF: &str = "user ";

/// The value of [`Name::Login`] where a password could be read on its way: clients are not asked for one.
pub const LOGIN_IN_CLEAR: &str = "clear";

/// A pattern of paths, and who is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// In lower case.
    pattern: Pattern<'static>,
    /// What is below, if that is another pattern.
    below: Option<Pattern<'static>>,
    users: Users,
}

/// Who is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// Those of these names whose password the host has checked, or all of them if there is no name.
    Checked(Vec<String>),
    /// Those with these credentials, in the form in which clients send them.
    Listed(Vec<Vec<u8>>),
}

impl Users {
    /// Those of the value of a field `Basic-Auth`: `NAME:PASSWORD`, and more of them after spaces. `None` if it is none.
    pub fn listed(value: &str) -> Option<Self> {
        let is_valid = |word: &&str| {
            let parts = word.split_once(':');
            parts.is_some_and(|(name, password)| !name.is_empty() && !password.is_empty())
                && !word.chars().any(char::is_control)
        };
        let words: Vec<_> = value.split_ascii_whitespace().collect();
        let is_list = !words.is_empty() && words.iter().all(is_valid);
        is_list.then(|| Self::Listed(words.iter().map(|word| base64(word.as_bytes())).collect()))
    }
}

/// What a client may do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No guard is about it.
    Open,
    /// Every guard admits the client.
    Granted,
    /// The client has to log in.
    Denied,
    /// The client would have to log in, and others could read its password.
    InClear,
}

impl Access {
    /// Whether the client may have what is at the path.
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Open | Self::Granted)
    }
}

impl Guard {
    /// Guards what the pattern is about.
    pub fn new(pattern: &Pattern<'_>, users: Users) -> Self {
        let text = folded(pattern.as_str());
        let below = match text.as_str() {
            text if text.ends_with('*') => None,
            text if text.contains('/') => Some([text, "/*"].concat()),
            // Names of files in every directory.
            text => Some(["*/", text, "/*"].concat()),
        };
        Self { pattern: Pattern::new(text), below: below.map(Pattern::new), users }
    }

    /// Adds users.
    pub fn admit(&mut self, users: Users) {
        match (&mut self.users, users) {
            (Users::Checked(known), Users::Checked(more)) => known.extend(more),
            (Users::Listed(known), Users::Listed(more)) => known.extend(more),
            (known, users) => *known = users,
        }
    }

    /// The names of the users whose password the host checks.
    pub fn names(&self) -> &[String] {
        match &self.users {
            Users::Checked(names) => names,
            Users::Listed(_) => &[],
        }
    }

    fn is_about(&self, folded: &str) -> bool {
        captures(&self.pattern, folded).is_some()
            || self.below.as_ref().is_some_and(|below| captures(below, folded).is_some())
    }

    fn admits(&self, client: &Client<'_>) -> bool {
        match &self.users {
            Users::Checked(names) => client
                .user
                .is_some_and(|user| names.is_empty() || names.iter().any(|name| name.as_bytes() == user)),
            // All are compared, and each to its end, so that the time does not tell how much was right.
            Users::Listed(known) => client
                .sent
                .is_some_and(|sent| known.iter().fold(false, |is, one| black_box(is | is_same(sent, one)))),
        }
    }
}

/// What these guards allow a client with a path that has all of these names.
pub fn access<'a>(
    guards: impl Iterator<Item = &'a Guard>,
    names: impl Iterator<Item = &'a str>,
    client: &Client<'_>,
) -> Access {
    let names: Vec<_> = names.map(folded).collect();
    let mut access = Access::Open;
    for guard in guards {
        if names.iter().any(|name| guard.is_about(name)) {
            if client.is_in_clear {
                return Access::InClear;
            }
            access = if access != Access::Denied && guard.admits(client) {
                Access::Granted
            } else {
                Access::Denied
            };
        }
    }
    access
}

/// Who has sent a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'r> {
    /// The user whose password the host has checked.
    user: Option<&'r [u8]>,
    /// The credentials, as they were sent.
    sent: Option<&'r [u8]>,
    /// Whether others could read its password.
    is_in_clear: bool,
}

impl<'r> Client<'r> {
    /// Reads the header of a request. Only where the host checks passwords, it alone says who has logged in.
    pub fn of(headers: &'r Headers, host_checks: bool) -> Self {
        let login = if host_checks { headers.single(Name::Login) } else { None };
        Self {
            user: login.and_then(|login| login.strip_prefix(LOGIN_OF.as_bytes())),
            // Of two, it is not clear which one counts.
            sent: headers.single(Name::Authorization).and_then(credentials),
            is_in_clear: login == Some(LOGIN_IN_CLEAR.as_bytes()),
        }
    }
}

/// What follows the scheme `Basic`, whose name may be in any case (RFC 9110 §11.1).
pub fn credentials(field: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = field.split_at_checked("Basic ".len())?;
    scheme.eq_ignore_ascii_case(b"Basic ").then(|| rest.trim_ascii())
}

/// The value of `WWW-Authenticate`, by which browsers ask for a name and a password.
pub fn challenge(realm: Option<&str>) -> String {
    // Those that could not be sent as they are would end the field.
    let is_plain = |realm: &&str| fields::is_value(realm) && !realm.contains(['\\', '"']);
    let realm = realm.filter(is_plain).unwrap_or(DEFAULT_REALM);
    ["Basic realm=\"", realm, "\", charset=\"UTF-8\""].concat()
}

/// A text in which the case of letters makes no difference.
fn folded(text: &str) -> String {
    text.to_lowercase()
}

/// Compares what a client has sent. The time depends on its length alone.
fn is_same(sent: &[u8], expected: &[u8]) -> bool {
    let mut difference = sent.len() ^ expected.len();
    for (byte, expected) in sent.iter().zip(expected.iter().cycle()) {
        difference = black_box(difference | usize::from(byte ^ expected));
    }
    difference == 0
}

/// Encodes bytes in Base64 (RFC 4648 §4), as clients encode their credentials.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() { b'=' } else { DIGITS[index as usize] });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Access, Client, Guard, Users, access, base64, challenge, credentials, is_same};
    use crate::pattern::Pattern;
    use crate::request::Headers;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn guard(pattern: &str, users: &[&str]) -> Guard {
        Guard::new(
            &Pattern::new(pattern),
            Users::Checked(users.iter().map(|&name| name.to_owned()).collect()),
        )
    }

    fn listed(pattern: &str, value: &str) -> Guard {
        Guard::new(&Pattern::new(pattern), Users::listed(value).unwrap())
    }

    fn of<'a>(guards: &'a [Guard], path: &'a str, client: &Client<'_>) -> Access {
        access(guards.iter(), std::iter::once(path), client)
    }

    #[test]
    fn a_guard_is_about_what_is_below_it_in_any_case() {
        for (pattern, path, expected) in [
            ("/private/*", "/private/a", true),
            ("/private/*", "/private", true),
            ("/private/*", "/private/", true),
            ("/private/*", "/PRIVATE/a", true),
            ("/Privé/*", "/pRIVÉ/a", true),
            ("/private/*", "/privates/a", false),
            ("/private", "/private/a/b", true),
            ("/private", "/a/private", false),
            ("private", "/a/private", true),
            ("private", "/private/a", true),
            ("private", "/a/private/b/c", true),
            ("private", "/privates/b", false),
            ("*.pdf", "/a/b.PDF", true),
            ("*.pdf", "/a/b.pdf.txt", false),
            ("*", "/", true),
            ("/", "/", true),
            ("/:area/secret", "/x/secret/y", true),
            ("/:area/secret", "/x/y/secret", false),
        ] {
            let guards = [guard(pattern, &[])];
            let found = of(&guards, path, &Client::default());
            assert_eq!(found == Access::Denied, expected, "{pattern} and {path}");
            assert_eq!(found == Access::Open, !expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn every_guard_has_to_admit_the_client() {
        let guards = [guard("/*", &[]), guard("/admin/*", &["ann", "bob"]), listed("/both/*", "ann:x")];
        let client = |user: &'static str, sent: Option<&'static [u8]>| Client {
            user: Some(user.as_bytes()),
            sent,
            is_in_clear: false,
        };
        for (path, user, sent, expected) in [
            ("/", "carol", None, Access::Granted),
            ("/admin/a", "carol", None, Access::Denied),
            ("/admin/a", "bob", None, Access::Granted),
            ("/admin/a", "bo", None, Access::Denied),
            ("/both/a", "ann", None, Access::Denied),
            ("/both/a", "ann", Some(b"YW5uOng=".as_slice()), Access::Granted),
        ] {
            assert_eq!(of(&guards, path, &client(user, sent)), expected, "{path} for {user}");
        }
        let unknown = Client { user: None, ..client("", Some(b"YW5uOng=")) };
        assert_eq!(of(&guards, "/both/a", &unknown), Access::Denied);
        let in_clear = Client { is_in_clear: true, ..client("ann", None) };
        assert_eq!(of(&guards, "/a", &in_clear), Access::InClear);
        assert_eq!(of(&guards[1..], "/a", &in_clear), Access::Open);
    }

    #[test]
    fn users_are_listed_with_passwords() {
        let guards = [listed("/*", "ann:secret  bob:p:w\u{e9}")];
        let granted = |credentials: &str| {
            let field = format!("basic  {}", STANDARD.encode(credentials));
            let headers = Headers::new(vec![("Authorization".to_owned(), field.into_bytes())]);
            of(&guards, "/", &Client::of(&headers, false)) == Access::Granted
        };
        assert!(granted("ann:secret") && granted("bob:p:w\u{e9}"));
        for wrong in ["", ":", "ann:", "ann:secre", "ann:secrets", "bob:p", "ann:secret bob:p:w\u{e9}"] {
            assert!(!granted(wrong), "{wrong}");
        }
        for wrong in ["", " ", "ann", "ann:", ":secret", "ann:secret bob"] {
            assert_eq!(Users::listed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_host_that_checks_passwords_is_believed() {
        let headers = |lines: &[&str]| {
            let field = |line: &&str| ("Wasi-Httpd-Login".to_owned(), line.as_bytes().to_vec());
            Headers::new(lines.iter().map(field).collect::<Vec<_>>())
        };
        let guards = [guard("/*", &["ann"])];
        let granted = |lines: &[&str], host_checks| {
            of(&guards, "/", &Client::of(&headers(lines), host_checks)) == Access::Granted
        };
        assert!(granted(&["user ann"], true));
        assert!(!granted(&["user ann"], false));
        for lines in [&[][..], &["ann"], &["user bob"], &["user ann", "user ann"], &["clear"]] {
            assert!(!granted(lines, true), "{lines:?}");
        }
    }

    #[test]
    fn a_realm_is_a_quoted_string() {
        assert_eq!(challenge(Some("example.com/a")), "Basic realm=\"example.com/a\", charset=\"UTF-8\"");
        for wrong in ["a\"b", "a\\b", "a\nb", "\u{e9}"] {
            assert_eq!(challenge(Some(wrong)), challenge(None), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn credentials_are_encoded_as_clients_do(bytes: Vec<u8>) {
            prop_assert_eq!(base64(&bytes), STANDARD.encode(&bytes).into_bytes());
        }

        #[test]
        fn only_the_same_bytes_are_the_same(one in "[ab]{0,4}", other in "[ab]{0,4}", whole: Vec<u8>) {
            prop_assert_eq!(is_same(one.as_bytes(), other.as_bytes()), one == other);
            prop_assert!(is_same(&whole, &whole));
            credentials(&whole);
        }
    }
}
