//! The answer to a request: every step in its turn.
//!
//! 1. [`site`]: reads the site's own rules, and follows them
//! 2. this module: what the path leads to
//! 3. [`mod@file`]: a file as an answer
//! 4. [`view`]: whether that is a page instead, and `page`, which makes it
//! 5. [`error`]: the answer to a request that fails, for a [`failure`]

mod error;
mod failure;
mod file;
#[cfg(feature = "markdown")]
mod page;
mod site;
mod view;

use crate::archive::Form;
use crate::conditional::{self, Outcome};
use crate::config::{Settings, SettingsError};
use crate::guard::{Access, Client};
use crate::listing::{self, Part, View};
use crate::path::{PathError, RelativePath, UrlPath};
use crate::policy;
use crate::request::{LONGEST_TARGET, Method, Request};
use crate::resolve::{self, Found, Resolution};
use crate::response::{ALLOW, Body, Origin, Plan};
use crate::rules::{Changes, Rules, Which};
use crate::tree::{Timestamp, Tree, stat_file};
use crate::validators::{EntityTag, Validators};
use crate::{accept, archive, cache, html, markdown};
use error::{HTML, misconfigured};
use failure::Failure;
use site::redirect;
use std::cell::OnceCell;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Decides the whole answer to a request, also where the settings are wrong. `now` is asked only when the answer depends on the
/// time.
pub async fn handle<T: Tree>(
    tree: &T,
    settings: Result<&Settings, &SettingsError>,
    request: &Request,
    now: impl Fn() -> Timestamp,
) -> Plan<T::File> {
    match settings {
        Ok(settings) => respond(tree, settings, request, now).await,
        Err(error) => misconfigured(error, request),
    }
}

/// Decides the whole answer to a request. `now` is asked only when the answer depends on the time.
pub async fn respond<T: Tree>(
    tree: &T,
    settings: &Settings,
    request: &Request,
    now: impl Fn() -> Timestamp,
) -> Plan<T::File> {
    let clock = Clock { now, cell: OnceCell::new() };
    let path = UrlPath::parse(&request.target, &settings.names);
    // For rules and error pages, a name that no file has is a missing name in the same directory.
    let root = RelativePath::root();
    let missing = match &path {
        Ok(path) => path.relative(),
        Err(PathError::NoSuchName(missing)) => missing,
        Err(PathError::Malformed) => &root,
    };
    let requested = || path.as_ref().map_or_else(|_| missing.decoded(), UrlPath::decoded);
    let rules = if settings.has_rules() { Rules::new(settings, requested()) } else { Rules::none(settings) };
    let mut answerer = Answerer { tree, settings, request, clock: &clock, place: missing, rules };
    let outcome = answerer.answer(path.as_ref()).await;
    // Whichever file it is that answers, its guards are asked before anything of it is sent.
    let access = answerer.access();
    let mut is_guarded = access != Access::Open;
    let mut plan = match answerer.admit(access).and(outcome) {
        Ok(plan) => plan,
        Err(failure) => answerer.error(failure).await,
    };
    if let Err(error) = answerer.rules.changes() {
        // Without its rules, no part of the site is sent.
        answerer.rules.remove_site();
        plan = answerer.error(error.into()).await;
    }
    // A page for an error has guards of its own, and what a listing shows depends on them.
    is_guarded = is_guarded || answerer.access() != Access::Open;
    is_guarded |= plan.origin == Origin::Listing && answerer.rules.has_guards();
    // Where the rules of the settings are wrong too, only the server's own fields remain.
    let none = Changes::default();
    policy::apply(&mut plan, settings, answerer.rules.changes().unwrap_or(&none), request);
    if is_guarded {
        policy::keep_private(&mut plan);
    }
    if request.method == Method::Head { plan.without_body() } else { plan }
}

/// The time of the answer. It is the same however often it is read.
struct Clock<N> {
    now: N,
    cell: OnceCell<Timestamp>,
}

impl<N: Fn() -> Timestamp> Clock<N> {
    fn now(&self) -> Timestamp {
        *self.cell.get_or_init(&self.now)
    }

    /// A boundary between parts that occurs in no file: its author cannot know the nanosecond of this answer beforehand.
    fn boundary(&self, target: &str) -> String {
        let now = self.now();
        let seed = now.seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::from(now.nanoseconds));
        format!("{:032x}", xxh3_128_with_seed(target.as_bytes(), seed))
    }
}

