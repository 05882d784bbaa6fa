//! Writes the files of a guest: all of them, or none.

use super::templates::File;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Checks that there is nothing at this path, or an empty directory.
pub(super) fn check(directory: &Path) -> Result<()> {
    let shown = directory.display();
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(Ok(entry)) => bail!(
                "{shown} is not empty: it has {}; name a new directory, and nothing of this one is changed",
                entry.file_name().display()
            ),
            Some(Err(error)) => Err(error).with_context(|| format!("cannot list {shown}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{shown} is not a directory, or below a file; name a new directory")
        }
        Err(error) => Err(error).with_context(|| format!("cannot list {shown}")),
    }
}

/// Writes these files below a directory, which is made where it is missing. Files that are there are never replaced. When
/// it fails or is interrupted, what was written is removed again.
pub(super) fn files(directory: &Path, files: &[File], interrupted: &AtomicBool) -> Result<()> {
    let mut made = Vec::new();
    let written = files.iter().try_for_each(|(path, text)| {
        if interrupted.load(Ordering::Relaxed) {
            return Err(anyhow!("interrupted by a signal"));
        }
        let path = directory.join(path);
        write(&path, text, &mut made).with_context(|| format!("cannot write {}", path.display()))
    });
    written.map_err(|error| {
        let left = made.iter().rev().filter(|path| !remove(path)).count();
        let shown = directory.display();
        error.context(if left == 0 {
            format!("no guest was made in {shown}, and what was written is removed again")
        } else {
            format!("the guest in {shown} is incomplete; remove it, and try again")
        })
    })
}

/// Writes a new file, and the directories above it that are missing, and notes each in the order in which they are made.
fn write(path: &Path, text: &str, made: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let missing: Vec<_> = path.ancestors().skip(1).take_while(|above| !is_there(above)).collect();
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory)?;
        made.push(directory.to_owned());
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    made.push(path.to_owned());
    file.write_all(text.as_bytes())
}

/// Whether there is something at this path. The empty path is the current directory.
fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

fn remove(path: &Path) -> bool {
    if path.is_dir() { fs::remove_dir(path).is_ok() } else { fs::remove_file(path).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::{check, files};
    use std::sync::atomic::AtomicBool;

    fn file(path: &str) -> (String, String) {
        (path.to_owned(), "text\n".to_owned())
    }

    #[test]
    fn directories_are_made_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        check(&directory).unwrap();
        files(&directory, &[file("one"), file("c/d/two")], &AtomicBool::new(false)).unwrap();
        assert_eq!(std::fs::read_to_string(directory.join("c/d/two")).unwrap(), "text\n");
        assert!(check(&directory).unwrap_err().to_string().contains("is not empty"));
        assert!(check(&directory.join("one")).unwrap_err().to_string().contains("is not a directory"));
        assert!(check(&directory.join("one/two")).unwrap_err().to_string().contains("below a file"));
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        // The third cannot be written: its directory is the first file.
        let plan = [file("one"), file("c/two"), file("one/three")];
        let error = files(&directory, &plan, &AtomicBool::new(false)).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("removed again: cannot write") && message.contains("one/three"),
            "{message}"
        );
        assert_eq!(root.path().read_dir().unwrap().count(), 0);

        let error = files(&directory, &plan, &AtomicBool::new(true)).unwrap_err();
        assert!(format!("{error:#}").contains("interrupted"), "{error:#}");
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("two"), "mine").unwrap();
        let plan = [file("one"), file("two")];
        files(root.path(), &plan, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(std::fs::read_to_string(root.path().join("two")).unwrap(), "mine");
        assert!(!root.path().join("one").exists());
    }
}
