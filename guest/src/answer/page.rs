//! A file of Markdown as a page. A component without Markdown has none of this, not even a state to wait in.

use super::Answerer;
use super::error::HTML;
use super::failure::Failure;
use crate::conditional::{self, Outcome};
use crate::resolve::Found;
use crate::response::{Origin, Plan};
use crate::tree::{Timestamp, Tree};
use crate::validators::{EntityTag, Validators};
use crate::{cache, markdown};

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// A file of Markdown as a page; `None` where it has become too long for one.
    ///
    /// The tag is that of the page, because it depends on this server too. So does its time of change, which is not known: there is
    /// no `Last-Modified`.
    pub(super) async fn page(&self, found: &Found) -> Result<Option<Plan<T::File>>, Failure> {
        let source = self.tree.read_start(&found.path, markdown::MAX_BYTES + 1).await?;
        if source.len() > markdown::MAX_BYTES {
            return Ok(None);
        }
        let text = markdown::page(found.path.file_name(), &source);
        let validators =
            Validators { entity_tag: Some(EntityTag::of(text.as_bytes())), ..Validators::default() };
        let about = |status| {
            Plan::new(Origin::Page, status)
                .with_some("etag", validators.entity_tag.as_ref().map(EntityTag::field))
                .with("vary", "Accept")
                .with("cache-control", cache::control(self.settings, &found.path))
                // Also with a 304, which may change the fields of the page that a client has.
                .with("content-security-policy", markdown::POLICY)
        };
        match conditional::evaluate(self.request, &validators, 0) {
            Outcome::Proceed => Ok(Some(about(200).with_text(HTML, text))),
            Outcome::NotModified => Ok(Some(about(304))),
            Outcome::PreconditionFailed => Err(Failure::Status(412)),
        }
    }
}
