//! A file as an answer: whole, in part, or not at all where the client has it.

use super::Answerer;
use super::failure::Failure;
use super::view::View;
use crate::conditional::{self, Outcome};
use crate::encoding::{self, Coding};
use crate::guard::Access;
use crate::path::{RelativePath, UrlPath};
use crate::range::{self, ByteRange, Selection};
use crate::request::{Method, Name};
use crate::resolve::{self, Found, Representation};
use crate::response::{Body, Origin, Plan};
use crate::tree::{Timestamp, Tree, stat_file};
use crate::validators::{EntityTag, Validators};
use crate::{cache, date, digest, disposition, media_type};
use std::borrow::Cow;
use std::fmt::Write as _;

impl<T: Tree, N: Fn() -> Timestamp> Answerer<'_, T, N> {
    /// A file: its page, or itself, whole, in part, or not at all where the client has it.
    pub(super) async fn file(&self, found: Found, path: &UrlPath<'_>) -> Result<Plan<T::File>, Failure> {
        let view = self.view(&found, path)?;
        #[cfg(feature = "markdown")]
        if view == View::Page
            && let Some(page) = self.page(&found).await?
        {
            return Ok(page);
        }
        let guarded = self.rules.has_guards().then(|| found.path.clone());
        let wanted = || {
            let mut wanted = encoding::preferred(&self.request.headers);
            if let Some(original) = guarded {
                wanted.retain(|coding| self.may_stand_for(&original, *coding));
            }
            wanted
        };
        let mut representation = resolve::open(self.tree, found, wanted, self.settings).await?;
        if view == View::Plain {
            representation.media_type = media_type::TEXT;
        }
        let now = self.clock.now();
        let mut validators = Validators::new(&representation.metadata, self.settings.tags, now);
        if let Some(coding) = representation.coding {
            validators = validators.with_coding(coding);
        }
        let digest = if self.settings.digests { self.digest(&representation).await } else { None };
        let outcome = conditional::evaluate(self.request, &validators, now.seconds);
        let mut plan = match outcome {
            Outcome::NotModified => self.not_modified(&representation, &validators),
            Outcome::PreconditionFailed => return Err(Failure::Status(412)),
            Outcome::Proceed => match self.selection(&representation, &validators) {
                Selection::Whole => self.whole(representation, &validators, path)?,
                Selection::One(range) => self.part(representation, &validators, path, range)?,
                Selection::Several(ranges) => self.parts(representation, &validators, path, &ranges)?,
                Selection::Unsatisfiable => {
                    return Err(Failure::Unsatisfiable(representation.metadata.length));
                }
            },
        };
        if matches!(view, View::Source | View::Page) {
            plan.add_to_list("vary", "Accept");
        }
        // Of the representation, be it sent whole, in part, or not at all (RFC 9530 §3).
        if let Some(digest) = digest {
            plan.set("repr-digest", digest);
        }
        Ok(plan)
    }

    /// The digest of a representation that the client wants, if there is a file that says it of this very version. That file is not
    /// older than the representation: a tool may have given another version the same time and length, but not the same time of change.
    async fn digest(&self, representation: &Representation<'_, T::File>) -> Option<String> {
        let wanted = digest::wanted(&self.request.headers);
        if wanted.is_empty() {
            return None;
        }
        let Representation { path, coding, metadata, .. } = representation;
        let suffix = [coding.map_or("", Coding::suffix), digest::SUFFIX].concat();
        let sidecar = path.with_suffix(&suffix, &self.settings.names)?;
        // What cannot be read is no reason to send no file.
        let about = stat_file(self.tree, &sidecar).await.ok()??;
        if about.changed < metadata.changed {
            return None;
        }
        let text = self.tree.read_start(&sidecar, digest::MAX_BYTES + 1).await.ok()?;
        digest::of_sidecar(&text, metadata, &wanted)
    }

    /// Whether a precompressed variant of a file may be sent in its place: it has no guard, or the file has one as well, so that
    /// caches are told.
    fn may_stand_for(&self, original: &RelativePath, coding: Coding) -> bool {
        let variant = original.with_suffix(coding.suffix(), &self.settings.names);
        variant.is_none_or(|variant| match self.access_to(&variant) {
            Access::Open => true,
            Access::Granted => self.access() == Access::Granted,
            Access::Denied | Access::InClear => false,
        })
    }

    /// The part of a file that the client wants.
    fn selection(&self, representation: &Representation<'_, T::File>, validators: &Validators) -> Selection {
        let headers = &self.request.headers;
        // A HEAD has no ranges (RFC 9110 §14.2), and a field that came twice is none.
        if self.request.method != Method::Get {
            return Selection::Whole;
        }
        let Some(range) = headers.single(Name::Range) else { return Selection::Whole };
        if !conditional::if_range_holds(headers, validators, self.clock.now().seconds) {
            return Selection::Whole;
        }
        match range::select(range, representation.metadata.length) {
            // Parts of coded bytes are ambiguous: coded as a whole, or each by itself.
            Selection::Several(_) if representation.coding.is_some() => Selection::Whole,
            selection => selection,
        }
    }

    /// The fields that every answer about a file has: 200, 206 and 304 (RFC 9110 §15.3.7, §15.4.5).
    fn about(
        &self,
        status: u16,
        representation: &Representation<'_, T::File>,
        validators: &Validators,
    ) -> Plan<T::File> {
        let tag = validators.entity_tag.as_ref().map(EntityTag::field);
        let cache_control = cache::control(self.settings, &representation.path);
        let vary = representation.is_negotiable.then_some("Accept-Encoding");
        Plan::new(Origin::File, status)
            .with_some("etag", tag)
            .with("cache-control", cache_control)
            .with_some("vary", vary)
    }

    /// As [`Self::about`], with what describes the file.
    fn described(
        &self,
        status: u16,
        representation: &Representation<'_, T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
    ) -> Result<Plan<T::File>, Failure> {
        let plan = self.about(status, representation, validators).with("accept-ranges", "bytes");
        // A client that holds a part of this file already knows the rest (RFC 9110 §15.3.7).
        if status == 206 && self.request.headers.contains(Name::IfRange) {
            return Ok(plan);
        }
        let canonical = representation.canonical.as_ref().map(|url| format!("<{url}>; rel=\"canonical\""));
        let attachment = disposition::of(path.query(), representation.path.file_name());
        Ok(plan
            .with("content-type", self.content_type(representation)?)
            .with_some("content-encoding", representation.coding.map(Coding::name))
            .with_some("last-modified", last_modified(validators))
            .with_some("link", canonical)
            .with_some("content-disposition", attachment))
    }

    /// The type that a rule or a setting gives the file, or that of its name.
    fn content_type(
        &self,
        representation: &Representation<'_, T::File>,
    ) -> Result<Cow<'static, str>, Failure> {
        Ok(match self.rules.changes()?.value("content-type") {
            Some(value) => Cow::Owned(value.to_owned()),
            None => media_type::content_type(representation.media_type),
        })
    }

    fn whole(
        &self,
        representation: Representation<'_, T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
    ) -> Result<Plan<T::File>, Failure> {
        let length = representation.metadata.length;
        let plan = self.described(200, &representation, validators, path)?;
        let mut plan = plan.with("content-length", length.to_string());
        plan.body = whole_body(representation.file, length);
        Ok(plan)
    }

    fn part(
        &self,
        representation: Representation<'_, T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
        range: ByteRange,
    ) -> Result<Plan<T::File>, Failure> {
        let mut plan = self
            .described(206, &representation, validators, path)?
            .with("content-range", content_range(range, representation.metadata.length))
            .with("content-length", range.length().to_string());
        plan.body = Body::File { file: representation.file, offset: range.first, length: range.length() };
        Ok(plan)
    }

    /// Several pieces, each with a head of its own (RFC 9110 §14.6).
    fn parts(
        &self,
        representation: Representation<'_, T::File>,
        validators: &Validators,
        path: &UrlPath<'_>,
        ranges: &[ByteRange],
    ) -> Result<Plan<T::File>, Failure> {
        let complete = representation.metadata.length;
        let media_type = self.content_type(&representation)?;
        let boundary = self.clock.boundary(&self.request.target);
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
        let mut plan = self.described(206, &representation, validators, path)?;
        plan.set("content-type", format!("multipart/byteranges; boundary={boundary}"));
        plan.set("content-length", length.to_string());
        plan.body = Body::Parts { file: representation.file, parts, end };
        Ok(plan)
    }

    /// 304: the fields that a 200 would have had for the cache, and no others (RFC 9110 §15.4.5).
    fn not_modified(
        &self,
        representation: &Representation<'_, T::File>,
        validators: &Validators,
    ) -> Plan<T::File> {
        // The date only serves a cache that has no tag to go by.
        let date = last_modified(validators).filter(|_| validators.entity_tag.is_none());
        self.about(304, representation, validators).with_some("last-modified", date)
    }
}

/// A file of the site that tells of an error.
pub(super) fn error_page<F>(
    status: u16,
    media_type: impl Into<Cow<'static, str>>,
    file: F,
    length: u64,
) -> Plan<F> {
    let mut plan = Plan::new(Origin::ErrorPage, status)
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
