//! What the built-in file server will read of its site, checked before the first request: the files that its settings name,
//! and its rules.

use crate::config::site::Site;
use guest::config::{ErrorPages, Settings};
use guest::path::RULE_FILES;
use guest::rules::{self, MAX_FILE_BYTES};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
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
    // Settings were validated with the configuration, and the first directory is the one that is served.
    let settings = Settings::checked(&config.grants.environment);
    let (Ok(settings), Some(directory), None) = (settings, config.grants.directories.first(), &config.guest)
    else {
        return Faults::default();
    };
    check_directory(&directory.host, &settings)
}

fn check_directory(root: &Path, settings: &Settings) -> Faults {
    let mut faults = Faults::default();
    let mut missing = |variable: &str, name: &str, kind: &str| {
        faults.warnings.push(format!(
            "{variable} is `{}`, but there is no such {kind} in {}",
            name.escape_debug(),
            root.display()
        ));
    };
    if let Some(page) = &settings.spa
        && !root.join(page.as_str()).is_file()
    {
        missing("FILES_SPA", page.as_str(), "file");
    }
    if let ErrorPages::Directory(pages) = &settings.error_pages
        && !root.join(pages.as_str()).is_dir()
    {
        missing("FILES_ERROR_PAGE", pages.as_str(), "directory");
    }
    if settings.rules {
        let directory = File::open(root);
        let [headers, redirects] = RULE_FILES.map(|name| {
            // A missing directory is reported where it is opened for guests.
            let content = directory.as_ref().map_or(Ok(Vec::new()), |directory| read_start(directory, name));
            content.unwrap_or_else(|error| {
                faults.errors.push(format!("cannot read {}: {error}", root.join(name).display()));
                Vec::new()
            })
        });
        let errors = rules::check(&headers, &redirects, settings.names);
        faults.errors.extend(errors.iter().map(ToString::to_string));
    }
    faults
}

/// The content of a file of rules, up to a byte more than it may have; nothing if there is none. Like the guest, this follows no
/// link out of the directory.
fn read_start(root: &File, name: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, name, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        // A link that leads nowhere is not a missing file.
        Err(Errno::NOENT) => {
            return match statat(root, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(io::Error::other("it is a link that leads nowhere")),
                Err(_) => Ok(Vec::new()),
            };
        }
        Err(Errno::XDEV) => return Err(io::Error::other("it is a link out of the directory")),
        // Without openat2, requests tell what is wrong.
        Err(Errno::NOSYS) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::{Faults, check_directory};
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
    fn every_fault_is_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("_headers"), "/*\n  X-A\n  Basic-Auth: a:b\n").unwrap();
        std::fs::create_dir(root.path().join("_redirects")).unwrap();
        let settings =
            settings(&[("FILES_RULES", "on"), ("FILES_SPA", "nope.html"), ("FILES_ERROR_PAGE", "errors")]);
        let Faults { errors, warnings } = check_directory(root.path(), &settings);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("_redirects: it is not a regular file"), "{errors:?}");
        assert!(errors[1].starts_with("_headers, line 2: this is no header field"), "{errors:?}");
        assert!(errors[2].starts_with("_headers, line 3: passwords are not supported"), "{errors:?}");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].starts_with("FILES_SPA is `nope.html`, but there is no such file in"),
            "{warnings:?}"
        );
    }
}
