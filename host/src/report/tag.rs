//! What marks a line as one of a request: its site and its id.

use super::request_id::RequestId;
use std::fmt;
use std::sync::Arc;

/// How a site is called where it has no label of its own.
const DEFAULT: &str = "default";

/// The label of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label(Option<Arc<str>>);

impl Label {
    /// A label with this text.
    pub fn new(text: &str) -> Self {
        Self((text != DEFAULT).then(|| text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT)
    }

    /// Whether it is `default`, which lines do not repeat.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

/// The site and the id of a request. As text it is `[id]`, or `[site id]` where the site has a label.
#[derive(Clone, Debug)]
pub struct Tag {
    /// The label of its site.
    pub site: Label,
    /// Its id.
    pub id: RequestId,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, id } = self;
        if site.is_default() { write!(f, "[{id}]") } else { write!(f, "[{} {id}]", site.as_str()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, Tag};
    use crate::report::request_id::RequestId;

    #[test]
    fn a_tag_names_the_site_unless_it_is_the_only_one() {
        let tag = |site| Tag { site, id: RequestId::given(b"abc").unwrap() }.to_string();
        assert_eq!(tag(Label::default()), "[abc]");
        assert_eq!(tag(Label::new("default")), "[abc]");
        assert_eq!(tag(Label::new("blog")), "[blog abc]");
        assert_eq!((Label::default().as_str(), Label::new("blog").as_str()), ("default", "blog"));
    }
}
