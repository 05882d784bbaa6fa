//! Which site a request is for: first by its host, then by the longest prefix of its path.
//!
//! A server without host names is a single site. A page can have its own name lead to 127.0.0.1 (DNS rebinding), and then read
//! whatever a server there answers. The request still names that page's site, so a listener that only this machine reaches
//! answers for loopback names only, unless others are allowed by flag.

use crate::authority::Host;
use crate::net::Reach;
use std::collections::HashMap;

/// The longest name of a host, in bytes (RFC 1035 §2.3.4). No longer one is looked for.
const MAX_NAME: usize = 253;

/// What the name `*` stands for in a list of sites: every host that no other site names.
const ANY: &str = "*";

/// Where a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By the site of this number.
    Site(usize),
    /// Nowhere: the only site is not for this host.
    NotAllowed,
    /// Nowhere: no site has this host as a name.
    UnknownHost,
    /// Nowhere: the sites of this host are for other paths.
    UnknownPath,
}

/// The hosts that a server without named sites answers for.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// The names that were allowed by flag, in lower case. With none, a listener on loopback answers for loopback names,
    /// and another one for all.
    pub fn new(allowed: Vec<String>) -> Self {
        Self(allowed)
    }

    fn allow(&self, host: Host<'_>, reach: Reach) -> bool {
        host.is_loopback()
            || (reach != Reach::Loopback && self.0.is_empty())
            || self.0.iter().any(|name| name == ANY || host.is(name))
    }
}

/// What finds the site of a request.
#[derive(Debug)]
pub struct Router(Kind);

#[derive(Debug)]
enum Kind {
    /// There is one site, for these hosts.
    Single(Names),
    /// There are sites with names.
    Named(Named),
}

/// Sites, by name. Names are in lower case, and addresses are written as their standard text.
#[derive(Debug, Default)]
struct Named {
    exact: HashMap<Box<str>, Paths>,
    /// By what follows `*.`, which stands for one label.
    wildcard: HashMap<Box<str>, Paths>,
    any: Option<Paths>,
}

/// The sites of a host, those with longer prefixes first.
#[derive(Clone, Debug, Default)]
struct Paths(Vec<(Box<str>, usize)>);

impl Router {
    /// A server without named sites.
    pub fn single(names: Names) -> Self {
        Self(Kind::Single(names))
    }

    /// Sites with their names and prefixes, in the order of their numbers. A name is a host name or an address, `*` and such
    /// a name for every name with one label before it, or `*` for all other hosts. A prefix is `/`, or a path without a slash
    /// at its end.
    pub fn named<'a>(sites: impl IntoIterator<Item = (&'a [String], &'a str)>) -> Self {
        let mut named = Named::default();
        for (at, (names, prefix)) in sites.into_iter().enumerate() {
            for name in names {
                let paths = match (name.as_str(), name.strip_prefix("*.")) {
                    (ANY, _) => named.any.get_or_insert_default(),
                    (_, Some(parent)) => named.wildcard.entry(parent.into()).or_default(),
                    (name, None) => named.exact.entry(name.into()).or_default(),
                };
                paths.0.push((prefix.trim_end_matches('/').into(), at));
            }
        }
        let all = named.exact.values_mut().chain(named.wildcard.values_mut()).chain(&mut named.any);
        for Paths(paths) in all {
            paths.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        }
        Self(Kind::Named(named))
    }

    /// Finds the site of a request for this host, or for none in particular, and for this path, as it was sent.
    pub fn route(&self, host: Option<Host<'_>>, path: &str, reach: Reach) -> Route {
        match &self.0 {
            Kind::Single(names) => match host {
                Some(host) if !names.allow(host, reach) => Route::NotAllowed,
                _ => Route::Site(0),
            },
            Kind::Named(named) => match named.find(host) {
                Some(paths) => paths.find(path).map_or(Route::UnknownPath, Route::Site),
                None => Route::UnknownHost,
            },
        }
    }
}

impl Named {
    fn find(&self, host: Option<Host<'_>>) -> Option<&Paths> {
        let found = match host {
            None => None,
            Some(Host::Address(address)) => self.exact.get(&*address.to_canonical().to_string()),
            Some(Host::Name(name)) => {
                let mut buffer = [0; MAX_NAME];
                let name = name.strip_suffix('.').unwrap_or(name);
                let name = lower_case(name, &mut buffer)?;
                let wildcard = || self.wildcard.get(name.split_once('.')?.1);
                self.exact.get(name).or_else(wildcard)
            }
        };
        found.or(self.any.as_ref())
    }
}

/// The name in lower case; `None` if it is longer than names are.
fn lower_case<'a>(name: &str, buffer: &'a mut [u8; MAX_NAME]) -> Option<&'a str> {
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}

impl Paths {
    fn find(&self, path: &str) -> Option<usize> {
        self.0.iter().find(|(prefix, _)| strip(path, prefix).is_some()).map(|(_, at)| *at)
    }
}

