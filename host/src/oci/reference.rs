//! References to components in registries: `oci://HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`, in the grammar of the OCI
//! distribution specification.

use super::digest::Sha256;
use http::uri::Authority;
use std::fmt;
use std::net::IpAddr;

/// What every reference begins with.
pub const SCHEME: &str = "oci://";

/// The longest name of a registry and repository together, in bytes: many registries take no longer one.
const MAX_NAME: usize = 255;

/// The longest tag, in bytes (OCI distribution specification, "Pulling manifests").
const MAX_TAG: usize = 128;

/// A registry: a host, and a port if one is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registry {
    authority: String,
    is_loopback: bool,
}

impl Registry {
    /// Reads `HOST[:PORT]`; `None` if it is no such thing.
    pub fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok()?;
        let host = authority.host();
        let port_is_one = match text.strip_prefix(host)? {
            "" => true,
            port => port[1..].parse::<u16>().is_ok_and(|port| port > 0),
        };
        if host.is_empty() || !port_is_one {
            return None;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        let is_loopback =
            host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        Some(Self { authority: text.to_ascii_lowercase(), is_loopback })
    }

    /// Its host and port, in lower case.
    pub fn as_str(&self) -> &str {
        &self.authority
    }

    /// Whether only this machine can answer.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

/// A reference to a component in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry.
    pub registry: Registry,
    /// The repository, such as `team/site`.
    pub repository: String,
    /// A name of one of its manifests, which the registry can give to another one.
    pub tag: Option<String>,
    /// The digest of the manifest, which decides where it is there.
    pub digest: Option<Sha256>,
}

impl Reference {
    /// Reads a reference. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix(SCHEME).ok_or("it begins with oci://")?;
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = Sha256::parse(digest);
                (rest, Some(digest.ok_or("a digest is sha256: and 64 digits of 0-9 and a-f")?))
            }
        };
        let (host, path) = rest.split_once('/').ok_or("a name follows the host, after a slash")?;
        let registry = Registry::parse(host).ok_or("the host is none, or its port")?;
        let (repository, tag) = match path.split_once(':') {
            None => (path, None),
            Some((repository, tag)) if is_tag(tag) => (repository, Some(tag.to_owned())),
            Some(_) => return Err("a tag has up to 128 letters, digits, `_`, `-` and `.`"),
        };
        if !repository.split('/').all(is_component) {
            return Err("a name has lower-case letters and digits, with `.`, `_`, `-` or `/` between them");
        }
        if host.len() + 1 + repository.len() > MAX_NAME {
            return Err("a host and a name have up to 255 characters");
        }
        Ok(Self { registry, repository: repository.to_owned(), tag, digest })
    }

    /// The last part of its name.
    pub fn short_name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// The same with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Sha256) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (first, rest) = (text.bytes().next(), text.bytes().skip(1));
    text.len() <= MAX_TAG
        && first.is_some_and(is_word)
        && rest.into_iter().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Whether this is a part of a name between slashes: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|character: char| is_alphanumeric(u8::try_from(character).unwrap_or(0)));
    let are_separators = separators
        .filter(|text| !text.is_empty())
        .all(|text| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-'));
    let ends = [text.bytes().next(), text.bytes().next_back()];
    are_separators && ends.into_iter().all(|byte| byte.is_some_and(is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::{Reference, Registry};
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_reference_is_a_host_a_name_a_tag_and_a_digest() {
        let read = |text: &str| Reference::parse(text).unwrap();
        let full = read(&format!("oci://Registry.example:5000/team/site-1.x:V1.0@{DIGEST}"));
        assert_eq!(full.registry.as_str(), "registry.example:5000");
        assert_eq!((full.repository.as_str(), full.short_name()), ("team/site-1.x", "site-1.x"));
        assert_eq!(full.tag.as_deref(), Some("V1.0"));
        assert_eq!(full.digest.unwrap().to_string(), DIGEST);
        let bare = read("oci://registry.example/site");
        assert_eq!((bare.tag, bare.digest), (None, None));
        assert_eq!(read("oci://[::1]:5000/a__b--c/d").registry.as_str(), "[::1]:5000");
    }

    #[test]
    fn anything_else_is_said_to_be_wrong() {
        for (text, why) in [
            ("http://a/b", "begins with oci://"),
            ("oci://registry.example", "a name follows the host"),
            ("oci:///a", "the host"),
            ("oci://user@registry.example/a", "a digest"),
            ("oci://a:0/b", "the host"),
            ("oci://a:70000/b", "the host"),
            ("oci://a:x/b", "the host"),
            ("oci://a/", "a name has"),
            ("oci://a/B", "a name has"),
            ("oci://a/b/", "a name has"),
            ("oci://a//b", "a name has"),
            ("oci://a/../b", "a name has"),
            ("oci://a/b..c", "a name has"),
            ("oci://a/b___c", "a name has"),
            ("oci://a/-b", "a name has"),
            ("oci://a/b?c", "a name has"),
            ("oci://a/b%2fc", "a name has"),
            ("oci://a/b\u{e9}", "a name has"),
            ("oci://a/b:", "a tag has"),
            ("oci://a/b:-c", "a tag has"),
            ("oci://a/b:c/d", "a tag has"),
            ("oci://a/b@sha256:00", "a digest is"),
            ("oci://a/b@sha512:00", "a digest is"),
        ] {
            let message = Reference::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
        assert!(Reference::parse(&format!("oci://a/{}", "b".repeat(253))).is_ok());
        assert!(Reference::parse(&format!("oci://a/{}", "b".repeat(254))).is_err());
        assert!(Reference::parse(&format!("oci://a/b:{}", "c".repeat(129))).is_err());
    }

    #[test]
    fn loopback_is_told_by_the_host() {
        let is_loopback = |text: &str| Registry::parse(text).unwrap().is_loopback();
        for text in ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]", "[::1]:80"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["localhost.example", "128.0.0.1", "[::2]", "127.0.0.1.example"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(
            text in "oci://[a-z]{1,5}(:[1-9][0-9]{0,3})?(/[a-z0-9]{1,4}([.]|_|__|-{1,3})[a-z0-9]{1,4}){1,3}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?(@sha256:[0-9a-f]{64})?"
        ) {
            prop_assert_eq!(Reference::parse(&text).map(|reference| reference.to_string()), Ok(text));
        }

        #[test]
        fn what_is_read_goes_into_a_url_as_it_is(text in "oci://[a-z:/@.%?#\\[\\] 0-9A-Z\u{e9}_-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                let uri: http::Uri = format!("https://{}/v2/{}/x", reference.registry, reference.repository).parse().unwrap();
                prop_assert_eq!(uri.path(), format!("/v2/{}/x", reference.repository));
                prop_assert_eq!(uri.authority().unwrap().as_str(), reference.registry.as_str());
            }
        }
    }
}
