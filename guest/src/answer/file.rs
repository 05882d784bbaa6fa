//! A file as an answer: whole, in part, or not at all where the client has it.

use super::Answerer;
use super::error::Failure;
use crate::conditional::{self, Outcome};
use crate::encoding::{self, Coding};
use crate::path::{RelativePath, UrlPath};
use crate::range::{self, ByteRange, Selection};
use crate::request::Method;
use crate::resolve::{self, Metadata, Representation, Timestamp, Tree, TreeError};
use crate::response::{Body, Plan};
use crate::validators::{ContentHasher, EntityTag, LARGEST_HASHED, Validators};
use crate::{cache, date, disposition, media_type};
use std::fmt::Write as _;

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// A file: whole, in part, or not at all where the client has it.
    pub(super) async fn file(
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
}

/// A page of the site for an error.
pub(super) fn page<F>(status: u16, media_type: String, file: F, length: u64) -> Plan<F> {
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

/// The value of `Content-Range` (RFC 9110 §14.4).
fn content_range(range: ByteRange, complete: u64) -> String {
    format!("bytes {}-{}/{complete}", range.first, range.last)
}

fn last_modified(validators: &Validators) -> Option<String> {
    validators.last_modified.and_then(date::Date::of).map(date::Date::imf_fixdate)
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
