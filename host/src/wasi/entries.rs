//! The entries of a directory. The kernel tells their types along with their names, so that none of them is examined.

use rustix::fs::{Dir, FileType};
use std::fs::File;
use std::io;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

/// The entries of a directory that have not been read yet.
#[derive(Debug)]
pub struct Entries(Dir);

impl Entries {
    /// Starts reading a directory.
    pub fn new(directory: &File) -> Result<Self, ErrorCode> {
        Dir::read_from(directory).map(Self).map_err(|error| io::Error::from(error).into())
    }

    /// The next entry.
    pub fn read(&mut self) -> Result<Option<DirectoryEntry>, ErrorCode> {
        loop {
            let entry = match self.0.read() {
                None => return Ok(None),
                Some(entry) => entry.map_err(io::Error::from)?,
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = str::from_utf8(name).map_err(|_| ErrorCode::IllegalByteSequence)?.to_owned();
            return Ok(Some(DirectoryEntry { type_: descriptor_type(entry.file_type()), name }));
        }
    }
}

/// What WASI calls a type of file.
pub fn descriptor_type(file_type: FileType) -> DescriptorType {
    match file_type {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        _ => DescriptorType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::Entries;
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, ErrorCode};

    #[test]
    fn every_entry_is_read_once_with_its_type() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        std::fs::create_dir(root.path().join("directory")).unwrap();
        symlink("nowhere", root.path().join("link")).unwrap();
        std::fs::write(root.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let mut entries = Entries::new(&File::open(root.path()).unwrap()).unwrap();
        let (mut found, mut unreadable) = (BTreeMap::new(), 0);
        loop {
            match entries.read() {
                Ok(None) => break,
                Ok(Some(entry)) => assert!(found.insert(entry.name, entry.type_).is_none()),
                Err(ErrorCode::IllegalByteSequence) => unreadable += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let expected = [
            ("directory", DescriptorType::Directory),
            ("file", DescriptorType::RegularFile),
            ("link", DescriptorType::SymbolicLink),
        ];
        assert_eq!(found, expected.map(|(name, type_)| (name.to_owned(), type_)).into());
        assert_eq!(unreadable, 1);
    }
}
