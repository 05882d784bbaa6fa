//! The answer to a request: every step in its turn.

use crate::conditional::{self, Outcome};
use crate::config::{Settings, SettingsError};
use crate::encoding::{self, Coding};
use crate::listing::{self, View};
use crate::path::{PathError, RelativePath, UrlPath};
use crate::policy::{self, Rules};
use crate::range::{self, ByteRange, Selection};
use crate::request::{Method, Request};
use crate::resolve::{self, Kind, Metadata, Representation, Resolution, Timestamp, Tree, TreeError};
use crate::response::{ALLOW, Body, Plan};
use crate::rules::{self, Redirect, RuleError, Target};
use crate::validators::{ContentHasher, EntityTag, LARGEST_HASHED, Validators};
use crate::{accept, cache, date, disposition, html, media_type};
use std::cell::OnceCell;
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The longest request target, in bytes. Every path of a file system is shorter, and every limit of the parsers behind
/// this is told in bytes of it.
const LONGEST_TARGET: usize = 16 * 1024;

/// The type of the pages that the server writes.
const HTML: &str = "text/html; charset=utf-8";

/// The type of what the server says to tools.
const TEXT: &str = "text/plain; charset=utf-8";

/// How many redirects of `_redirects` may lead to each other. Browsers give up after twenty.
const MOST_HOPS: usize = 10;

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

/// Why there is no file to answer with.
#[derive(Debug)]
enum Failure {
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

