//! What is in archives, and in the directories that they are made of.

use crate::Programs;
use crate::site::{Site, noise};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// Files by path, and directories with nothing.
pub type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// What is in a tar archive. It ends with two empty blocks and nothing more.
pub fn members(archive: &[u8]) -> Tree {
    assert_eq!(archive.len() % 512, 0);
    assert!(archive.ends_with(&[0; 1024]));
    let mut members = Tree::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let is_file = entry.header().entry_type().is_file();
        assert!(members.insert(path, is_file.then_some(content)).is_none(), "twice");
    }
    members
}

/// What is in a directory, under this name.
pub fn tree(directory: &Path, name: &str) -> Tree {
    let mut tree = Tree::from([(format!("{name}/"), None)]);
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            tree.extend(self::tree(&entry.path(), &path));
        } else {
            tree.insert(path, Some(fs::read(entry.path()).unwrap()));
        }
    }
    tree
}

/// Has GNU tar, with this option, and Python extract an archive of this form, and compares that with the site.
pub fn strangers_extract(programs: Programs, form: &str, option: &str) {
    let site = Site::new().with("FILES_LISTING", "on").with("FILES_ARCHIVE", "on");
    site.file("a.txt", noise(100_000)).directory("hollow").file("été/日本.txt", "é");
    site.file(&format!("é{}/new\nline", "x".repeat(200)), "x").file(&"y".repeat(255), "y");
    let server = programs.ours(&site, &[]);
    let archive = site.outside().join(format!("site.{form}"));
    fs::write(&archive, server.get(&format!("/?archive={form}")).body).unwrap();
    let python = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    let extractions: [(&str, &[&str]); 2] = [("tar", &[option]), ("python3", &["-c", python])];
    for (program, arguments) in extractions {
        let target = site.outside().join(program);
        fs::create_dir(&target).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).arg(&archive);
        let output = if program == "tar" { command.arg("-C").arg(&target) } else { command.arg(&target) };
        let output = output.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
        assert!(tree(&target.join("files"), "files") == tree(site.root(), "files"), "{program}");
    }
}
