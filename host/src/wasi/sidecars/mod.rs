//! Sidecars: the precompressed variants and the digests that the file server looks for beside a file, where the host has them in
//! memory and the directory has none.
//!
//! The file server examines `app.js`, and then `app.js.br` if the client prefers that coding. So it says by its calls which form
//! of which file a client wants. Where the directory has none that is current, it is shown the one that the
//! [`Compressor`] has made of this very version of the file, as a file of the same times. It then does everything
//! as for any variant: tags, `Vary`, ranges. Where there is none yet, and the file itself is opened in the end, one is made.
//!
//! It asks for `app.js.digest` once it has opened `app.js`, if the client wants a digest, and is shown what the [`Digester`] has
//! computed of this very version.
//!
//! A sidecar is there for the request that has examined its file, and for no other: it is neither listed nor has it a URL.
//!
//! [`compressor`] makes variants, and [`cache`] says which are kept. [`digester`] computes digests.

mod cache;
mod compressor;
mod digester;

pub use compressor::{Compressor, MAX_FORMS};
pub use digester::Digester;

use super::files::{Failure, OpenHow, look_at, open_file};
use super::last_file::{Found, LastFile};
use crate::body::METADATA_TTL;
use crate::coding::FileVersion;
use crate::sandbox::BLOCKING_FILE_CALLS;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use compressor::{Coded, Lookup};
use guest::digest;
use guest::encoding::Coding;
use guest::tree::{Kind, Metadata, Timestamp};
use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};
use rustix::fs::{MemfdFlags, Stat, fstat, memfd_create};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;
use wasmtime_wasi::filesystem::{self, Descriptor, Dir, FsPerms, OpenMode};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, OpenFlags, PathFlags};

/// Which sidecars a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    /// Those that its client prefers.
    All,
    /// Those of this coding.
    Only(Coding),
    /// None.
    None,
}

impl Offered {
    /// What a request with these fields may have.
    ///
    /// A client that wants a part of a file has other parts of it, which it may have got before there were sidecars. It gets parts of
    /// a coded form only if it names the tag of one, which ends in the coding.
    fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(RANGE) {
            return Self::All;
        }
        let tag = headers.get(IF_RANGE).and_then(|value| value.as_bytes().strip_suffix(b"\""));
        let coding = tag.and_then(|tag| {
            Coding::ALL.into_iter().find(|coding| {
                tag.strip_suffix(coding.name().as_bytes()).is_some_and(|rest| rest.ends_with(b"-"))
            })
        });
        coding.map_or(Self::None, Self::Only)
    }

    fn has(self, coding: Coding) -> bool {
        match self {
            Self::All => true,
            Self::Only(one) => one == coding,
            Self::None => false,
        }
    }
}

/// A regular file that was examined.
struct Examined {
    directory: Arc<fs::File>,
    path: String,
    stat: Stat,
    since: Instant,
    /// The first of its sidecars that there was not yet.
    missing: Option<Coding>,
}

impl Examined {
    /// The coding of a path, if it is that of a sidecar of this file.
    fn sidecar(&self, directory: &Dir, path: &str) -> Option<Coding> {
        let suffix = path.strip_prefix(self.path.as_str())?;
        let coding = Coding::ALL.into_iter().find(|coding| coding.suffix() == suffix)?;
        Arc::ptr_eq(&self.directory, &directory.dir).then_some(coding)
    }
}

/// A regular file that was opened, or a coded form of one.
struct Opened {
    directory: Arc<fs::File>,
    path: String,
    file: Arc<fs::File>,
    /// As the file server has seen it.
    stat: Stat,
}

/// The sidecars of one request.
pub struct Sidecars {
    compressor: Option<Arc<Compressor>>,
    digester: Option<Arc<Digester>>,
    offered: Offered,
    /// The regular file that was examined last, sidecars apart.
    examined: Option<Examined>,
    /// The sidecar that was found last.
    found: Option<(Arc<fs::File>, Stat)>,
    /// The file that was opened last, digests apart, where there are digests.
    opened: Option<Opened>,
}

