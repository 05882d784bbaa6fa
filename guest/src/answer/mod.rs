//! The answer to a request: every step in its turn.
//!
//! 1. [`site`]: what the site's own rules say
//! 2. this module: what there is at the path
//! 3. [`mod@file`]: how a file is answered
//! 4. [`error`]: what is said where there is none

mod error;
mod file;
mod site;

pub use error::misconfigured;

use crate::conditional::{self, Outcome};
use crate::config::Settings;
use crate::listing::{self, View};
use crate::path::{PathError, RelativePath, UrlPath};
use crate::policy::{self, Rules};
use crate::request::{LONGEST_TARGET, Method, Request};
use crate::resolve::{self, Metadata, Resolution, Timestamp, Tree, TreeError};
use crate::response::{ALLOW, Plan};
use crate::validators::Validators;
use crate::{accept, cache, html};
use error::{Failure, HTML};
use site::redirect;
use std::cell::OnceCell;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Decides the whole answer to a request. `now` is asked only when the answer depends on the time.
pub async fn respond<T: Tree>(
    tree: &T,
    settings: &Settings,
    request: &Request,
    now: impl Fn() -> Timestamp,
) -> Plan<T::File> {
    let clock = Clock { now, cell: OnceCell::new() };
    let path = UrlPath::parse(&request.target, settings.hidden);
    // What the rules are compared with. A name that cannot be is, for them too, a name that is not there.
    let requested = match &path {
        Ok(path) => path.decoded(),
        Err(PathError::NoSuchName(missing)) => missing.decoded(),
        Err(PathError::Malformed) => RelativePath::root().decoded(),
    };
    let rules = Rules::new(settings, requested);
    let mut answerer = Answerer { tree, settings, request, clock: &clock, rules };
    let outcome = match answerer.read_rules().await {
        Ok(()) => answerer.answer(path.as_ref()).await,
        Err(failure) => Err(failure),
    };
    let mut plan = match outcome {
        Ok(plan) => plan,
        Err(failure) => {
            let missing = match &path {
                Ok(path) => path.relative().clone(),
                Err(PathError::NoSuchName(missing)) => missing.clone(),
                Err(PathError::Malformed) => RelativePath::root(),
            };
            answerer.error(failure, &missing).await
        }
    };
    policy::apply(&mut plan, settings, &answerer.rules, request);
    if request.method == Method::Head { plan.without_body() } else { plan }
}

/// The time of the answer: one moment, however often it is asked for.
struct Clock<N> {
    now: N,
    cell: OnceCell<Timestamp>,
}

impl<N: Fn() -> Timestamp> Clock<N> {
    fn now(&self) -> Timestamp {
        *self.cell.get_or_init(&self.now)
    }

    /// Digits that nobody can know beforehand who does not know the nanosecond of this answer.
    fn nonce(&self, salt: &[u8]) -> String {
        let now = self.now();
        let seed = now.seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::from(now.nanoseconds));
        format!("{:032x}", xxh3_128_with_seed(salt, seed))
    }
}

struct Answerer<'a, T, N> {
    tree: &'a T,
    settings: &'a Settings,
    request: &'a Request,
    clock: &'a Clock<N>,
    rules: Rules<'a>,
}

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    async fn answer(&mut self, path: Result<&UrlPath<'_>, &PathError>) -> Result<Plan<T::File>, Failure> {
        if self.request.target.len() > LONGEST_TARGET {
            return Err(Failure::Status(414));
        }
        match self.request.method {
            Method::Get | Method::Head => {}
            // Without a Content-Length, which a 204 must not have (RFC 9110 §8.6).
            Method::Options => return Ok(Plan::new(204).with("allow", ALLOW)),
            Method::Other => return Err(Failure::Status(405)),
        }
        let path = path.map_err(|error| {
            Failure::Status(match error {
                PathError::Malformed => 400,
                PathError::NoSuchName(_) => 404,
            })
        })?;
        if let Some(plan) = self.forced(path).await? {
            return Ok(plan);
        }
        match resolve::resolve(self.tree, path, self.settings).await? {
            Resolution::File(file, metadata) => {
                self.rules.opened(&file);
                // A rule about a file holds however it is asked for: by its clean URL, as an index.
                if let Some(plan) = self.forced(path).await? {
                    return Ok(plan);
                }
                match self.file(file, &metadata, path, 200).await {
                    // It may be looked at and not be read: for everybody, it is not there.
                    Err(Failure::Status(404)) => {}
                    other => return other,
                }
            }
            Resolution::Listing(directory) => return self.listing(&directory, path).await,
            // Browsers keep a permanent redirect for ever unless told otherwise, and the disk may change.
            Resolution::Redirect(location) => {
                return Ok(redirect(308, location).with("cache-control", cache::REVALIDATE));
            }
            Resolution::NotFound => {}
        }
        self.nothing(path).await
    }

    /// The answer of a rule that holds even where there is a file, if there is one.
    async fn forced(&mut self, path: &UrlPath<'_>) -> Result<Option<Plan<T::File>>, Failure> {
        match self.rules.redirect(true) {
            Some((rule, from)) => self.obey(&rule, &from, path).await.map(Some),
            None => Ok(None),
        }
    }

    /// The answer where there is no file: that of a rule, of an application, or none.
    async fn nothing(&mut self, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        self.rules.opened.clear();
        if let Some((rule, from)) = self.rules.redirect(false) {
            return self.obey(&rule, &from, path).await;
        }
        match self.spa(path).await? {
            Some((file, metadata)) => {
                self.rules.opened(&file);
                let mut plan = self.file(file, &metadata, path, 200).await?;
                plan.add_to_list("vary", "Accept");
                Ok(plan)
            }
            None if path.has_controls() => Err(Failure::Status(400)),
            None => Err(Failure::Status(404)),
        }
    }

    /// The file for a navigation to a path that does not exist: to a page, as browsers ask for them, and not to a script
    /// or an image that is missing.
    async fn spa(&self, path: &UrlPath<'_>) -> Result<Option<(RelativePath, Metadata)>, TreeError> {
        let Some(file) = &self.settings.spa else { return Ok(None) };
        let has_extension = !path.is_directory() && path.relative().file_name().contains('.');
        if has_extension || path.has_controls() || !accept::wants_html(&self.request.headers) {
            return Ok(None);
        }
        let metadata = resolve::stat_file(self.tree, file).await?;
        Ok(metadata.map(|metadata| (file.clone(), metadata)))
    }

    /// A directory, as a page or as JSON.
    async fn listing(&self, directory: &RelativePath, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        let about =
            |status| Plan::new(status).with("cache-control", cache::REVALIDATE).with("vary", "Accept");
        // A listing has no validators, and exists: that is enough for the asterisk, and for no tag.
        match conditional::evaluate(self.request, &Validators::default(), self.clock.now().seconds) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Ok(about(304)),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
        }
        let view = View::from_query(path.query());
        let listing = listing::list(self.tree, directory, view, self.settings).await?;
        let plan = about(200);
        if accept::wants_json(&self.request.headers) {
            return Ok(plan.with_text("application/json", listing::json::render(&listing)));
        }
        let nonce = self.clock.nonce(directory.as_str().as_bytes());
        let page = listing::html::render(&listing, &nonce);
        Ok(plan.with("content-security-policy", html::policy(&nonce)).with_text(HTML, page))
    }
}
