//! The answer as a plan: status, header fields, and a body that is empty, bytes, or pieces of a file.
//!
//! A plan is complete before its first byte is sent, so that rendering it decides nothing.

use crate::archive::Archive;
use crate::range::ByteRange;
use std::borrow::Cow;

/// A field of a response: its name in lower case, and its value.
pub type Field = (Cow<'static, str>, Cow<'static, str>);

/// The body of a response.
#[derive(Debug)]
pub enum Body<F> {
    /// None at all.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A piece of a file, which the runtime moves to the client without the guest reading it.
    File {
        /// The file.
        file: F,
        /// Where the piece begins, in bytes.
        offset: u64,
        /// How many bytes it has.
        length: u64,
    },
    /// Pieces of a file, with text before each and after the last (RFC 9110 §14.6).
    Parts {
        /// The file.
        file: F,
        /// The pieces, each behind the head of its part.
        parts: Vec<(String, ByteRange)>,
        /// What follows the last one.
        end: String,
    },
    /// A directory with everything below it, whose files are opened as they are sent.
    Archive(Box<Archive>),
}

/// Where an answer comes from. It decides which of its fields are the server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of the site.
    File,
    /// A file of the site that tells of an error.
    ErrorPage,
    /// A page that the server makes of a file of the site.
    Page,
    /// A redirect of the site's rules.
    Rule,
    /// A listing.
    Listing,
    /// The server: errors, redirects to the URL of a directory, methods.
    Server,
}

/// A response, decided and not yet sent.
#[derive(Debug)]
pub struct Plan<F> {
    /// Where it comes from.
    pub origin: Origin,
    /// The status code (RFC 9110 §15).
    pub status: u16,
    /// The header fields, in the order in which they are sent.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Body<F>,
    /// What the operator must know, on one line.
    pub complaint: Option<String>,
}

/// The methods that are answered, for `Allow` (RFC 9110 §10.2.1).
pub const ALLOW: &str = "GET, HEAD, OPTIONS";

impl<F> Plan<F> {
    /// A response with this status and nothing else yet.
    pub fn new(origin: Origin, status: u16) -> Self {
        Self { origin, status, headers: Vec::with_capacity(12), body: Body::Empty, complaint: None }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sets the body to text, and its length.
    #[must_use]
    pub fn with_text(mut self, media_type: &'static str, text: String) -> Self {
        self = self.with("content-type", media_type).with("content-length", text.len().to_string());
        self.body = Body::Bytes(text.into_bytes());
        self
    }

    /// Adds a member to a field that is a list, unless it is there already.
    pub fn add_to_list(&mut self, name: &'static str, member: impl Into<Cow<'static, str>>) {
        let member = member.into();
        match self.headers.iter_mut().find(|(field, _)| field == name) {
            None => self.headers.push((Cow::Borrowed(name), member)),
            Some((_, list)) => {
                if !list.split(", ").any(|known| known.eq_ignore_ascii_case(&member)) {
                    let list = list.to_mut();
                    list.push_str(", ");
                    list.push_str(&member);
                }
            }
        }
    }

    /// Sets a field, and replaces one of the same name.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) {
        let (name, value) = (name.into(), value.into());
        match self.headers.iter_mut().find(|(field, _)| *field == name) {
            Some((_, old)) => *old = value,
            None => self.headers.push((name, value)),
        }
    }

    /// The same answer to HEAD: every field, no body (RFC 9110 §9.3.2).
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = Body::Empty;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Plan};

    #[test]
    fn a_list_has_every_member_once() {
        let mut plan: Plan<()> = Plan::new(Origin::File, 200);
        plan.add_to_list("vary", "Accept-Encoding");
        plan.add_to_list("vary", "Origin");
        plan.add_to_list("vary", "accept-encoding");
        assert_eq!(plan.headers, [("vary".into(), "Accept-Encoding, Origin".into())]);
    }

    #[test]
    fn a_field_that_is_set_replaces_the_one_before() {
        let mut plan: Plan<()> = Plan::new(Origin::File, 200).with("a", "1").with("b", "2");
        plan.set("a", "3");
        plan.set("c".to_owned(), "4");
        let expected = [("a", "3"), ("b", "2"), ("c", "4")];
        assert_eq!(plan.headers, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
