//! A site that has but a part of a host: its component sees paths without their prefix, as if the part was the whole.

use super::route::strip;
use crate::config::site::Site;
use http::Uri;
use http::header::{CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};
use http::uri::PathAndQuery;

/// A prefix that paths lose on their way to a component, and get back in its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped(String);

impl Stripped {
    /// The one of a site, if it has one.
    pub(super) fn of(site: &Site) -> Option<Self> {
        let prefix = site.prefix.as_str().trim_end_matches('/');
        (site.strip_prefix && !prefix.is_empty()).then(|| Self(prefix.to_owned()))
    }

    /// Whether a path is the prefix and nothing else. Relative links in an answer to it would lead out of the site, so that it
    /// is to be redirected to the path with a slash at its end.
    pub fn is_bare(&self, path: &str) -> bool {
        strip(path, &self.0).is_some_and(str::is_empty)
    }

    /// Takes the prefix away.
    pub(super) fn strip(&self, uri: &mut Uri) {
        let Some(target) = uri.path_and_query() else { return };
        let Some(path) = strip(target.path(), &self.0) else { return };
        let path = if path.is_empty() { "/" } else { path };
        let target = match target.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path),
        };
        let mut parts = uri.clone().into_parts();
        // A part of what was parsed before can be parsed.
        if let Ok(target) = target {
            parts.path_and_query = Some(target);
            if let Ok(stripped) = Uri::from_parts(parts) {
                *uri = stripped;
            }
        }
    }

    /// Puts it before the paths that an answer names (RFC 9110 §8.7 and §10.2.2).
    pub(super) fn restore(&self, headers: &mut HeaderMap) {
        for name in [LOCATION, CONTENT_LOCATION] {
            let Some(value) = headers.get_mut(name) else { continue };
            // What begins with two slashes names a host.
            let path = value.as_bytes();
            if path.starts_with(b"/") && !path.starts_with(b"//") {
                let whole = [self.0.as_bytes(), path].concat();
                if let Ok(whole) = HeaderValue::from_bytes(&whole) {
                    *value = whole;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stripped;
    use http::header::{HeaderMap, HeaderValue, LOCATION};

    fn prefix() -> Stripped {
        Stripped("/docs".to_owned())
    }

    #[test]
    fn a_component_sees_what_follows_the_prefix() {
        for (sent, seen) in [
            ("/docs/", "/"),
            ("/docs", "/"),
            ("/docs?a=/docs/b", "/?a=/docs/b"),
            ("/docs/a%2Fb?c", "/a%2Fb?c"),
            ("/%64ocs/docs/", "/docs/"),
            ("/docs//evil", "//evil"),
            ("/other", "/other"),
        ] {
            let mut uri = sent.parse().unwrap();
            prefix().strip(&mut uri);
            assert_eq!(uri, seen, "{sent}");
        }
        let mut uri = "http://localhost/docs/a".parse().unwrap();
        prefix().strip(&mut uri);
        assert_eq!(uri, "http://localhost/a");
        assert!(prefix().is_bare("/docs") && !prefix().is_bare("/docs/"));
    }

    #[test]
    fn paths_in_answers_have_the_prefix_again() {
        for (given, sent) in [
            ("/a/?b", "/docs/a/?b"),
            ("//example.com/a", "//example.com/a"),
            ("https://example.com/", "https://example.com/"),
            ("a/", "a/"),
        ] {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(given))]);
            prefix().restore(&mut headers);
            assert_eq!(headers[LOCATION], sent);
        }
    }
}
