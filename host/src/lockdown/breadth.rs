//! Directories that hold far more than a site, and where a directory to serve may come from.

use crate::config::grants::DirectoryGrant;
use anyhow::{Result, bail};
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a directory should not be served as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breadth {
    /// The root of all directories.
    Root,
    /// A home directory, or a directory that holds some.
    Home,
}

impl fmt::Display for Breadth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "every file of this machine",
            Self::Home => "a whole home directory, which may hold keys and passwords",
        })
    }
}

/// Directories of the system, which hold much that has nothing to do with a site.
const SYSTEM: [&str; 8] = ["/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var"];

/// The bit of a directory that many users write to (`S_ISVTX`), such as `/tmp`.
const STICKY: u32 = 0o1000;

/// What a directory is, by its path without links; `None` if it may be a site.
fn of(directory: &Path, home: Option<&Path>) -> Option<Breadth> {
    if directory == Path::new("/") {
        return Some(Breadth::Root);
    }
    let is_home = directory == Path::new("/root")
        || directory == Path::new("/home")
        || directory.parent() == Some(Path::new("/home"))
        || home.is_some_and(|home| home != Path::new("/") && home.starts_with(directory));
    is_home.then_some(Breadth::Home)
}

/// Refuses directories that hold far more than a site.
pub fn refuse(directories: &[DirectoryGrant]) -> Result<()> {
    let home = home();
    for DirectoryGrant { host, .. } in directories {
        // Whether there is such a directory is found out later.
        let Ok(directory) = host.canonicalize() else { continue };
        if let Some(breadth) = of(&directory, home.as_deref()) {
            bail!(
                "--dir {} would serve {breadth}: name a directory in it with --dir, or allow it with \
                 --allow-any-dir",
                host.display()
            );
        }
    }
    Ok(())
}

/// The home directory of the user, without links, if there is one.
fn home() -> Option<PathBuf> {
    std::env::home_dir()?.canonicalize().ok().filter(|home| home.is_dir())
}

/// The directory at `path`, and those from which another may take its place: the one that holds it, and the ones that hold
/// what a link on the path leads to. What is too broad to be granted is left out. Then a directory that takes the place
/// cannot be read.
///
/// A directory that `is_named`, unlike `.`, may be replaced.
pub(super) fn places(path: &Path, is_named: bool) -> Vec<PathBuf> {
    let Ok(directory) = path.canonicalize() else { return Vec::new() };
    let home = home();
    let links = path.ancestors().filter(|path| path.is_symlink()).filter_map(|link| link.canonicalize().ok());
    let holders = links.chain(is_named.then(|| directory.clone()));
    let holders = holders.filter_map(|directory| directory.parent().map(Path::to_owned));
    let mut places: Vec<_> = holders.filter(|holder| !is_too_broad(holder, home.as_deref())).collect();
    places.push(directory);
    places
}

/// What has to be granted for a file to be read again, also after it was replaced: the directory that holds it, and those
/// that hold what links on the path lead to. Where that is too broad, the file itself, which can then be changed but not
/// replaced.
pub fn places_of_file(path: &Path) -> Vec<PathBuf> {
    let home = home();
    let links = path.ancestors().filter(|path| path.is_symlink()).filter_map(|link| link.canonicalize().ok());
    let files = links.chain(path.canonicalize());
    let place = |file: PathBuf| match file.parent() {
        Some(holder) if !is_too_broad(holder, home.as_deref()) => holder.to_owned(),
        _ => file,
    };
    let mut places: Vec<_> = files.map(place).collect();
    // A link is replaced in the directory that it is in.
    let named = path.parent().and_then(|holder| {
        if holder.as_os_str().is_empty() { Path::new(".") } else { holder }.canonicalize().ok()
    });
    places.extend(named.filter(|holder| !is_too_broad(holder, home.as_deref())));
    places.dedup();
    places
}

/// Whether files may be made in a directory and written to below it: it is neither a home directory, in which programs keep
/// what they run, nor one that many users or much of the system share.
pub fn may_hold_logs(directory: &Path) -> bool {
    let home = home();
    directory.canonicalize().is_ok_and(|directory| !is_too_broad(&directory, home.as_deref()))
}

fn is_too_broad(holder: &Path, home: Option<&Path>) -> bool {
    let is_shared = |metadata: Metadata| metadata.mode() & STICKY != 0;
    of(holder, home).is_some()
        || SYSTEM.iter().any(|system| holder == Path::new(system))
        // What cannot be examined is not granted.
        || holder.metadata().map_or(true, is_shared)
}

#[cfg(test)]
mod tests {
    use super::{Breadth, may_hold_logs, of, places};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::{Path, PathBuf};

    #[test]
    fn the_root_and_whole_homes_are_no_sites() {
        for (directory, home, expected) in [
            ("/", None, Some(Breadth::Root)),
            ("/", Some("/"), Some(Breadth::Root)),
            ("/root", None, Some(Breadth::Home)),
            ("/home", None, Some(Breadth::Home)),
            ("/home/ada", None, Some(Breadth::Home)),
            ("/home/ada/site", None, None),
            ("/homes", None, None),
            ("/users/ada", Some("/users/ada"), Some(Breadth::Home)),
            ("/users", Some("/users/ada"), Some(Breadth::Home)),
            ("/users/ada/site", Some("/users/ada"), None),
            ("/users/adam", Some("/users/ada"), None),
            ("/srv", Some("/"), None),
        ] {
            assert_eq!(of(Path::new(directory), home.map(Path::new)), expected, "{directory} of {home:?}");
        }
    }

    #[test]
    fn a_named_directory_may_be_replaced_from_where_it_is() {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("releases/1/public")).unwrap();
        fs::create_dir_all(base.join("links")).unwrap();
        symlink("../releases/1", base.join("links/current")).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(|path| base.join(path)).collect::<Vec<PathBuf>>();

        let real = base.join("releases/1");
        assert_eq!(places(&real, true), paths(&["releases", "releases/1"]));
        assert_eq!(places(&real, false), paths(&["releases/1"]));
        let below_a_link = base.join("links/current/public");
        assert_eq!(places(&below_a_link, true), paths(&["releases", "releases/1", "releases/1/public"]));
        assert_eq!(places(&base.join("missing"), true), paths(&[]));
    }

    #[test]
    fn what_everyone_may_write_to_is_not_granted() {
        let temporary = tempfile::tempdir().unwrap();
        let shared = temporary.path().canonicalize().unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        let site = shared.join("site");
        fs::create_dir(&site).unwrap();
        assert_eq!(places(&site, true), std::slice::from_ref(&site));
        assert!(may_hold_logs(&site) && !may_hold_logs(&shared));
        assert!(!may_hold_logs(Path::new("/etc")) && !may_hold_logs(Path::new("/root")));
        let system = Path::new("/usr/lib");
        assert_eq!(places(system, true), [system.canonicalize().unwrap()]);
    }
}
