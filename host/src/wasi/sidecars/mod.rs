//! Sidecars: the precompressed variants that the file server looks for beside a file, where the host has them in memory and the
//! directory has none.
//!
//! The file server examines `app.js`, and then `app.js.br` if the client prefers that coding. So it says by its calls which form
//! of which file a client wants. Where the directory has none that is current, it is shown the one that the
//! [`Compressor`] has made of this very version of the file, as a file of the same times. It then does everything
//! as for any variant: tags, `Vary`, ranges. Where there is none yet, and the file itself is opened in the end, one is made.
//!
//! A sidecar is there for the request that has examined its file, and for no other: it is neither listed nor has it a URL.
//!
//! [`compressor`] makes them, and [`cache`] says which are kept.

mod cache;
mod compressor;

pub use compressor::{Compressor, MAX_FORMS};

use super::files::{Failure, OpenHow, look_at, open_file};
use super::last_file::{Found, LastFile};
use crate::body::METADATA_TTL;
use crate::coding::FileVersion;
use compressor::{Coded, Lookup};
use guest::encoding::Coding;
use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};
use rustix::fs::Stat;
use std::fs;
use std::sync::Arc;
use std::time::Instant;
use wasmtime_wasi::filesystem::{Descriptor, Dir};
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

/// The sidecars of one request.
pub struct Sidecars {
    compressor: Arc<Compressor>,
    offered: Offered,
    /// The regular file that was examined last, sidecars apart.
    examined: Option<Examined>,
    /// The sidecar that was found last.
    found: Option<(Arc<fs::File>, Stat)>,
}

impl Sidecars {
    /// Those of a request with these fields.
    pub fn new(compressor: Arc<Compressor>, headers: &HeaderMap) -> Self {
        Self { compressor, offered: Offered::of(headers), examined: None, found: None }
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
        let coding = self.examined.as_ref().and_then(|examined| examined.sidecar(directory, path));
        match (coding, outcome) {
            (None, Ok(stat)) => {
                self.examine(directory, path, &stat);
                Ok(stat)
            }
            (Some(coding), outcome) if self.is_missing(&outcome) => match self.find(directory, coding) {
                Some(found) => {
                    let stat = found.stat;
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
        let Some(examined) = &mut self.examined else { return outcome };
        match outcome {
            Ok(found) => {
                if let (Descriptor::File(file), Some(version)) =
                    (&found.descriptor, FileVersion::of(&found.stat))
                    && examined.path == path
                    && let Some(coding) = examined.missing.take()
                {
                    self.compressor.ask(&file.file, version, coding);
                }
                Ok(found)
            }
            // It was found when it was examined, which is longer ago than metadata hold.
            Err(Failure::Code(ErrorCode::NoEntry))
                if how.path == PathFlags::SYMLINK_FOLLOW && how.open == OpenFlags::empty() =>
            {
                let coding = examined.sidecar(directory, path);
                let found = coding.and_then(|coding| self.find(directory, coding));
                found.ok_or(Failure::Code(ErrorCode::NoEntry))
            }
            outcome => outcome,
        }
    }

    /// The metadata of an open file, if it is a sidecar. Those that the kernel has of it are of the memory that it is in.
    pub fn stat(&self, file: &Arc<fs::File>) -> Option<Stat> {
        self.found.as_ref().and_then(|(found, stat)| Arc::ptr_eq(found, file).then_some(*stat))
    }

    fn examine(&mut self, directory: &Dir, path: &str, stat: &Stat) {
        if FileVersion::of(stat).is_some() {
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
        let examined = self.examined.as_mut().filter(|_| self.offered.has(coding))?;
        if examined.since.elapsed() >= METADATA_TTL {
            examined.since = Instant::now();
            examined.stat = look_at(directory, &examined.path).ok()?;
        }
        let version = FileVersion::of(&examined.stat)?;
        match self.compressor.find(version, coding) {
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
                    self.compressor.ask(&file.file, version, coding);
                }
                // Its content follows from that of the file, so that its times do.
                let mut stat = examined.stat;
                stat.st_size = i64::try_from(size).ok()?;
                self.found = Some((Arc::clone(&file.file), stat));
                Some(Found { descriptor: Descriptor::File(file), stat, since: examined.since })
            }
        }
    }
}
