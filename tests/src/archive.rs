//! What is in archives, and in the directories that they are made of.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

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
