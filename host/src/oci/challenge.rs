//! What a registry demands of a client that it does not know: the field `WWW-Authenticate` of a 401 (RFC 9110 §11.6.1), with
//! the schemes Basic (RFC 7617) and Bearer, whose token another server gives (Docker's "Token Authentication Specification").

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that stand for themselves in a query (RFC 3986 §2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user name and a password.
    Basic,
    /// A token, which the server at a URL gives.
    Bearer {
        /// The URL.
        realm: String,
        /// The name of the registry there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the value of a field; `None` if it demands something else. Of several, a token counts first.
    pub fn parse(field: &str) -> Option<Self> {
        let mut found = None;
        let mut rest = field.trim_start();
        while !rest.is_empty() {
            let (scheme, after) = token(rest)?;
            let (parameters, after) = parameters(after)?;
            let of = |name: &str| {
                let mut values = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
                values.next().map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("bearer") {
                return Some(Self::Bearer { realm: of("realm")?, service: of("service") });
            } else if scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::Basic);
            }
            rest = after;
        }
        found
    }
}

/// The URL at which a token for this scope is asked for.
pub fn token_url(realm: &str, service: Option<&str>, scope: &str) -> String {
    let separator = if realm.contains('?') { '&' } else { '?' };
    let encoded = |text| utf8_percent_encode(text, QUERY);
    let service = service.map(|service| format!("service={}&", encoded(service))).unwrap_or_default();
    format!("{realm}{separator}{service}scope={}", encoded(scope))
}

/// A token (RFC 9110 §5.6.2), and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_of_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

type Parameters = Vec<(String, String)>;

/// The parameters of a challenge, and the beginning of the next one.
fn parameters(text: &str) -> Option<(Parameters, &str)> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while let Some((name, after)) = token(rest) {
        let Some(value) = after.trim_start().strip_prefix('=') else { break };
        let (value, after) = value_of(value.trim_start())?;
        parameters.push((name.to_owned(), value));
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some((parameters, rest))
}

/// A token or a quoted string (RFC 9110 §5.6.4), and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Challenge, token_url};
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn challenges_of_registries_are_read() {
        for (field, expected) in [
            ("Basic realm=\"Registry\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a/b:pull\"",
                Some(bearer("https://auth.example/token", Some("registry.example"))),
            ),
            ("Bearer service=x , realm=\"https://a/\\\"b\"", Some(bearer("https://a/\"b", Some("x")))),
            ("Basic realm=\"a, b\", Bearer realm=\"https://a\"", Some(bearer("https://a", None))),
            ("Negotiate, Basic realm=x", Some(Challenge::Basic)),
            ("Bearer", None),
            ("Bearer realm=\"https://a", None),
            ("Digest realm=\"x\"", None),
            ("=", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(field), expected, "{field}");
        }
    }

    #[test]
    fn the_url_of_a_token_has_no_other_meaning() {
        let scope = "repository:a/b:pull,push";
        assert_eq!(
            token_url("https://a/t", Some("x&y=z"), scope),
            "https://a/t?service=x%26y%3Dz&scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
        assert_eq!(token_url("https://a/t?u=v", None, "s"), "https://a/t?u=v&scope=s");
    }

    proptest! {
        #[test]
        fn anything_can_be_tried(field in "(Bearer|Basic)?[ ,=\\\\\"a-z\u{e9}]{0,40}") {
            let _ = Challenge::parse(&field);
        }
    }
}
