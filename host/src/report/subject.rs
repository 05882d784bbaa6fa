//! What a request asked for, as log lines and diagnostics name it.

use http::{Method, Uri};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// How much of a request is kept, in bytes: what the access log shows of one. The target is copied, because a part of
/// the head would keep all of it in memory for as long as the answer lasts.
const MAX_KEPT: usize = 8 * 1024;

/// How much of it a diagnostic shows, in bytes.
const MAX_SHOWN: usize = 256;

/// Method and target of a request, such as `GET /index.html`. As text for a diagnostic it is cut after 256 bytes.
#[derive(Clone, Debug)]
pub struct Subject {
    text: Arc<str>,
    is_cut: bool,
}

impl Subject {
    /// The subject of a request.
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
            Self { text: text.as_str().into(), is_cut }
        })
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
        if shown.len() < self.text.len() { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEPT, Subject};
    use http::Method;

    fn subject(target: &str) -> Subject {
        Subject::new(&Method::GET, &target.parse().unwrap())
    }

    #[test]
    fn a_request_is_named_by_method_and_target() {
        for target in ["/", "/a?b=c", "http://localhost/a", "*"] {
            assert_eq!(subject(target).to_string(), format!("GET {target}"));
        }
    }

    #[test]
    fn a_long_target_is_cut_in_messages_and_kept_up_to_a_limit() {
        let long = subject(&format!("/{}", "x".repeat(20_000)));
        assert_eq!(long.to_string().len(), 256 + "...".len());
        assert!(long.as_bytes().len() == MAX_KEPT && long.is_cut());
    }
}
