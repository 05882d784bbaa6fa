//! What the site's own `_headers` and `_redirects` have to say of a request.

use super::Answerer;
use super::error::Failure;
use crate::path::{RULE_FILES, RelativePath, UrlPath};
use crate::resolve::{self, Kind, Resolution, Timestamp, Tree, TreeError, read_start};
use crate::response::Plan;
use crate::rules::{self, Redirect, RuleError, Target};

/// How many redirects of `_redirects` may lead to each other. Browsers give up after twenty.
const MOST_HOPS: usize = 10;

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// Reads the site's own rules, where it has any and they are wanted.
    pub(super) async fn read_rules(&mut self) -> Result<(), Failure> {
        if self.settings.rules {
            let [headers, redirects] = RULE_FILES;
            let headers = self.rule_file(headers).await?;
            let redirects = self.rule_file(redirects).await?;
            self.rules.site_headers = rules::parse_headers(&headers)?;
            self.rules.site_redirects = rules::parse_redirects(&redirects, self.settings.hidden)?;
        }
        Ok(())
    }

    /// The content of a file of rules; nothing where there is none. One that is there and cannot be read is an error:
    /// to go on without it would be to serve the site without its guards.
    async fn rule_file(&self, name: &'static str) -> Result<Vec<u8>, Failure> {
        let path = RelativePath::root().join(name);
        // Not opened before it is known to be a file: a FIFO would be waited for.
        match self.tree.stat(&path).await {
            Ok(metadata) if metadata.kind == Kind::File => {}
            Ok(_) => return Err(RuleError::unreadable(name).into()),
            Err(TreeError::NotFound) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        match self.tree.open(&path).await {
            // One byte more than may be: whoever reads it says that it is too long.
            Ok((file, _)) => Ok(read_start(self.tree, &file, rules::LONGEST_FILE + 1).await?.0),
            Err(TreeError::NotFound) => Err(RuleError::unreadable(name).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The answer that a rule of `_redirects` gives to a request for `path`, about which it is under the name `from`.
    pub(super) async fn obey(
        &mut self,
        rule: &Redirect,
        from: &str,
        path: &UrlPath<'_>,
    ) -> Result<Plan<T::File>, Failure> {
        match rule.apply(from, path.query()) {
            None => Err(Failure::Status(404)),
            Some(Target::TooLong) => Err(rule.too_long().into()),
            Some(Target::Location(location)) => {
                self.check_for_circle(path, &location, rule).await?;
                Ok(redirect(rule.status, location))
            }
            Some(Target::File(target)) => {
                let found = match UrlPath::parse(&target, self.settings.hidden) {
                    Ok(target) => resolve::find(self.tree, &target, self.settings).await?,
                    // What the client put into the target made it a name that cannot be.
                    Err(_) => None,
                };
                let (file, metadata) = found.ok_or(Failure::Status(404))?;
                self.rules.opened(&file);
                self.file(file, &metadata, path, rule.status).await
            }
        }
    }

    /// Follows redirects that lead to redirects of this site, as the client would, and refuses those without an end.
    async fn check_for_circle(
        &self,
        path: &UrlPath<'_>,
        location: &str,
        first: &Redirect,
    ) -> Result<(), Failure> {
        let mut seen = vec![path.decoded()];
        let mut location = location.to_owned();
        for _ in 0..MOST_HOPS {
            let own = location.split('#').next().unwrap_or_default().to_owned();
            // Another host's redirects are its own business, and so are names that cannot be.
            let Ok(target) = UrlPath::parse(&own, self.settings.hidden) else { return Ok(()) };
            let decoded = target.decoded();
            if seen.contains(&decoded) {
                break;
            }
            match self.further(&target, &decoded).await? {
                Some(further) => location = further,
                None => return Ok(()),
            }
            seen.push(decoded);
        }
        Err(first.circle().into())
    }

    /// Where a client is sent on from a path of this site, if it is.
    async fn further(&self, path: &UrlPath<'_>, decoded: &str) -> Result<Option<String>, TreeError> {
        let rules = &self.rules.site_redirects;
        let forced = rules.iter().find(|rule| rule.forced && rule.is_about(decoded));
        let rule = match forced {
            Some(rule) => Some(rule),
            None => match resolve::resolve(self.tree, path, self.settings).await? {
                Resolution::Redirect(location) => return Ok(Some(location)),
                Resolution::File(..) | Resolution::Listing(_) => None,
                Resolution::NotFound => rules.iter().find(|rule| rule.is_about(decoded)),
            },
        };
        Ok(match rule.and_then(|rule| rule.apply(decoded, path.query())) {
            Some(Target::Location(location)) => Some(location),
            Some(Target::File(_) | Target::TooLong) | None => None,
        })
    }
}

/// A redirect (RFC 9110 §15.4).
pub(super) fn redirect<F>(status: u16, location: String) -> Plan<F> {
    Plan::new(status).with("location", location).with("content-length", "0")
}