impl Sidecars {
    /// Those of a request with these fields: variants and digests, where there is what makes them.
    pub fn new(
        compressor: Option<Arc<Compressor>>,
        digester: Option<Arc<Digester>>,
        headers: &HeaderMap,
    ) -> Self {
        let offered = if compressor.is_some() { Offered::of(headers) } else { Offered::None };
        Self { compressor, digester, offered, examined: None, found: None, opened: None }
    }

    /// What examining a path comes to, by symbolic links too, whose file came to `outcome`. A sidecar is kept in `last`, to be opened
    /// next.
    pub fn stat_at(
        &mut self,
        directory: &Dir,
        path: &str,
        outcome: Result<Stat, Failure>,
        last: &mut LastFile,
    ) -> Result<Stat, Failure> {
        if let Err(Failure::Code(ErrorCode::NoEntry)) = outcome
            && let Some(found) = self.digests(directory, path)
        {
            let stat = *found.stat;
            last.examine(&directory.dir, path, found);
            return Ok(stat);
        }
        let coding = self.examined.as_ref().and_then(|examined| examined.sidecar(directory, path));
        match (coding, outcome) {
            (None, Ok(stat)) => {
                self.examine(directory, path, &stat);
                Ok(stat)
            }
            (Some(coding), outcome) if self.is_missing(&outcome) => match self.find(directory, coding) {
                Some(found) => {
                    let stat = *found.stat;
                    last.examine(&directory.dir, path, found);
                    Ok(stat)
                }
                None => outcome,
            },
            (_, outcome) => outcome,
        }
    }

    /// What opening a path comes to whose file came to `outcome`.
    pub fn open_at(
        &mut self,
        directory: &Dir,
        path: &str,
        how: OpenHow,
        outcome: Result<Found, Failure>,
    ) -> Result<Found, Failure> {
        match outcome {
            Ok(found) => {
                self.open(directory, path, &found);
                Ok(found)
            }
            // It was found when it was examined, which is longer ago than metadata hold.
            Err(Failure::Code(ErrorCode::NoEntry))
                if how.path == PathFlags::SYMLINK_FOLLOW && how.open == OpenFlags::empty() =>
            {
                let coding = self.examined.as_ref().and_then(|examined| examined.sidecar(directory, path));
                let found = match coding {
                    Some(coding) => self.find(directory, coding),
                    None => self.digests(directory, path),
                };
                found.ok_or(Failure::Code(ErrorCode::NoEntry))
            }
            outcome => outcome,
        }
    }

    /// A file was opened: has the variant made that it lacks, and remembers it for its digests.
    fn open(&mut self, directory: &Dir, path: &str, found: &Found) {
        let (Descriptor::File(file), Some(version)) = (&found.descriptor, FileVersion::of(&found.stat))
        else {
            return;
        };
        if let Some(compressor) = &self.compressor
            && let Some(examined) = &mut self.examined
            && examined.path == path
            && let Some(coding) = examined.missing.take()
        {
            compressor.ask(&file.file, version, coding);
        }
        if self.digester.is_some() && !path.ends_with(digest::SUFFIX) {
            let (directory, path, file) =
                (Arc::clone(&directory.dir), path.to_owned(), Arc::clone(&file.file));
            self.opened = Some(Opened { directory, path, file, stat: *found.stat });
        }
    }

    /// The digests of the file that was opened last, if this is their path. Where they are not known, they are computed for later
    /// requests.
    fn digests(&self, directory: &Dir, path: &str) -> Option<Found> {
        let digester = self.digester.as_ref()?;
        let Opened { directory: opened_in, path: opened, file, stat } = self.opened.as_ref()?;
        if path.strip_suffix(digest::SUFFIX)? != opened || !Arc::ptr_eq(opened_in, &directory.dir) {
            return None;
        }
        let version = FileVersion::of(&fstat(file).ok()?)?;
        // A coded form is shown with the times of its file, and never changes.
        let is_form = self.stat(file).is_some();
        if !is_form && FileVersion::of(stat) != Some(version) {
            return None;
        }
        let Some(digests) = digester.find(&version) else {
            digester.ask(file, version);
            return None;
        };
        let [sha256, sha512] =
            [&digests.sha256[..], &digests.sha512].map(|digest| BASE64_STANDARD.encode(digest));
        let text = digest::sidecar(&metadata(stat)?, [&sha256, &sha512])?;
        let memory = fs::File::from(memfd_create("wasi-httpd-digest", MemfdFlags::CLOEXEC).ok()?);
        memory.write_all_at(text.as_bytes(), 0).ok()?;
        let mut stat = *stat;
        stat.st_size = i64::try_from(text.len()).ok()?;
        let file = filesystem::File::new(memory, FsPerms::ReadOnly, OpenMode::READ, BLOCKING_FILE_CALLS);
        Some(Found { descriptor: Descriptor::File(file), stat: Box::new(stat), since: Instant::now() })
    }

