//! The answer as a plan: status, header fields, and a body that is nothing, bytes, or a piece of a file.
//!
//! A plan is complete before the first byte of it is sent, so that rendering it decides nothing any more.

use crate::media_type;
use crate::resolve::Representation;
use crate::validators::{Validators, http_date};

/// A field of a response: its name in lower case, and its value.
pub type Field = (&'static str, String);

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
}

/// A response, decided and not yet sent.
#[derive(Debug)]
pub struct Plan<F> {
    /// The status code (RFC 9110 §15).
    pub status: u16,
    /// The header fields, in the order in which they are sent.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Body<F>,
}

/// The methods that are answered, for `Allow` (RFC 9110 §10.2.1).
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// Browsers are told to believe the media type, in every answer: a text must not become a script by its looks.
const NOSNIFF: (&str, &str) = ("x-content-type-options", "nosniff");

impl<F> Plan<F> {
    fn new(status: u16) -> Self {
        let headers = vec![(NOSNIFF.0, NOSNIFF.1.to_owned())];
        Self { status, headers, body: Body::Empty }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 200 with the whole file.
    pub fn whole(representation: Representation<F>, validators: &Validators) -> Self {
        let Representation { file, path, metadata } = representation;
        let mut plan = Self::new(200)
            .with("content-type", media_type::of(&path))
            .with("content-length", metadata.length.to_string());
        plan.add_validators(validators, true);
        plan.body = match metadata.length {
            0 => Body::Empty,
            length => Body::File { file, offset: 0, length },
        };
        plan
    }

    /// 304: the fields that a 200 would have carried for the cache, and no others (RFC 9110 §15.4.5).
    pub fn not_modified(validators: &Validators) -> Self {
        let mut plan = Self::new(304);
        // The date only serves a cache that has no tag to go by.
        plan.add_validators(validators, validators.entity_tag.is_none());
        plan
    }

    /// 308 to a path on this host: the method and the body of the request stay what they were (RFC 9110 §15.4.9).
    pub fn redirect(location: String) -> Self {
        Self::new(308).with("location", location).with("content-length", "0")
    }

    /// 204 for OPTIONS, without a Content-Length (RFC 9110 §8.6).
    pub fn options() -> Self {
        Self::new(204).with("allow", ALLOW)
    }

    /// An error, said in plain text. Caches keep none: the file may be there in a moment.
    pub fn error(status: u16) -> Self {
        let text = match status {
            400 => "400 Bad Request: this is not a valid path.\n",
            404 => "404 Not Found\n",
            405 => "405 Method Not Allowed: this server answers GET, HEAD and OPTIONS.\n",
            412 => "412 Precondition Failed: the file is not in the state that the request asked for.\n",
            _ => {
                "500 Internal Server Error: the file could not be read; the server's system reported a fault.\n"
            }
        };
        let mut plan = Self::new(status)
            .with("content-type", "text/plain; charset=utf-8")
            .with("content-length", text.len().to_string())
            .with("cache-control", "no-store");
        if status == 405 {
            plan = plan.with("allow", ALLOW);
        }
        plan.body = Body::Bytes(text.into());
        plan
    }

    /// The same answer to HEAD: every field, no body (RFC 9110 §9.3.2).
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.body = Body::Empty;
        self
    }

    fn add_validators(&mut self, validators: &Validators, with_date: bool) {
        if let Some(tag) = &validators.entity_tag {
            self.headers.push(("etag", tag.to_string()));
        }
        if let Some(date) = validators.last_modified.filter(|_| with_date).and_then(http_date) {
            self.headers.push(("last-modified", date));
        }
    }
}
