//! The rules of a site, `_headers` and `_redirects`: the host reads and checks them, and gives them to the file server with its
//! settings. So no request reads the files, and files that are wrong leave the rules as they were.
//!
//! Without [`give`], the file server reads the files for each request, as it does on other runtimes.

use crate::config::site::Site;
use crate::watch::Files;
use guest::config::{RULE_TEXTS, Settings};
use guest::guard::REALM;
use guest::path::{NamePolicy, RULE_FILES};
use guest::rules::{MAX_FILE_BYTES, check, guards};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What is wrong with rules, at least one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub Vec<String>);

/// In one line.
impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => Ok(()),
            [one] => f.write_str(one),
            [first, rest @ ..] => {
                write!(f, "{first} (and {} more; `wasi-httpd check` lists them)", rest.len())
            }
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads and checks the rules of a site, and gives them to its instances: they become part of its environment. Returns what tells
/// when they are to be read again; `None` for a site without such rules.
pub fn give(site: &mut Site) -> Result<Option<RuleFiles>, Wrong> {
    let Some(files) = RuleFiles::of(site) else { return Ok(None) };
    site.grants.environment = files.environment(&site.grants.environment)?;
    // Otherwise the files of a new directory would be served without its rules for a moment, and what guards them could be
    // among these.
    site.grants.pinned = true;
    Ok(Some(files))
}

/// The files of rules of a site.
#[derive(Debug)]
pub struct RuleFiles {
    root: PathBuf,
    policy: NamePolicy,
    files: Files,
    /// Whether the host knows the passwords of users of the site.
    has_users: bool,
    realm: String,
}

impl RuleFiles {
    /// Those of a site, which are about to be read; `None` if its component does not read them.
    pub fn of(site: &Site) -> Option<Self> {
        // The first directory is the one that is served.
        let (root, None) = (&site.grants.directories.first()?.host, &site.guest) else { return None };
        let settings = Settings::checked(&site.grants.environment).ok().filter(|settings| settings.rules)?;
        let files = Files::new(RULE_FILES.map(|name| root.join(name)).into_iter().chain([root.clone()]));
        let (has_users, realm) = (site.login.file.is_some(), site.realm());
        Some(Self { root: root.clone(), policy: settings.names.clone(), files, has_users, realm })
    }

    /// Whether they are to be read again, see [`Files::have_changed`].
    pub fn have_changed(&mut self) -> bool {
        self.files.have_changed()
    }

    /// Reads and checks them, and returns this environment with them in the place of those that it has. A directory that is gone is
    /// wrong too: while it is replaced in steps, its files are not served without their rules.
    pub fn environment(&self, before: &[(String, String)]) -> Result<Vec<(String, String)>, Wrong> {
        let root = &self.root;
        let directory = File::open(root)
            .map_err(|error| Wrong(vec![format!("cannot read {}: {error}", root.display())]))?;
        let texts = read(&directory, root, &self.policy)?;
        let has_passwords = texts
            .as_ref()
            .is_some_and(|[headers, _]| guards(headers.as_bytes()).is_ok_and(|guards| !guards.is_empty()));
        if has_passwords && self.has_users {
            // What is no user of the one is a failed login to the other.
            return Err(Wrong(vec![
                "_headers has Basic-Auth, and --auth-file other passwords; leave one of them out".to_owned(),
            ]));
        }
        let is_other = |name: &str| !RULE_TEXTS.contains(&name) && (self.has_users || name != REALM);
        let others = before.iter().filter(|(name, _)| is_other(name)).cloned();
        let realm = has_passwords.then(|| (REALM.to_owned(), self.realm.clone()));
        let given = texts.into_iter().flat_map(|texts| RULE_TEXTS.map(str::to_owned).into_iter().zip(texts));
        Ok(others.chain(realm).chain(given).collect())
    }
}

/// Reads the files of rules in a directory, which is at this path, and checks them. Returns their texts, in the order of
/// [`RULE_TEXTS`]; that of a file that is not there is empty. `None`: this kernel cannot read them as the file server does, which
/// then has to read them by itself.
pub(super) fn read(directory: &File, path: &Path, policy: &NamePolicy) -> Result<Option<[String; 2]>, Wrong> {
    let mut wrong = Vec::new();
    let mut is_supported = true;
    let contents = RULE_FILES.map(|name| {
        read_start(directory, name).unwrap_or_else(|error| {
            if error.kind() == io::ErrorKind::Unsupported {
                is_supported = false;
            } else {
                wrong.push(format!("cannot read {}: {error}", path.join(name).display()));
            }
            Vec::new()
        })
    });
    match texts(contents, policy) {
        Ok(texts) if wrong.is_empty() => Ok(is_supported.then_some(texts)),
        Ok(_) => Err(Wrong(wrong)),
        Err(Wrong(others)) => Err(Wrong(wrong.into_iter().chain(others).collect())),
    }
}

/// The texts of rules from the contents of their files, or what is wrong with them.
fn texts(contents: [Vec<u8>; 2], policy: &NamePolicy) -> Result<[String; 2], Wrong> {
    let [headers, redirects] = &contents;
    let errors = check(headers, redirects, policy);
    if errors.is_empty() {
        Ok(contents.map(text))
    } else {
        Err(Wrong(errors.iter().map(ToString::to_string).collect()))
    }
}

/// The content of a file as text of the same length. Only comments may have bytes that are not UTF-8.
fn text(content: Vec<u8>) -> String {
    String::from_utf8(content).unwrap_or_else(|error| {
        let chunks = error.as_bytes().utf8_chunks();
        chunks.map(|chunk| [chunk.valid(), &"?".repeat(chunk.invalid().len())].concat()).collect()
    })
}