    /// The metadata of an open file, if it is a sidecar. Those that the kernel has of it are of the memory that it is in.
    pub fn stat(&self, file: &Arc<fs::File>) -> Option<Stat> {
        self.found.as_ref().and_then(|(found, stat)| Arc::ptr_eq(found, file).then_some(*stat))
    }

    fn examine(&mut self, directory: &Dir, path: &str, stat: &Stat) {
        if self.compressor.is_some() && FileVersion::of(stat).is_some() {
            let (directory, path) = (Arc::clone(&directory.dir), path.to_owned());
            self.examined =
                Some(Examined { directory, path, stat: *stat, since: Instant::now(), missing: None });
        }
    }

    /// Whether the directory has no variant, or one that the file server would not take because it is older than the file.
    fn is_missing(&self, outcome: &Result<Stat, Failure>) -> bool {
        match outcome {
            Ok(variant) => match (FileVersion::of(variant), self.examined.as_ref()) {
                (Some(variant), Some(Examined { stat, .. })) => {
                    FileVersion::of(stat).is_some_and(|file| variant.modified < file.modified)
                }
                _ => false,
            },
            Err(Failure::Code(ErrorCode::NoEntry)) => true,
            Err(_) => false,
        }
    }

    /// The sidecar in this coding of the file that was examined.
    fn find(&mut self, directory: &Dir, coding: Coding) -> Option<Found> {
        let compressor = self.compressor.as_ref()?;
        let examined = self.examined.as_mut().filter(|_| self.offered.has(coding))?;
        if examined.since.elapsed() >= METADATA_TTL {
            examined.since = Instant::now();
            examined.stat = look_at(directory, &examined.path).ok()?;
        }
        let version = FileVersion::of(&examined.stat)?;
        match compressor.find(version, coding) {
            Lookup::Missing => {
                examined.missing.get_or_insert(coding);
                None
            }
            Lookup::NotSmaller => None,
            Lookup::Coded(Coded { file, size }) => {
                // Another one is preferred to this.
                if let Some(coding) = examined.missing.take()
                    && let Some(Found { descriptor: Descriptor::File(file), stat, .. }) =
                        open_file(directory, &examined.path)
                    && let Some(version) = FileVersion::of(&stat)
                {
                    compressor.ask(&file.file, version, coding);
                }
                // Its content follows from that of the file, so that its times do.
                let mut stat = examined.stat;
                stat.st_size = i64::try_from(size).ok()?;
                self.found = Some((Arc::clone(&file.file), stat));
                Some(Found {
                    descriptor: Descriptor::File(file),
                    stat: Box::new(stat),
                    since: examined.since,
                })
            }
        }
    }
}

/// The metadata of a regular file, as the file server sees them; `None` for times before 1970.
fn metadata(stat: &Stat) -> Option<Metadata> {
    let time = |seconds: i64, nanoseconds: u64| {
        Some(Timestamp {
            seconds: u64::try_from(seconds).ok()?,
            nanoseconds: u32::try_from(nanoseconds).ok()?,
        })
    };
    Some(Metadata {
        kind: Kind::File,
        length: u64::try_from(stat.st_size).ok()?,
        modified: Some(time(stat.st_mtime, stat.st_mtime_nsec)?),
        changed: Some(time(stat.st_ctime, stat.st_ctime_nsec)?),
    })
}
