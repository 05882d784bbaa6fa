//! The request: method, target and header fields, in plain types.

/// The longest request target that is answered, in bytes. Paths of file systems are shorter. It also bounds the input
/// of every parser of paths and queries.
pub const LONGEST_TARGET: usize = 16 * 1024;

/// The methods that the file server distinguishes (RFC 9110 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Transfer the representation.
    Get,
    /// Like [`Method::Get`], without the content.
    Head,
    /// List the supported methods.
    Options,
    /// Any other method, which a file server does not support.
    Other,
}

/// The header fields of a request, in the order received.
///
/// Values are bytes: RFC 9110 §5.5 allows more than ASCII, so nothing may assume that they are UTF-8.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Wraps the fields of a message.
    pub fn new(fields: Vec<(String, Vec<u8>)>) -> Self {
        Self(fields)
    }

    /// The values of every field line named `name`. Names are case-insensitive (RFC 9110 §5.1).
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of a field that must not be repeated; `None` if it is absent or repeated.
    pub fn single<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    /// Whether there is a field line named `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}

/// The parts of a request that the file server uses.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request method.
    pub method: Method,
    /// Path and query of the request target as received, still percent-encoded; `*` for the asterisk-form (RFC 9112
    /// §3.2.4).
    pub target: String,
    /// The header fields.
    pub headers: Headers,
}

#[cfg(test)]
mod tests {
    use super::Headers;

    fn headers() -> Headers {
        Headers::new(vec![
            ("Accept".into(), b"text/html".to_vec()),
            ("if-none-match".into(), b"\"a\"".to_vec()),
            ("If-None-Match".into(), b"\"b\"".to_vec()),
        ])
    }

    #[test]
    fn field_names_are_case_insensitive_and_lines_keep_their_order() {
        let headers = headers();
        assert_eq!(headers.values("IF-NONE-MATCH").collect::<Vec<_>>(), [b"\"a\"", b"\"b\""]);
        assert!(headers.contains("accept"));
        assert!(!headers.contains("range"));
    }

    #[test]
    fn a_repeated_field_is_not_a_single_one() {
        let headers = headers();
        assert_eq!(headers.single("accept"), Some(b"text/html".as_slice()));
        assert_eq!(headers.single("if-none-match"), None);
        assert_eq!(headers.single("range"), None);
    }
}
