//! Errors: a page of the site, a page of ours for browsers, or a line of text for other clients.

use super::Answerer;
use super::failure::Failure;
use super::file::error_page;
use crate::config::{ErrorPages, Settings, SettingsError};
use crate::policy;
use crate::request::{Method, Request};
use crate::resolve::{self, ErrorPage};
use crate::response::{ALLOW, Origin, Plan};
use crate::rules::{Changes, Which};
use crate::tree::{Kind, Timestamp, Tree, stat};
use crate::{accept, cache, guard, html};

/// The type of the pages that the server writes.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The type of errors for clients that are not browsers.
const TEXT: &str = "text/plain; charset=utf-8";

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// The answer to a request that fails.
    pub(super) async fn error(&mut self, failure: Failure) -> Plan<T::File> {
        let status = failure.status();
        let mut complaint = failure.complaint();
        let wants_html = accept::wants_html(&self.request.headers);
        let page = if wants_html && status != 500 {
            // Where the system fails at the page too, ours does.
            resolve::error_page(self.tree, status, self.place, self.settings).await.unwrap_or(None)
        } else {
            None
        };
        if let Some(page) = &page {
            self.rules.answers_with(&page.path);
        }
        // A page that a rule or a guard keeps back is not shown.
        let is_open = |page: &ErrorPage<_>| {
            self.access_to(&page.path).is_allowed()
                && matches!(self.rules.redirect(Which::Forced, None), Ok(None))
        };
        let mut plan = if let Some(ErrorPage { file, length, .. }) = page.filter(is_open) {
            error_page(status, HTML, file, length)
        } else {
            self.rules.answers_with_none();
            if complaint.is_none() && status != 500 {
                complaint = self.missing_error_pages().await;
            }
            own(&failure, wants_html)
        };
        plan.add_to_list("vary", "Accept");
        if status == 401 {
            plan.set("www-authenticate", guard::challenge(self.settings.realm.as_deref()));
        }
        if status == 405 {
            plan.set("allow", ALLOW);
        }
        if let Failure::Unsatisfiable(length) = failure {
            plan.set("content-range", format!("bytes */{length}"));
        }
        plan.complaint = complaint;
        plan
    }

    /// What the operator must know where the directory of error pages is missing.
    async fn missing_error_pages(&self) -> Option<String> {
        let ErrorPages::Directory(directory) = &self.settings.error_pages else { return None };
        let found = stat(self.tree, directory).await.ok()?;
        let is_missing = found.is_none_or(|metadata| metadata.kind != Kind::Directory);
        is_missing.then(|| {
            let name = directory.as_str().escape_debug();
            format!("FILES_ERROR_PAGE is `{name}`, but there is no such directory in the served one")
        })
    }
}

/// An error as the server itself writes it.
fn own<F>(failure: &Failure, wants_html: bool) -> Plan<F> {
    let status = failure.status();
    let (heading, sentence) = failure.explain();
    let plan = Plan::new(Origin::Server, status).with("cache-control", cache::NEVER);
    if wants_html {
        plan.with("content-security-policy", html::POLICY).with_text(HTML, html::error(heading, sentence))
    } else {
        plan.with_text(TEXT, [heading, ": ", sentence, "\n"].concat())
    }
}

/// The answer where the settings themselves are wrong.
pub(super) fn misconfigured<F>(error: &SettingsError, request: &Request) -> Plan<F> {
    let failure = Failure::Settings(error.clone());
    let mut plan = own(&failure, accept::wants_html(&request.headers));
    plan.add_to_list("vary", "Accept");
    plan.complaint = failure.complaint();
    policy::apply(&mut plan, &Settings::default(), &Changes::default(), request);
    if request.method == Method::Head { plan.without_body() } else { plan }
}