struct Answerer<'a, T, N> {
    tree: &'a T,
    settings: &'a Settings,
    request: &'a Request,
    clock: &'a Clock<N>,
    /// The requested path, or one that is missing in the directory of a name that no file has.
    place: &'a RelativePath,
    rules: Rules<'a>,
}

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    async fn answer(&mut self, path: Result<&UrlPath<'_>, &PathError>) -> Result<Plan<T::File>, Failure> {
        self.read_rules().await?;
        if self.request.target.len() > LONGEST_TARGET {
            return Err(Failure::Status(414));
        }
        // Before anything is looked at: that a guarded file is missing is not told either.
        self.rules.requests(self.place);
        self.admit(self.access())?;
        match self.request.method {
            Method::Get | Method::Head => {}
            // Without a Content-Length, which a 204 must not have (RFC 9110 §8.6).
            Method::Options => return Ok(Plan::new(Origin::Server, 204).with("allow", ALLOW)),
            Method::Other => return Err(Failure::Status(405)),
        }
        let path = path.map_err(|error| {
            Failure::Status(match error {
                PathError::Malformed => 400,
                PathError::NoSuchName(_) => 404,
            })
        })?;
        let resolution = resolve::resolve(self.tree, path, self.settings).await?;
        match &resolution {
            Resolution::File(found) => self.rules.answers_with(&found.path),
            _ => self.rules.finds_none(path),
        }
        if let Some(rule) = self.rules.redirect(Which::Forced, path.query())? {
            return self.follow(rule, path).await;
        }
        let archive = self.archive_of(path);
        match resolution {
            // The index of the directory, whose path ends in a slash.
            Resolution::File(found) => match archive {
                Some(form) => {
                    self.rules.answers_with_none();
                    self.archive(path.relative(), form).await
                }
                None => match self.file(found, path).await {
                    // Readable metadata but unreadable content: answered like a missing file.
                    Err(Failure::Status(404)) => self.nothing(path).await,
                    other => other,
                },
            },
            Resolution::Redirect(location) => Ok(redirect(Origin::Server, 308, location)),
            Resolution::Directory(_) | Resolution::Listing(_) | Resolution::NotFound => {
                // A listing is not a file: rules answer as they do where listings are off.
                if let Some(rule) = self.rules.redirect(Which::Any, path.query())? {
                    return self.follow(rule, path).await;
                }
                match resolution {
                    Resolution::Directory(location) => Ok(redirect(Origin::Server, 308, location)),
                    Resolution::Listing(directory) => match archive {
                        Some(form) => self.archive(&directory, form).await,
                        None => self.listing(&directory, path).await,
                    },
                    _ => self.fallback(path).await,
                }
            }
        }
    }

    /// Whether the client may have the answer, as far as guards are about it. Preflights of the CORS protocol cannot log in, and
    /// an answer to OPTIONS is the same for each path.
    fn admit(&self, access: Access) -> Result<(), Failure> {
        match access {
            Access::Open | Access::Granted => Ok(()),
            _ if self.request.method == Method::Options => Ok(()),
            Access::Denied => Err(Failure::Status(401)),
            Access::InClear => Err(Failure::InClear),
        }
    }

    /// What guards allow the client with the answer.
    fn access(&self) -> Access {
        if self.rules.has_guards() { self.rules.access(&self.client()) } else { Access::Open }
    }

    /// What guards allow the client with another file or directory.
    fn access_to(&self, path: &RelativePath) -> Access {
        if self.rules.has_guards() { self.rules.access_to(path, &self.client()) } else { Access::Open }
    }

    fn client(&self) -> Client<'_> {
        Client::of(&self.request.headers, self.settings.realm.is_some())
    }

    /// The answer where no file can be read: a rule, or as [`Self::fallback`].
    async fn nothing(&mut self, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        self.rules.answers_with_none();
        self.rules.finds_none(path);
        match self.rules.redirect(Which::Any, path.query())? {
            Some(rule) => self.follow(rule, path).await,
            None => self.fallback(path).await,
        }
    }

    /// The answer where there is no file and no rule: the page of an application, or an error.
    async fn fallback(&mut self, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        match self.spa(path).await? {
            Some(found) => {
                self.rules.answers_with_substitute(&found.path);
                if let Some(rule) = self.rules.redirect(Which::Forced, path.query())? {
                    return self.follow(rule, path).await;
                }
                let mut plan = self.file(found, path).await?;
                plan.add_to_list("vary", "Accept");
                Ok(plan)
            }
            None if path.has_controls() => Err(Failure::Status(400)),
            None => Err(Failure::Status(404)),
        }
    }

    /// The page of a single-page application, for a navigation to a path that does not exist. A missing script or image is
    /// not a navigation.
    async fn spa(&self, path: &UrlPath<'_>) -> Result<Option<Found>, Failure> {
        let Some(page) = self.settings.spa.of_path(|| path.relative().decoded()) else { return Ok(None) };
        let has_extension = !path.is_directory() && path.relative().file_name().contains('.');
        if has_extension || path.has_controls() || !accept::wants_html(&self.request.headers) {
            return Ok(None);
        }
        if let Some(metadata) = stat_file(self.tree, page).await? {
            return Ok(Some(Found { path: page.clone(), metadata, canonical: None }));
        }
        let name = page.as_str().escape_debug();
        let complaint = format!("FILES_SPA is `{name}`, but there is no such file in the served directory");
        Err(Failure::Missing(complaint))
    }

    /// Whether what is at a path may be a part of another answer: no rule keeps it back, and no guard denies it to the client.
    fn is_unguarded(&self, path: &RelativePath) -> bool {
        if !self.access_to(path).is_allowed() {
            return false;
        }
        let mut rules = self.rules.about(path.decoded());
        rules.answers_with(path);
        matches!(rules.redirect(Which::Forced, None), Ok(None))
    }

    /// The form of the archive that the request is for, if the directory may be one.
    fn archive_of(&self, path: &UrlPath<'_>) -> Option<Form> {
        // Most settings allow none.
        if self.settings.archive.same_for_all() == Some(&false) || !path.is_directory() {
            return None;
        }
        let form = Form::asked_for(path.query())?;
        let is_offered = form == Form::Tar || self.settings.compressed_archives;
        (is_offered && archive::is_open(path.relative(), self.settings)).then_some(form)
    }

    /// A directory with everything below it, as an archive. It has no validators: nothing but its content tells whether it has changed.
    async fn archive(&self, directory: &RelativePath, form: Form) -> Result<Plan<T::File>, Failure> {
        let is_unguarded = |path: &RelativePath| self.is_unguarded(path);
        // Boxed, so that the futures of other answers stay small.
        let archive = Box::pin(archive::collect(self.tree, directory, is_unguarded, self.settings)).await?;
        let about = |status| Plan::new(Origin::Listing, status).with("cache-control", cache::REVALIDATE);
        match conditional::evaluate(self.request, &Validators::default(), 0) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Ok(about(304)),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
        }
        let mut plan = about(200)
            .with("accept-ranges", "none")
            .with("content-type", form.media_type())
            .with("content-disposition", archive::disposition(directory, form))
            .with("content-length", archive.length().to_string());
        if form == Form::TarGz {
            plan = plan.with(archive::GZIP_FIELD, "on");
        }
        plan.body = Body::Archive(Box::new(archive));
        Ok(plan)
    }

    /// A directory, as a page or as JSON.
    async fn listing(&self, directory: &RelativePath, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        let view = View::from_query(path.query());
        let is_json = accept::wants_json(&self.request.headers);
        let has_guards = self.rules.has_guards();
        let shows = |part: Part<'_>| match part {
            // What the client could not open is not told of.
            Part::Entry(name) => !has_guards || self.access_to(&directory.join(name)).is_allowed(),
            Part::Readme(readme) => !is_json && self.is_unguarded(readme),
        };
        let listing = listing::list(self.tree, directory, view, shows, self.settings).await?;
        let text = if is_json { listing::json::render(&listing) } else { listing::html::render(&listing) };
        let validators =
            Validators { entity_tag: Some(EntityTag::of(text.as_bytes())), ..Validators::default() };
        let is_rendered = listing.readme.is_some_and(|readme| readme.rendered().is_some());
        let policy = if is_rendered { markdown::POLICY } else { html::POLICY };
        let about = |status| {
            Plan::new(Origin::Listing, status)
                .with_some("etag", validators.entity_tag.as_ref().map(EntityTag::field))
                .with("cache-control", cache::REVALIDATE)
                .with("vary", "Accept")
                // Also with a 304, which may change the fields of the page that a client has.
                .with_some("content-security-policy", (!is_json).then_some(policy))
        };
        // The date of the answer matters only to modification dates, of which a listing has none.
        match conditional::evaluate(self.request, &validators, 0) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Ok(about(304)),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
        }
        let plan = about(200);
        Ok(plan.with_text(if is_json { "application/json" } else { HTML }, text))
    }
}