/// What follows a prefix in a path: nothing, or something that begins with a slash. The path may have octets of the prefix
/// percent-encoded (RFC 3986 §6.2.2.2).
pub fn strip<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let mut rest = path.as_bytes();
    for &expected in prefix.as_bytes() {
        rest = match rest {
            [b'%', high, low, after @ ..] if octet(*high, *low) == Some(expected) && expected != b'/' => {
                after
            }
            [byte, after @ ..] if *byte == expected => after,
            _ => return None,
        };
    }
    // What was taken is ASCII or was compared with valid UTF-8, so that this is a boundary.
    let rest = path.get(path.len() - rest.len()..)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::{Names, Route, Router, strip};
    use crate::authority::Authority;
    use crate::net::Reach;
    use proptest::prelude::proptest;

    fn route(router: &Router, host: &str, path: &str, reach: Reach) -> Route {
        let host = Authority::parse(host.as_bytes()).map(|authority| authority.host);
        router.route(host, path, reach)
    }

    fn single(names: &[&str]) -> Router {
        Router::single(Names::new(names.iter().map(|&name| name.to_owned()).collect()))
    }

    fn named(sites: &[(&[&str], &str)]) -> Router {
        let sites: Vec<(Vec<String>, &str)> = sites
            .iter()
            .map(|(names, prefix)| (names.iter().map(|&name| name.to_owned()).collect(), *prefix))
            .collect();
        Router::named(sites.iter().map(|(names, prefix)| (names.as_slice(), *prefix)))
    }

    #[test]
    fn on_loopback_a_single_site_is_for_loopback_names_only() {
        let router = single(&[]);
        for host in ["localhost:80", "127.0.0.1", "[::1]:8080", "a.localhost", ""] {
            assert_eq!(route(&router, host, "/", Reach::Loopback), Route::Site(0), "{host}");
        }
        for host in ["evil.example:8080", "[2001:db8::1]"] {
            assert_eq!(route(&router, host, "/", Reach::Loopback), Route::NotAllowed, "{host}");
            assert_eq!(route(&router, host, "/", Reach::Network), Route::Site(0), "{host}");
        }
    }

    #[test]
    fn with_names_a_single_site_is_for_these() {
        let router = single(&["example.com", "10.0.0.1"]);
        for reach in [Reach::Loopback, Reach::Network] {
            for host in ["Example.com.:80", "10.0.0.1:1", "localhost"] {
                assert_eq!(route(&router, host, "/", reach), Route::Site(0), "{host}");
            }
            assert_eq!(route(&router, "example.org", "/", reach), Route::NotAllowed);
        }
        assert_eq!(route(&single(&["*"]), "example.org", "/", Reach::Loopback), Route::Site(0));
    }

    #[test]
    fn a_named_site_is_found_by_host_and_then_by_the_longest_prefix() {
        let router = named(&[
            (&["example.com", "www.example.com"], "/"),
            (&["example.com"], "/docs"),
            (&["example.com"], "/docs/api"),
            (&["*.example.com"], "/"),
            (&["10.0.0.1", "::1"], "/"),
            (&["only.test"], "/app"),
        ]);
        for (host, path, expected) in [
            ("example.com", "/", Route::Site(0)),
            ("EXAMPLE.com.:8080", "/docsx", Route::Site(0)),
            ("example.com", "/docs", Route::Site(1)),
            ("example.com", "/docs/", Route::Site(1)),
            ("example.com", "/docs/apis", Route::Site(1)),
            ("example.com", "/docs/api/x", Route::Site(2)),
            ("example.com", "/%64ocs/api", Route::Site(2)),
            ("example.com", "/docs%2fapi", Route::Site(0)),
            ("www.example.com", "/docs", Route::Site(0)),
            ("a.example.com", "/docs", Route::Site(3)),
            ("a.b.example.com", "/", Route::UnknownHost),
            ("10.0.0.1", "/", Route::Site(4)),
            ("[::ffff:10.0.0.1]", "/", Route::Site(4)),
            ("[::1]:8080", "/", Route::Site(4)),
            ("localhost", "/", Route::UnknownHost),
            ("", "/", Route::UnknownHost),
            ("only.test", "/app/a", Route::Site(5)),
            ("only.test", "/", Route::UnknownPath),
            ("only.test", "*", Route::UnknownPath),
        ] {
            for reach in [Reach::Loopback, Reach::Network] {
                assert_eq!(route(&router, host, path, reach), expected, "{host}{path}");
            }
        }
        let long = "x".repeat(300);
        assert_eq!(route(&router, &long, "/", Reach::Network), Route::UnknownHost);
    }

    #[test]
    fn one_site_may_be_for_all_other_hosts() {
        let router = named(&[(&["example.com"], "/"), (&["*"], "/")]);
        for host in ["example.org", "10.0.0.1", "", "a.example.com"] {
            assert_eq!(route(&router, host, "/", Reach::Network), Route::Site(1), "{host}");
        }
        assert_eq!(route(&router, "example.com", "/", Reach::Network), Route::Site(0));
    }

    proptest! {
        #[test]
        fn what_is_stripped_is_what_follows(prefix in "(/[a-zé]{1,3}){0,2}", rest in "(/[a-z%2f]{0,4}){0,2}", other in "\\PC{0,9}") {
            let path = format!("{prefix}{rest}");
            assert_eq!(strip(&path, &prefix), Some(rest.as_str()));
            let encoded: String = prefix
                .bytes()
                .map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") })
                .collect();
            assert_eq!(strip(&format!("{encoded}{rest}"), &prefix), Some(rest.as_str()));
            if let Some(rest) = strip(&other, &prefix) {
                assert!(other.ends_with(rest));
            }
        }
    }
}
