//! The rules of the site: reads them, and answers as a redirect says.

use super::Answerer;
use super::failure::Failure;
use super::file::error_page;
use crate::media_type;
use crate::path::{PathError, RULE_FILES, RelativePath, UrlPath};
use crate::resolve::{self, Found, Resolution};
use crate::response::{Origin, Plan};
use crate::rules::{MAX_FILE_BYTES, Redirect, RuleError, Target, Which, guards};
use crate::tree::{Timestamp, Tree, TreeError};
use std::borrow::Cow;

/// How many redirects are followed to find a circle. Browsers give up after twenty.
const MAX_HOPS: usize = 10;

impl<'a, T: Tree, N: Fn() -> Timestamp> Answerer<'a, T, N> {
    /// Reads the site's rules, if settings ask for them.
    pub(super) async fn read_rules(&mut self) -> Result<(), Failure> {
        let settings = self.settings;
        if settings.rules {
            let ([headers, redirects], [given_headers, given_redirects]) = (RULE_FILES, &settings.rule_texts);
            let headers = self.rule_text(given_headers.as_deref(), headers).await?;
            let guards = match given_headers {
                Some(_) => Cow::Borrowed(settings.rule_guards.as_deref().map_err(Clone::clone)?),
                None => Cow::Owned(guards(&headers)?),
            };
            self.rules.add_guards(guards);
            let redirects = self.rule_text(given_redirects.as_deref(), redirects).await?;
            self.rules.add_site(headers, redirects);
        }
        Ok(())
    }

    /// What the host gives in the place of a file of rules, or the content of the file; nothing if there is none. One that
    /// exists and cannot be read is an error: without it, the site would be served without its guards.
    async fn rule_text(&self, given: Option<&'a str>, name: &'static str) -> Result<Cow<'a, [u8]>, Failure> {
        if let Some(text) = given {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let path = RelativePath::root().join(name);
        // One byte more than the limit, so that the parser sees that the file is too long. It is opened without being examined
        // first, because it is read for every request.
        match self.tree.read_start(&path, MAX_FILE_BYTES + 1).await {
            Ok(content) => Ok(Cow::Owned(content)),
            // Not to be read, and there all the same: forbidden, a directory, or a link that leads nowhere or outside.
            Err(TreeError::NotFound) if self.tree.exists(&path).await? => {
                Err(RuleError::unreadable(name).into())
            }
            Err(TreeError::NotFound) => Ok(Cow::Borrowed(&[])),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer that a rule gives to a request for `path`. A forced rule about the file of another rule comes before that.
    pub(super) async fn follow(
        &mut self,
        rule: Redirect,
        path: &UrlPath<'_>,
    ) -> Result<Plan<T::File>, Failure> {
        let (rule, found) = match self.find_target(&rule).await? {
            Some(found) => match self.rules.redirect(Which::ForcedBut(rule.line), path.query())? {
                None => (rule, Some(found)),
                Some(forced) => {
                    let found = self.find_target(&forced).await?;
                    (forced, found)
                }
            },
            None => (rule, None),
        };
        let found = match (&rule.target, found) {
            (Target::Location(location), _) => {
                self.check_for_circle(path, location, &rule).await?;
                let is_own = location.starts_with('/');
                let location = if is_own { path.relative_reference(location) } else { location.clone() };
                return Ok(redirect(Origin::Rule, rule.status, location));
            }
            (Target::TooLong, _) => return Err(Failure::Status(414)),
            (Target::File(_), None) => {
                return Err(Failure::Status(if rule.status == 410 { 410 } else { 404 }));
            }
            (Target::File(_), Some(found)) => found,
        };
        if rule.status == 200 {
            return self.file(found, path).await;
        }
        let page = resolve::open(self.tree, found, Vec::new, self.settings).await?;
        let media_type = media_type::content_type(page.media_type);
        Ok(error_page(rule.status, media_type, page.file, page.metadata.length))
    }

    /// The file that a rule answers with; `None` if it is missing, or the rule redirects.
    async fn find_target(&mut self, rule: &Redirect) -> Result<Option<Found>, Failure> {
        let Target::File(target) = &rule.target else { return Ok(None) };
        let found = match UrlPath::parse(target, &self.settings.names) {
            Ok(target) => {
                let found = resolve::find(self.tree, &target, self.settings).await?;
                self.rules.requests(target.relative());
                if found.is_none() {
                    self.rules.finds_none(&target);
                }
                found
            }
            // A value from the request made it a name that no file has.
            Err(PathError::NoSuchName(missing)) => {
                self.rules.requests(&missing);
                None
            }
            Err(PathError::Malformed) => None,
        };
        match &found {
            Some(found) => self.rules.answers_with_substitute(&found.path),
            None => self.rules.answers_with_none(),
        }
        Ok(found)
    }

    /// Follows redirects within the site as a client would, and refuses those that lead back to where they were.
    async fn check_for_circle(
        &self,
        path: &UrlPath<'_>,
        location: &str,
        first: &Redirect,
    ) -> Result<(), Failure> {
        let place = |path: &UrlPath<'_>| (path.decoded(), path.query().map(str::to_owned));
        let mut seen = vec![place(path)];
        let mut location = location.to_owned();
        for _ in 0..MAX_HOPS {
            let own = location.split('#').next().unwrap_or_default().to_owned();
            // The redirects of other hosts are not ours, and a name that no file has leads nowhere.
            let Ok(target) = UrlPath::parse(&own, &self.settings.names) else { return Ok(()) };
            if seen.contains(&place(&target)) {
                return Err(first.circle().into());
            }
            seen.push(place(&target));
            match self.next_location(&target, &own).await? {
                Some(next) => location = next,
                None => return Ok(()),
            }
        }
        // A chain that is too long for browsers is still no circle.
        Ok(())
    }

    /// Where a path of this site redirects to, if it does. `target` is the path as it was sent.
    async fn next_location(&self, path: &UrlPath<'_>, target: &str) -> Result<Option<String>, Failure> {
        let resolution = resolve::resolve(self.tree, path, self.settings).await?;
        let file = match &resolution {
            Resolution::File(found) => Some(&found.path),
            _ => None,
        };
        let mut rules = self.rules.about(path.decoded());
        if let Some(file) = file {
            rules.answers_with(file);
        }
        let rule = match rules.redirect(Which::Forced, path.query())? {
            Some(forced) => Some(forced),
            None => match resolution {
                Resolution::Redirect(reference) => {
                    let sent = target.split('?').next().unwrap_or_default();
                    let directory = sent.rfind('/').map_or("", |slash| &sent[..slash]);
                    // The reference begins with a dot, for the directory of the path.
                    return Ok(Some([directory, &reference[1..]].concat()));
                }
                Resolution::File(_) => None,
                Resolution::Directory(_) | Resolution::Listing(_) | Resolution::NotFound => {
                    rules.redirect(Which::Any, path.query())?
                }
            },
        };
        Ok(rule.and_then(|rule| match rule.target {
            Target::Location(location) => Some(location),
            Target::File(_) | Target::TooLong => None,
        }))
    }
}

/// A redirect (RFC 9110 §15.4). Browsers keep a permanent one for ever unless told otherwise, and the disk or the rules may
/// change.
pub(super) fn redirect<F>(origin: Origin, status: u16, location: String) -> Plan<F> {
    Plan::new(origin, status)
        .with("location", location)
        .with("cache-control", crate::cache::REVALIDATE)
        .with("content-length", "0")
}
