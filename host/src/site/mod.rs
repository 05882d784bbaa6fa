//! What the built-in file server will read of its site, checked before the first request: the files that its settings name,
//! and its [`rules`].

pub mod rules;

use crate::config::site::Site;
use guest::config::{ErrorPages, Settings};
use guest::table::Table;
use std::fs::File;
use std::path::Path;

/// What is wrong with a site.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// What stops the server from starting: rules that would fail requests, or leave out a guard.
    pub errors: Vec<String>,
    /// What the server starts with all the same: the content may come later.
    pub warnings: Vec<String>,
}

/// Checks what a site serves, if it does so by the built-in guest.
pub fn check(config: &Site) -> Faults {
    served(config).map(|(root, settings)| check_directory(root, &settings)).unwrap_or_default()
}

/// What a site lacks of what its settings name: what [`check`] warns of, and what only the listeners tell, by which listings may be on.
pub fn missing(config: &Site) -> Vec<String> {
    let Some((root, settings)) = served(config) else { return Vec::new() };
    let mut warnings = missing_in(root, &settings);
    warnings.extend(without_archives(&settings));
    warnings
}

/// The directory of a guest that a file is in.
pub fn published<'a>(file: &Path, sites: &'a [Site]) -> Option<&'a Path> {
    let file = file.canonicalize().ok()?;
    let mut directories = sites.iter().flat_map(Site::all_grants).flat_map(|grants| &grants.directories);
    let is_in =
        |directory: &Path| directory.canonicalize().is_ok_and(|directory| file.starts_with(directory));
    directories.find(|directory| is_in(&directory.host)).map(|directory| directory.host.as_path())
}

/// The directory that the built-in guest serves, and its settings; `None` for other guests.
fn served(config: &Site) -> Option<(&Path, Settings)> {
    // Settings were validated with the configuration, and the first directory is the one that is served.
    let (directory, None) = (config.grants.directories.first()?, &config.guest) else { return None };
    Some((&directory.host, Settings::checked(&config.grants.environment).ok()?))
}

fn check_directory(root: &Path, settings: &Settings) -> Faults {
    let mut faults = Faults { errors: Vec::new(), warnings: missing_in(root, settings) };
    if settings.rules {
        // A missing directory is reported where it is opened for guests.
        if let Ok(directory) = File::open(root)
            && let Err(wrong) = rules::read(&directory, root, &settings.names)
        {
            faults.errors.extend(wrong.0);
        }
    }
    faults
}

fn missing_in(root: &Path, settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut missing = |variable: &str, name: &str, kind: &str| {
        warnings.push(format!(
            "{variable} is `{}`, but there is no such {kind} in {}",
            name.escape_debug(),
            root.display()
        ));
    };
    for page in settings.spa.values().flatten() {
        if !root.join(page.as_str()).is_file() {
            missing("FILES_SPA", page.as_str(), "file");
        }
    }
    if let ErrorPages::Directory(pages) = &settings.error_pages
        && !root.join(pages.as_str()).is_dir()
    {
        missing("FILES_ERROR_PAGE", pages.as_str(), "directory");
    }
    warnings
}

/// What is to be known of a site that offers archives of nothing.
fn without_archives(settings: &Settings) -> Option<String> {
    let never = |table: &Table<bool>| table.values().all(|on| !on);
    (never(&settings.listing) && !never(&settings.archive)).then(|| {
        "FILES_ARCHIVE is on, but no directory is listed, and only such have archives; set FILES_LISTING too".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{Faults, check_directory, without_archives};
    use guest::config::Settings;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::from_environment(variables).unwrap()
    }

    #[test]
    fn a_site_without_rules_has_no_faults() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(check_directory(root.path(), &settings(&[("FILES_RULES", "on")])), Faults::default());
    }

    #[test]
    fn a_link_is_read_as_the_guest_reads_it() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(outside.path().join("rules"), "/*\n  X-A: 1\n").unwrap();
        std::os::unix::fs::symlink("../rules", root.join("_headers")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("_redirects")).unwrap();
        let Faults { errors, .. } = check_directory(&root, &settings(&[("FILES_RULES", "on")]));
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].ends_with("_headers: it is a link out of the directory"), "{errors:?}");
        assert!(errors[1].ends_with("_redirects: it is a link that leads nowhere"), "{errors:?}");
    }

    #[test]
    fn archives_of_nothing_are_warned_of() {
        let warning = |variables: &[(&str, &str)]| without_archives(&settings(variables));
        assert_eq!(warning(&[("FILES_ARCHIVE", "on"), ("FILES_LISTING", "/a/*: on")]), None);
        assert_eq!(warning(&[("FILES_ARCHIVE", "off")]), None);
        assert!(warning(&[("FILES_ARCHIVE", "/a/*: on")]).unwrap().starts_with("FILES_ARCHIVE is on, but"));
    }

    #[test]
    fn every_fault_is_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("_headers"), "/*\n  X-A\n  Basic-Auth: a\n").unwrap();
        std::fs::create_dir(root.path().join("_redirects")).unwrap();
        let settings =
            settings(&[("FILES_RULES", "on"), ("FILES_SPA", "nope.html"), ("FILES_ERROR_PAGE", "errors")]);
        let Faults { errors, warnings } = check_directory(root.path(), &settings);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("_redirects: it is not a regular file"), "{errors:?}");
        assert!(errors[1].starts_with("_headers, line 2: this is no header field"), "{errors:?}");
        assert!(errors[2].starts_with("_headers, line 3: `Basic-Auth` takes `NAME:PASSWORD`"), "{errors:?}");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].starts_with("FILES_SPA is `nope.html`, but there is no such file in"),
            "{warnings:?}"
        );
    }
}