    /// Reads the site's own rules, where it has any and they are wanted.
    async fn read_rules(&mut self) -> Result<(), Failure> {
        if self.settings.rules {
            let [headers, redirects] = crate::path::RULE_FILES;
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
    async fn obey(
        &mut self,
        rule: &Redirect,
        from: &str,
        path: &UrlPath<'_>,
    ) -> Result<Plan<T::File>, Failure> {
        match rule.apply(from, path.query()) {
            None => Err(Failure::Status(404)),
            Some(Target::TooLong) => Err(RuleError::long_target(rule.line).into()),
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
        Err(RuleError::circle(first.line).into())
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

    /// The file for a navigation to a path that does not exist: to a page, as browsers ask for them, and not to a script
    /// or an image that is missing.
    async fn spa(&self, path: &UrlPath<'_>) -> Result<Option<(RelativePath, Metadata)>, TreeError> {
        let Some(file) = &self.settings.spa else { return Ok(None) };
        let has_extension = !path.is_directory() && path.relative().file_name().contains('.');
        if has_extension || path.has_controls() || !accept::wants_html(&self.request.headers) {
            return Ok(None);
        }
        match self.tree.stat(file).await {
            Ok(metadata) if metadata.kind == Kind::File => Ok(Some((file.clone(), metadata))),
            Ok(_) | Err(TreeError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file: whole, in part, or not at all where the client has it.
    async fn file(
        &self,
        file: RelativePath,
        metadata: &Metadata,
        path: &UrlPath<'_>,
        status: u16,
    ) -> Result<Plan<T::File>, Failure> {
        let wanted = if status == 200 { encoding::preferred(&self.request.headers) } else { Vec::new() };
        let representation = resolve::open(self.tree, file, metadata, &wanted, self.settings).await?;
        if status != 200 {
            let media_type = media_type::content_type(representation.media_type);
            return Ok(page(status, media_type, representation.file, representation.metadata.length));
        }
        let validators = self.identify(&representation).await?;
        let now = self.clock.now().seconds;
        match conditional::evaluate(self.request, &validators, now) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Ok(self.not_modified(&representation, &validators)),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
        }
        match self.selection(&representation, &validators) {
            Selection::Whole => Ok(self.whole(representation, &validators, path)),
            Selection::One(range) => Ok(self.part(representation, &validators, path, range)),
            Selection::Several(ranges) => Ok(self.parts(representation, &validators, path, &ranges)),
            Selection::Unsatisfiable => Err(Failure::Unsatisfiable(representation.metadata.length)),
        }
    }

    /// The validators of a file: of its time and length, or of its content where the time says nothing.
    async fn identify(&self, representation: &Representation<T::File>) -> Result<Validators, TreeError> {
        let Representation { file, metadata, coding, .. } = representation;
        let validators = match Validators::from_metadata(metadata, self.clock.now()) {
            Some(validators) => validators,
            None if metadata.length <= LARGEST_HASHED => hash(self.tree, file).await?,
            None => Validators::default(),
        };
        Ok(match coding {
            Some(coding) => validators.with_coding(*coding),
            None => validators,
        })
    }

    /// What of a file is wanted.
    fn selection(&self, representation: &Representation<T::File>, validators: &Validators) -> Selection {
        let headers = &self.request.headers;
        // A HEAD has no ranges (RFC 9110 §14.2), and a field that came twice is none.
        let range = headers.single("range").filter(|_| self.request.method == Method::Get);
        let Some(range) = range else { return Selection::Whole };
        if !conditional::if_range_holds(headers, validators, self.clock.now().seconds) {
            return Selection::Whole;
        }
        match range::select(range, representation.metadata.length) {
            // Several pieces of coded bytes could be meant as coded together or each: nobody has said which.
            Selection::Several(_) if representation.coding.is_some() => Selection::Whole,
            selection => selection,
        }
    }

    /// The fields that every answer about a file has: 200, 206 and 304 (RFC 9110 §15.3.7, §15.4.5).
    fn about(
        &self,
        status: u16,
        representation: &Representation<T::File>,
        validators: &Validators,
    ) -> Plan<T::File> {
        let tag = validators.entity_tag.as_ref().map(EntityTag::field);
        let cache_control = cache::control(self.settings, &representation.path, representation.media_type);
        let vary = representation.is_negotiable.then_some("Accept-Encoding");
        Plan::new(status)
            .with_some("etag", tag)
            .with_some("cache-control", cache_control)
            .with_some("vary", vary)
    }

    /// As [`Self::about`], with what describes the file.
    fn described(
        &self,
        status: u16,
        representation: &Representation<T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
    ) -> Plan<T::File> {
        let plan = self.about(status, representation, validators).with("accept-ranges", "bytes");
        // A client that holds a part of this file already knows the rest (RFC 9110 §15.3.7).
        if status == 206 && self.request.headers.contains("if-range") {
            return plan;
        }
        plan.with("content-type", self.content_type(representation))
            .with_some("content-encoding", representation.coding.map(Coding::name))
            .with_some("last-modified", last_modified(validators))
            .with_some("content-disposition", disposition::of(path.query(), representation.path.file_name()))
    }

    /// What the file is: as a rule says, or as its name does.
    fn content_type(&self, representation: &Representation<T::File>) -> String {
        let ruled = self.rules.value("content-type");
        ruled.unwrap_or_else(|| media_type::content_type(representation.media_type))
    }

    fn whole(
        &self,
        representation: Representation<T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
    ) -> Plan<T::File> {
        let length = representation.metadata.length;
        let mut plan =
            self.described(200, &representation, validators, path).with("content-length", length.to_string());
        plan.body = whole_body(representation.file, length);
        plan
    }

    fn part(
        &self,
        representation: Representation<T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
        range: ByteRange,
    ) -> Plan<T::File> {
        let mut plan = self
            .described(206, &representation, validators, path)
            .with("content-range", content_range(range, representation.metadata.length))
            .with("content-length", range.length().to_string());
        plan.body = Body::File { file: representation.file, offset: range.first, length: range.length() };
        plan
    }

    /// Several pieces, each with a head of its own (RFC 9110 §14.6).
    fn parts(
        &self,
        representation: Representation<T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
        ranges: &[ByteRange],
    ) -> Plan<T::File> {
        let complete = representation.metadata.length;
        let media_type = self.content_type(&representation);
        // It must not occur in the file, whoever wrote that.
        let boundary = self.clock.nonce(self.request.target.as_bytes());
        let mut parts = Vec::with_capacity(ranges.len());
        let mut length = 0;
        for (at, &range) in ranges.iter().enumerate() {
            let mut head = String::new();
            let line_end = if at == 0 { "" } else { "\r\n" };
            // Writing to a string does not fail.
            let _ = write!(
                head,
                "{line_end}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {}\r\n\r\n",
                content_range(range, complete)
            );
            length += head.len() as u64 + range.length();
            parts.push((head, range));
        }
        let end = format!("\r\n--{boundary}--\r\n");
        length += end.len() as u64;
        let mut plan = self.described(206, &representation, validators, path);
        plan.set("content-type", format!("multipart/byteranges; boundary={boundary}"));
        plan.set("content-length", length.to_string());
        plan.body = Body::Parts { file: representation.file, parts, end };
        plan
    }

    /// 304: the fields that a 200 would have had for the cache, and no others (RFC 9110 §15.4.5).
    fn not_modified(
        &self,
        representation: &Representation<T::File>,
        validators: &Validators,
    ) -> Plan<T::File> {
        // The date only serves a cache that has no tag to go by.
        let date = last_modified(validators).filter(|_| validators.entity_tag.is_none());
        self.about(304, representation, validators).with_some("last-modified", date)
    }

    /// A directory, as a page or as JSON.
    async fn listing(&self, directory: &RelativePath, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        // A listing has no validators, and exists: that is enough for the asterisk, and for no tag.
        match conditional::evaluate(self.request, &Validators::default(), self.clock.now().seconds) {
            Outcome::Proceed => {}
            Outcome::NotModified => return Ok(Plan::new(304).with("vary", "Accept")),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
        }
        let view = View::from_query(path.query());
        let listing = listing::list(self.tree, directory, view, self.settings).await?;
        let plan = Plan::new(200).with("cache-control", cache::REVALIDATE).with("vary", "Accept");
        if accept::wants_json(&self.request.headers) {
            return Ok(plan.with_text("application/json", listing::json::render(&listing)));
        }
        let nonce = self.clock.nonce(directory.as_str().as_bytes());
        let page = listing::html::render(&listing, &nonce);
        Ok(plan.with("content-security-policy", html::policy(&nonce)).with_text(HTML, page))
    }

    /// An error: the site's own page for it, a page of ours, or text for what is no browser.
    async fn error(&self, failure: Failure, missing: &RelativePath) -> Plan<T::File> {
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

/// A page of the site for an error.
fn page<F>(status: u16, media_type: String, file: F, length: u64) -> Plan<F> {
    let mut plan = Plan::new(status)
        .with("cache-control", cache::NEVER)
        .with("content-type", media_type)
        .with("content-length", length.to_string());
    plan.body = whole_body(file, length);
    plan
}

fn whole_body<F>(file: F, length: u64) -> Body<F> {
    match length {
        0 => Body::Empty,
        length => Body::File { file, offset: 0, length },
    }
}

/// A redirect (RFC 9110 §15.4).
fn redirect<F>(status: u16, location: String) -> Plan<F> {
    Plan::new(status).with("location", location).with("content-length", "0")
}

/// The value of `Content-Range` (RFC 9110 §14.4).
fn content_range(range: ByteRange, complete: u64) -> String {
    format!("bytes {}-{}/{complete}", range.first, range.last)
}

fn last_modified(validators: &Validators) -> Option<String> {
    validators.last_modified.and_then(date::Date::of).map(date::Date::imf_fixdate)
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

async fn hash<T: Tree>(tree: &T, file: &T::File) -> Result<Validators, TreeError> {
    let mut hasher = ContentHasher::default();
    loop {
        let piece = tree.read(file, hasher.length()).await?;
        // A file that grows while it is read is not read for ever.
        if piece.is_empty() || hasher.length() > LARGEST_HASHED {
            return Ok(hasher.finish());
        }
        hasher.update(&piece);
    }
}

/// The first bytes of a file, at most `most`, and whether there are more.
///
/// # Errors
/// When the file cannot be read.
pub async fn read_start<T: Tree>(
    tree: &T,
    file: &T::File,
    most: usize,
) -> Result<(Vec<u8>, bool), TreeError> {
    let mut bytes = Vec::new();
    while bytes.len() <= most {
        let piece = tree.read(file, bytes.len() as u64).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    let is_cut = bytes.len() > most;
    bytes.truncate(most);
    Ok((bytes, is_cut))
}