/// The content of a file of rules, up to a byte more than it may have; nothing if there is none. Like the guest, this follows no
/// link out of the directory. Kernels without openat2 do not support it.
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
        Err(Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
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
    use super::{RuleFiles, Wrong, give};
    use crate::cli;
    use crate::component::location::Location;
    use crate::config::Serve;
    use crate::config::grants::{DirectoryGrant, Grants};
    use crate::config::site::Site;
    use guest::config::RULE_TEXTS;
    use guest::rules::MAX_FILE_BYTES;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn site(root: &Path, variables: &[(&str, &str)]) -> Site {
        let directory = DirectoryGrant { host: root.to_owned(), guest: "/".to_owned() };
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let grants =
            Grants { directories: vec![directory], environment: variables.collect(), ..Grants::default() };
        let Ok(cli::Command::Serve(typed)) = cli::parse(["wasi-httpd".into()]) else { panic!("it parses") };
        Site { grants, ..Serve::new(typed.arguments).unwrap().sites.remove(0) }
    }

    /// What the site's environment has of rules.
    fn given(environment: &[(String, String)]) -> Vec<(&str, &str)> {
        let variables = environment.iter().map(|(name, value)| (&**name, &**value));
        variables.filter(|(name, _)| RULE_TEXTS.contains(name)).collect()
    }

    const ON: (&str, &str) = ("FILES_RULES", "on");

    #[test]
    fn rules_are_part_of_the_environment() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("_redirects"), "/a /b\n").unwrap();
        let mut site = site(root.path(), &[("A", "1"), ON]);
        give(&mut site).unwrap().unwrap();
        let [headers, redirects] = RULE_TEXTS;
        // A file that is not there has no rules, also if it comes later.
        assert_eq!(given(&site.grants.environment), [(headers, ""), (redirects, "/a /b\n")]);
        fs::write(root.path().join("_redirects"), "/a /c\n").unwrap();
        give(&mut site).unwrap().unwrap();
        assert_eq!(given(&site.grants.environment), [(headers, ""), (redirects, "/a /c\n")]);
        assert_eq!(site.grants.environment.len(), 4);
    }

    #[test]
    fn a_site_without_rules_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("_headers"), "wrong").unwrap();
        let mut other = site(root.path(), &[ON]);
        other.guest = Some(Location::File("other.wasm".into()));
        for mut site in [site(root.path(), &[]), site(root.path(), &[("FILES_RULES", "off")]), other] {
            let before = site.clone();
            assert!(give(&mut site).unwrap().is_none());
            assert_eq!(site, before);
        }
    }

    #[test]
    fn what_is_wrong_leaves_the_environment_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let headers = root.path().join("_headers");
        fs::write(&headers, "/*\n  X-A: 1\n").unwrap();
        let mut site = site(root.path(), &[ON]);
        let files = give(&mut site).unwrap().unwrap();
        let before = site.grants.environment.clone();
        fs::write(&headers, "/*\n  X-A\n").unwrap();
        let wrong = give(&mut site).unwrap_err();
        assert!(wrong.to_string().starts_with("_headers, line 2: this is no header field"), "{wrong}");
        fs::remove_file(&headers).unwrap();
        fs::create_dir(&headers).unwrap();
        symlink("nowhere", root.path().join("_redirects")).unwrap();
        let wrong = files.environment(&before).unwrap_err();
        assert!(wrong.to_string().ends_with(" (and 1 more; `wasi-httpd check` lists them)"), "{wrong}");
        root.close().unwrap();
        assert!(files.environment(&before).unwrap_err().to_string().starts_with("cannot read "));
        assert_eq!(site.grants.environment, before);
    }

    #[test]
    fn a_directory_that_is_replaced_has_other_rules() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("site");
        for release in ["1", "2"] {
            fs::create_dir(parent.path().join(release)).unwrap();
            let rules = format!("/*\n  X-A: {release}\n");
            fs::write(parent.path().join(release).join("_headers"), rules).unwrap();
        }
        symlink("1", &root).unwrap();
        let mut site = site(&root, &[ON]);
        let mut files = give(&mut site).unwrap().unwrap();
        assert!(!files.have_changed());
        symlink("2", parent.path().join("new")).unwrap();
        fs::rename(parent.path().join("new"), &root).unwrap();
        assert!(!files.have_changed(), "it may be about to change again");
        assert!(files.have_changed());
        let environment = files.environment(&site.grants.environment).unwrap();
        assert_eq!(given(&environment)[0].1, "/*\n  X-A: 2\n");
    }

    #[test]
    fn a_comment_in_another_encoding_does_not_make_a_file_longer() {
        let root = tempfile::tempdir().unwrap();
        let mut content = b"/* /a\n# caf\xe9 ".to_vec();
        content.resize(MAX_FILE_BYTES, 0xe9);
        fs::write(root.path().join("_redirects"), content).unwrap();
        let site = site(root.path(), &[ON]);
        let environment = RuleFiles::of(&site).unwrap().environment(&site.grants.environment).unwrap();
        let text = given(&environment)[1].1;
        assert!(text.starts_with("/* /a\n# caf? ????") && text.len() == MAX_FILE_BYTES, "{text:.40}");
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        let wrong = |lines: &[&str]| Wrong(lines.iter().map(ToString::to_string).collect()).to_string();
        assert_eq!(wrong(&["a"]), "a");
        assert_eq!(wrong(&["a", "b", "c"]), "a (and 2 more; `wasi-httpd check` lists them)");
    }
}
