//! Errors: a page of the site, a page of ours, or a line for what is no browser.

use super::Answerer;
use super::file::page;
use crate::config::{Settings, SettingsError};
use crate::path::RelativePath;
use crate::policy::{self, Rules};
use crate::request::{Method, Request};
use crate::resolve::{self, Timestamp, Tree, TreeError};
use crate::response::{ALLOW, Plan};
use crate::rules::RuleError;
use crate::{accept, cache, html};

/// The type of the pages that the server writes.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The type of what the server says to tools.
const TEXT: &str = "text/plain; charset=utf-8";

/// Why there is no file to answer with.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of this status (RFC 9110 §15).
    Status(u16),
    /// No piece of the file was asked for that exists; it has so many bytes.
    Unsatisfiable(u64),
    /// A file of rules cannot be obeyed.
    Rules(RuleError),
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::Status(match error {
            TreeError::NotFound => 404,
            TreeError::TooMany => 507,
            TreeError::Failed => 500,
        })
    }
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        Self::Rules(error)
    }
}

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// An error: the site's own page for it, a page of ours, or text for what is no browser.
    pub(super) async fn error(&self, failure: Failure, missing: &RelativePath) -> Plan<T::File> {
        let (status, complaint) = match &failure {
            Failure::Status(status) => (*status, None),
            Failure::Unsatisfiable(_) => (416, None),
            Failure::Rules(error) => (500, Some(error.to_string())),
        };
        let is_page = accept::wants_html(&self.request.headers);
        // Where the system fails, asking it for a page would fail too.
        let own = if is_page && status != 500 {
            resolve::error_page(self.tree, status, missing, self.settings).await.unwrap_or(None)
        } else {
            None
        };
        let mut plan = if let Some((file, metadata)) = own {
            page(status, HTML.to_owned(), file, metadata.length)
        } else {
            let (reason, sentence) = explain(&failure, status);
            let heading = format!("{status} {reason}");
            let plan = Plan::new(status).with("cache-control", cache::NEVER);
            if is_page {
                let nonce = self.clock.nonce(b"");
                plan.with("content-security-policy", html::policy(&nonce))
                    .with_text(HTML, html::error(&heading, sentence, &nonce))
            } else {
                plan.with_text(TEXT, format!("{heading}: {sentence}\n"))
            }
        };
        plan.add_to_list("vary", "Accept");
        if status == 405 {
            plan.set("allow", ALLOW.to_owned());
        }
        if let Failure::Unsatisfiable(length) = failure {
            plan.set("content-range", format!("bytes */{length}"));
        }
        plan.complaint = complaint;
        plan
    }
}

/// The answer where the settings themselves are wrong.
pub fn misconfigured<F>(error: &SettingsError, request: &Request) -> Plan<F> {
    let text = "500 Internal Server Error: the settings of this server are wrong; its log says which.\n";
    let mut plan = Plan::new(500).with("cache-control", cache::NEVER).with_text(TEXT, text.to_owned());
    plan.complaint = Some(error.to_string());
    let settings = Settings::default();
    policy::apply(&mut plan, &settings, &Rules::new(&settings, String::new()), request);
    if request.method == Method::Head { plan.without_body() } else { plan }
}

/// What an error is called, and what a person is told of it.
fn explain(failure: &Failure, status: u16) -> (&'static str, &'static str) {
    if let Failure::Rules(_) = failure {
        return (
            "Internal Server Error",
            "the rules of this site cannot be obeyed; the server's log says why.",
        );
    }
    match status {
        400 => ("Bad Request", "this is not a valid path."),
        404 => ("Not Found", "there is no such file here."),
        405 => ("Method Not Allowed", "this server answers GET, HEAD and OPTIONS."),
        412 => ("Precondition Failed", "the file is not in the state that the request asked for."),
        414 => ("URI Too Long", "this address is longer than that of any file."),
        416 => ("Range Not Satisfiable", "the file has no such part."),
        507 => (
            "Insufficient Storage",
            "this directory has too many entries to be listed; its files can be asked for by name.",
        ),
        _ => ("Internal Server Error", "the file could not be read; the server's system reported a fault."),
    }
}
