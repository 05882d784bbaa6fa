//! What a request asked for, as log lines and diagnostics name it.

use super::request_id::RequestId;
use super::tag::{Label, Tag};
use http::{Method, Uri};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// How much of a request is kept, in bytes: what the access log shows of one. The target is copied, because a part of
/// the head would keep all of it in memory for as long as the answer lasts.
const MAX_KEPT: usize = 8 * 1024;

/// How much of it a diagnostic shows, in bytes.
const MAX_SHOWN: usize = 256;

/// Method and target of a request, and its tag. As text for a diagnostic it is `GET /index.html [3f2a9c1e5b7d0a42]`, of which
/// method and target are cut after 256 bytes.
#[derive(Clone, Debug)]
pub struct Subject {
    text: Arc<str>,
    is_cut: bool,
    tag: Tag,
}

impl Subject {
    /// The subject of a request, which gets the next id.
    pub fn new(method: &Method, uri: &Uri) -> Self {
        let method = method.as_str();
        let absolute;
        let target = if let (None, Some(target)) = (uri.authority(), uri.path_and_query()) {
            target.as_str()
        } else {
            absolute = uri.to_string();
            absolute.as_str()
        };
        thread_local! {
            /// The text under construction, so that one allocation is enough for what is kept.
            static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
        }
        TEXT.with_borrow_mut(|text| {
            text.clear();
            for part in [method, " ", target] {
                text.push_str(&part[..part.floor_char_boundary(MAX_KEPT - text.len())]);
            }
            let is_cut = text.len() < method.len() + 1 + target.len();
            Self {
                text: text.as_str().into(),
                is_cut,
                tag: Tag { site: Label::default(), id: RequestId::next() },
            }
        })
    }

    /// The same, of a request with this id.
    #[must_use]
    pub fn with_id(mut self, id: RequestId) -> Self {
        self.tag.id = id;
        self
    }

    /// The same, of a request for this site.
    #[must_use]
    pub fn with_site(mut self, site: Label) -> Self {
        self.tag.site = site;
        self
    }

    /// Its site and id.
    pub fn tag(&self) -> &Tag {
        &self.tag
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.text.split_once(' ').map_or(&self.text, |(method, _)| method)
    }

    /// The target, as far as it was kept.
    pub fn target(&self) -> &str {
        self.text.split_once(' ').map_or("", |(_, target)| target)
    }

    /// The text in full, as far as it was kept.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether the request was longer than what was kept.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.text[..self.text.floor_char_boundary(MAX_SHOWN)];
        f.write_str(shown)?;
        if shown.len() < self.text.len() {
            f.write_str("...")?;
        }
        write!(f, " {}", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, MAX_KEPT, RequestId, Subject};
    use http::Method;

    fn subject(target: &str) -> Subject {
        Subject::new(&Method::GET, &target.parse().unwrap())
    }

    #[test]
    fn a_request_is_named_by_method_and_target() {
        for target in ["/", "/a?b=c", "http://localhost/a", "*"] {
            let subject = subject(target).with_id(RequestId::given(b"abc").unwrap());
            assert_eq!(subject.to_string(), format!("GET {target} [abc]"));
            assert_eq!((subject.method(), subject.target()), ("GET", target));
            assert_eq!(subject.with_site(Label::new("blog")).to_string(), format!("GET {target} [blog abc]"));
        }
    }

    #[test]
    fn a_long_target_is_cut_in_messages_and_kept_up_to_a_limit() {
        let long = subject(&format!("/{}", "x".repeat(20_000)));
        assert_eq!(long.to_string().len(), 256 + "... [0123456789abcdef]".len());
        assert!(long.as_bytes().len() == MAX_KEPT && long.is_cut());
    }
}
