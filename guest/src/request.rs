//! The request: method, target and header fields, in plain types.

use std::cell::OnceCell;
use std::fmt;

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

/// A field on which an answer can depend. No other field of a request is ever read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// RFC 9110 §12.5.1
    Accept,
    /// RFC 9110 §12.5.3
    AcceptEncoding,
    /// The Fetch standard's CORS protocol
    AccessControlRequestMethod,
    /// RFC 9110 §11.6.2
    Authorization,
    /// RFC 9110 §13.1.1
    IfMatch,
    /// RFC 9110 §13.1.3
    IfModifiedSince,
    /// RFC 9110 §13.1.2
    IfNoneMatch,
    /// RFC 9110 §13.1.5
    IfRange,
    /// RFC 9110 §13.1.4
    IfUnmodifiedSince,
    /// What a host says of the client's password, see [`guard`](crate::guard)
    Login,
    /// RFC 6454 §7
    Origin,
    /// RFC 9110 §14.2
    Range,
    /// RFC 9530 §4
    WantReprDigest,
}

impl Name {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Accept,
        Self::AcceptEncoding,
        Self::AccessControlRequestMethod,
        Self::Authorization,
        Self::IfMatch,
        Self::IfModifiedSince,
        Self::IfNoneMatch,
        Self::IfRange,
        Self::IfUnmodifiedSince,
        Self::Login,
        Self::Origin,
        Self::Range,
        Self::WantReprDigest,
    ];

    /// The field of this name, in lower case; `None` if no answer depends on it.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::AcceptEncoding => "accept-encoding",
            Self::AccessControlRequestMethod => "access-control-request-method",
            Self::Authorization => "authorization",
            Self::IfMatch => "if-match",
            Self::IfModifiedSince => "if-modified-since",
            Self::IfNoneMatch => "if-none-match",
            Self::IfRange => "if-range",
            Self::IfUnmodifiedSince => "if-unmodified-since",
            Self::Login => "wasi-httpd-login",
            Self::Origin => "origin",
            Self::Range => "range",
            Self::WantReprDigest => "want-repr-digest",
        }
    }

    /// Whether browsers send the field with every request.
    pub fn is_usual(self) -> bool {
        matches!(self, Self::Accept | Self::AcceptEncoding)
    }
}

/// The values of one field, one for each line, in the order received.
///
/// They are bytes: RFC 9110 §5.5 allows more than ASCII, so nothing may assume that they are UTF-8.
pub type Lines = Vec<Vec<u8>>;

/// Where the fields of a message are found by name.
pub trait Lookup {
    /// The lines of a field. Names are case-insensitive (RFC 9110 §5.1).
    fn lines(&self, name: Name) -> Lines;
}

/// All fields of a message, names and values.
impl Lookup for Vec<(String, Vec<u8>)> {
    fn lines(&self, name: Name) -> Lines {
        let name = name.as_str();
        let lines = self.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.clone()).collect()
    }
}

/// The header fields of a request. A field is looked up when it is first asked for, because most answers depend on few of the
/// fields that browsers send, and only once.
pub struct Headers {
    source: Box<dyn Lookup>,
    known: [OnceCell<Lines>; Name::ALL.len()],
}

impl Headers {
    /// The fields of a message.
    pub fn new(source: impl Lookup + 'static) -> Self {
        Self { source: Box::new(source), known: [const { OnceCell::new() }; Name::ALL.len()] }
    }

    /// The values of a field, one for each line.
    pub fn values(&self, name: Name) -> &[Vec<u8>] {
        self.known[name as usize].get_or_init(|| self.source.lines(name))
    }

    /// The value of a field that must not be repeated; `None` if it is absent or repeated.
    pub fn single(&self, name: Name) -> Option<&[u8]> {
        match self.values(name) {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Whether there is a line of this field.
    pub fn contains(&self, name: Name) -> bool {
        !self.values(name).is_empty()
    }
}

impl Default for Headers {
    /// No fields.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Those that have been looked up.
        f.debug_list().entries(self.known.iter().filter_map(OnceCell::get)).finish()
    }
}

/// The parts of a request that the file server uses.
#[derive(Debug)]
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
    use super::{Headers, Lines, Lookup, Name};
    use std::cell::RefCell;
    use std::rc::Rc;

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
        assert_eq!(headers.values(Name::IfNoneMatch), [b"\"a\"", b"\"b\""]);
        assert!(headers.contains(Name::Accept));
        assert!(!headers.contains(Name::Range));
    }

    #[test]
    fn a_repeated_field_is_not_a_single_one() {
        let headers = headers();
        assert_eq!(headers.single(Name::Accept), Some(b"text/html".as_slice()));
        assert_eq!(headers.single(Name::IfNoneMatch), None);
        assert_eq!(headers.single(Name::Range), None);
    }

    #[test]
    fn a_field_is_looked_up_once() {
        struct Counting(Rc<RefCell<Vec<Name>>>);
        impl Lookup for Counting {
            fn lines(&self, name: Name) -> Lines {
                self.0.borrow_mut().push(name);
                Vec::new()
            }
        }
        let asked = Rc::default();
        let headers = Headers::new(Counting(Rc::clone(&asked)));
        for _ in 0..2 {
            assert!(!headers.contains(Name::Range));
            assert_eq!(headers.single(Name::Accept), None);
        }
        assert_eq!(*asked.borrow(), [Name::Range, Name::Accept]);
    }
}
