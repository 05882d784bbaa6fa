//! What was asked: method, target and header fields, in plain types.

/// The longest request target that is answered, in bytes. Every path of a file system is shorter, and every limit of the
/// parsers behind this is told in bytes of it.
pub const LONGEST_TARGET: usize = 16 * 1024;

/// The methods that the file server tells apart (RFC 9110 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Transfer the representation.
    Get,
    /// As [`Method::Get`], without the content.
    Head,
    /// Tell which methods there are.
    Options,
    /// Any other, known or not: a file server has no use for it.
    Other,
}

/// The header fields of a request, in the order in which they came.
///
/// Values are bytes: RFC 9110 §5.5 lets them hold more than ASCII, and nothing here may depend on their being text.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Takes over the fields of a message.
    pub fn new(fields: Vec<(String, Vec<u8>)>) -> Self {
        Self(fields)
    }

    /// The values of every field line named `name`, which is compared without regard to case (RFC 9110 §5.1).
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of a field that must not be repeated; `None` when it is absent or came more than once.
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

/// A request, as far as a file server cares.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request method.
    pub method: Method,
    /// Path and query of the request target as they came, still encoded; `*` for the asterisk-form (RFC 9112 §3.2.4).
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
