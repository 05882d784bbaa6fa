//! Whether a request gets a file or its page.
//!
//! A client whose `Accept` names HTML gets the page of a file of Markdown, and others the file. `?plain` is the file as text for
//! everyone, and `?download` saves it.

use super::Answerer;
use super::failure::Failure;
use crate::path::UrlPath;
use crate::resolve::Found;
use crate::tree::{Timestamp, Tree};
use crate::{accept, markdown};

/// Whether a file has a page, and whether this request gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// It has none.
    File,
    /// It has one, and the URL is that of the text.
    Plain,
    /// It has one, and the client is to get the file.
    Source,
    /// The page.
    Page,
}

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// What of a file this request gets.
    pub(super) fn view(&self, found: &Found, path: &UrlPath<'_>) -> Result<View, Failure> {
        if !self.settings.renders_pages() {
            return Ok(View::File);
        }
        let by_rule = self.rules.changes()?.value("content-type");
        let by_name = || self.settings.media_type(&found.path);
        if !markdown::is_source(by_rule.unwrap_or_else(by_name)) {
            return Ok(View::File);
        }
        let has = |wanted: &str| {
            let mut names = path.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next());
            names.any(|name| name == Some(wanted))
        };
        Ok(if has("plain") {
            View::Plain
        } else if has("download") {
            View::File
        } else if found.metadata.length <= markdown::MAX_BYTES as u64
            && accept::wants_html(&self.request.headers)
        {
            View::Page
        } else {
            View::Source
        })
    }
}
