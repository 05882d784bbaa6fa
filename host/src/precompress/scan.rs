//! Finds the files to compress, and what is at the places of their variants.
//!
//! Every path is resolved below the directory by the kernel, so that no symbolic link leads out of it, also while others change
//! it. Links to files are followed, as the file server follows them. Links to directories are not: what is behind them is found
//! at its own path.

use super::plan::{Name, Place};
use super::tree::{self, Tree};
use super::write::is_temporary;
use crate::coding::FileVersion;
use guest::encoding::Coding;
use guest::path::RelativePath;
use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;

/// A file that may be compressed.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path from the directory.
    pub(super) path: RelativePath,
    pub(super) version: FileVersion,
    /// What is at the place of its variant, for each coding that is wanted.
    pub(super) places: Vec<(Coding, Place)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) sources: Vec<Source>,
    /// Temporary files that an earlier run has left behind.
    pub(super) left_behind: Vec<RelativePath>,
    /// What could not be looked at, as sentences.
    pub(super) failures: Vec<String>,
}

impl Scan {
    /// Looks through all of a directory.
    pub(super) fn of(tree: &Tree, codings: &[Coding]) -> Self {
        let mut scan = Self::default();
        let mut left = vec![RelativePath::root()];
        while let Some(directory) = left.pop() {
            if let Err(error) = scan.directory(tree, &directory, codings, &mut left) {
                scan.failures.push(format!("cannot list {}: {error}", tree.shown(&directory)));
            }
        }
        scan
    }

    /// Looks through the names in one directory, and adds those in it to `left`.
    fn directory(
        &mut self,
        tree: &Tree,
        directory: &RelativePath,
        codings: &[Coding],
        left: &mut Vec<RelativePath>,
    ) -> Result<(), Errno> {
        let opened = tree.open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
        let mut names = BTreeMap::new();
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            // A name that is not UTF-8 is never served.
            if let Ok(name) = entry.file_name().to_str() {
                names.insert(name.to_owned(), entry.file_type());
            }
        }
        for (name, &kind) in &names {
            let path = directory.join(name);
            if is_temporary(name) {
                self.left_behind.push(path);
                continue;
            }
            let meaning = Name::of(directory, name);
            if meaning == Name::Hidden {
                continue;
            }
            // Some file systems do not tell what a name is.
            let kind = match kind {
                FileType::Unknown => {
                    tree.stat(&path, OFlags::NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode))
                }
                kind => Ok(kind),
            };
            match kind {
                Ok(FileType::Directory) => left.push(path),
                Ok(FileType::RegularFile | FileType::Symlink) if meaning == Name::Source => {
                    self.source(tree, path, |variant| names.contains_key(variant), codings);
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => self.failures.push(format!("cannot examine {}: {error}", tree.shown(&path))),
            }
        }
        Ok(())
    }

    /// Adds a file, if it is one. `is_there` tells whether there is something of a name beside it.
    fn source(
        &mut self,
        tree: &Tree,
        path: RelativePath,
        is_there: impl Fn(&str) -> bool,
        codings: &[Coding],
    ) {
        let version = match tree.stat(&path, OFlags::empty()) {
            Ok(stat) => match FileVersion::of(&stat) {
                Some(version) => version,
                None => return,
            },
            // It leads out of the directory, nowhere, or in a circle.
            Err(Errno::XDEV | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            Err(error) => {
                self.failures.push(format!("cannot examine {}: {error}", tree.shown(&path)));
                return;
            }
        };
        let place = |coding: Coding| {
            let variant = tree::variant(&path, coding);
            if !is_there(variant.file_name()) {
                return Place::Free;
            }
            let stat = tree.stat(&variant, OFlags::empty());
            stat.ok().and_then(|stat| FileVersion::of(&stat)).map_or(Place::Taken, Place::Variant)
        };
        let places = codings.iter().map(|&coding| (coding, place(coding))).collect();
        self.sources.push(Source { path, version, places });
    }
}
