//! `wasi:filesystem/types.descriptor`: the calls that every request for a file makes, with fewer system calls than the
//! runtime's own, and none that waits for a FIFO.

use super::entries::descriptor_type;
use super::known_files::KnownFiles;
use super::last_file::{Found, LastFile};
use super::missing_names::MissingNames;
use super::open_files::OpenFiles;
use super::path_key::{PathKey, PathKeys};
use crate::sandbox::BLOCKING_FILE_CALLS;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat};
use rustix::io::{Errno, pread};
use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Instant;
use wasmtime_wasi::filesystem::{Descriptor, Dir, File, OpenMode};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, ErrorCode, OpenFlags, PathFlags,
};

/// How many bytes of a file are read at a time: the memory of one call is bounded.
const READ_MAX_BYTES: usize = 1024 * 1024;

/// How often a path is resolved anew when the kernel could not prove that it stays below its directory, because something
/// was renamed meanwhile (openat2(2), `EAGAIN`).
const TRIES: usize = 8;

/// Why a call about a file has no result.
#[derive(Debug)]
pub enum Failure {
    /// It failed with this code.
    Code(ErrorCode),
    /// It would write.
    Write,
    /// It is about a FIFO, a device or a socket, which could block the thread.
    SpecialFile,
    /// The kernel lacks `openat2` (Linux before 5.6, or a filter): the runtime has another way.
    Unsupported,
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenHow {
    /// Whether a symbolic link at the end of the path is followed.
    pub path: PathFlags,
    /// What the path must lead to.
    pub open: OpenFlags,
    /// What the descriptor is for.
    pub flags: DescriptorFlags,
    /// Whether special files may be opened, and waited for.
    pub special_files: bool,
}

/// What is known of files that guests have asked for.
#[derive(Clone, Copy)]
pub struct Lately<'a> {
    /// What all of them are found by.
    pub keys: &'a PathKeys,
    /// The paths that have led to regular files.
    pub known: &'a KnownFiles,
    /// The files that are still open.
    pub open: &'a OpenFiles,
    /// The names that were missing beside them.
    pub missing: &'a MissingNames,
}

impl Lately<'_> {
    fn key(self, directory: &Dir, path: &str) -> PathKey {
        self.keys.of(directory.dir.as_raw_fd(), path)
    }

    /// The regular file that a path of this key leads to, where it has led to it lately.
    fn find(self, key: PathKey, directory: &Dir, path: &str) -> Option<Found> {
        let examine = || statat(&*directory.dir, path, AtFlags::SYMLINK_NOFOLLOW).ok();
        let mut found = self.open.find(key, Instant::now, examine)?;
        if let Descriptor::File(file) = &mut found.descriptor {
            file.perms = directory.perms;
        }
        Some(found)
    }

    /// Notes what a path has led to. A file that is asked for again is kept open.
    fn note(self, key: PathKey, found: &Found) {
        let is_file = found.is_file();
        if is_file && self.known.has(key) {
            self.open.keep(key, found);
        }
        self.known.set(key, is_file);
    }
}

/// Opens what a path below a directory leads to.
pub fn open_at(
    directory: &Dir,
    path: &str,
    how: OpenHow,
    lately: Lately<'_>,
    last: &mut LastFile,
) -> Result<Found, Failure> {
    let creates = how.open & (OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE);
    let creates = creates != OpenFlags::empty();
    let syncs = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if how.flags & syncs != DescriptorFlags::empty() {
        return Err(Failure::Code(ErrorCode::Unsupported));
    }
    if how.open.contains(OpenFlags::DIRECTORY) && creates {
        return Err(Failure::Code(ErrorCode::Invalid));
    }
    if creates || how.flags.contains(DescriptorFlags::WRITE) {
        return Err(Failure::Write);
    }
    let is_plain = how.path == PathFlags::SYMLINK_FOLLOW && how.open == OpenFlags::empty();
    let mut key = None;
    if is_plain {
        let found = last.take_examined(&directory.dir, path);
        let find = || lately.find(*key.insert(lately.key(directory, path)), directory, path);
        if let Some(found) = found.or_else(find) {
            return Ok(found);
        }
    }
    let mut flags = OFlags::RDONLY | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, !how.path.contains(PathFlags::SYMLINK_FOLLOW));
    flags.set(OFlags::DIRECTORY, how.open.contains(OpenFlags::DIRECTORY));
    // Without it, opening a FIFO waits for a writer.
    flags.set(OFlags::NONBLOCK, !how.special_files);
    let found = open_beneath(directory, path, flags)?;
    if !(how.special_files || found.is_file() || found.is_dir()) {
        return Err(Failure::SpecialFile);
    }
    if let Some(key) = key
        && found.is_file()
    {
        lately.note(key, &found);
    }
    Ok(found)
}

/// Examines what a path below a directory leads to. A path that a guest has opened before is opened again, and the file kept
/// in `last`: it is likely to be opened next.
pub fn stat_at(
    directory: &Dir,
    path: &str,
    flags: PathFlags,
    lately: Lately<'_>,
    last: &mut LastFile,
) -> Result<Stat, Failure> {
    if !flags.contains(PathFlags::SYMLINK_FOLLOW) {
        let found = open_beneath(directory, path, OFlags::PATH | OFlags::NOFOLLOW)?;
        last.forget_examined();
        return Ok(*found.stat);
    }
    let key = lately.key(directory, path);
    let beside = last
        .examined_beside(&directory.dir, path)
        .and_then(|now| lately.missing.version(lately.keys, directory, path, now));
    if beside.is_some_and(|version| lately.missing.has(key, version)) {
        return Err(Failure::Code(ErrorCode::NoEntry));
    }
    if let Some(found) = lately.find(key, directory, path) {
        let stat = *found.stat;
        last.examine(&directory.dir, path, found);
        return Ok(stat);
    }
    if lately.known.has(key) {
        if let Ok(found) = open_beneath(directory, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
            && found.is_file()
        {
            lately.note(key, &found);
            let stat = *found.stat;
            last.examine(&directory.dir, path, found);
            return Ok(stat);
        }
        lately.known.set(key, false);
    }
    let looked = look_at(directory, path);
    match (&looked, beside) {
        (Ok(_), _) => last.forget_examined(),
        (Err(Failure::Code(ErrorCode::NoEntry)), Some(version)) => {
            lately.missing.note(lately.keys, (directory, path), key, version);
        }
        _ => {}
    }
    looked
}

/// Examines what a path below a directory leads to, and remembers nothing.
pub fn look_at(directory: &Dir, path: &str) -> Result<Stat, Failure> {
    // A name in the directory itself leads out of it only by a symbolic link, so anything else takes one system call.
    if is_plain_name(path) {
        match statat(&*directory.dir, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink => return Ok(stat),
            Err(Errno::NOENT) => return Err(Failure::Code(ErrorCode::NoEntry)),
            _ => {}
        }
    }
    // This opens nothing, so that it waits for nothing, has no side effects and needs no permission to read.
    open_beneath(directory, path, OFlags::PATH).map(|found| *found.stat)
}

/// Opens the regular file that a path below a directory leads to, and remembers nothing.
pub fn open_file(directory: &Dir, path: &str) -> Option<Found> {
    let found = open_beneath(directory, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY);
    found.ok().filter(Found::is_file)
}

/// Whether a path is one name.
fn is_plain_name(path: &str) -> bool {
    !path.is_empty() && !path.contains('/') && !matches!(path, "." | "..")
}

/// Opens what a path leads to. Symbolic links are followed as long as they stay below the directory.
fn open_beneath(directory: &Dir, path: &str, flags: OFlags) -> Result<Found, Failure> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    let file = loop {
        match openat2(&*directory.dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(file) => break fs::File::from(file),
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
            Err(Errno::NOSYS) => return Err(Failure::Unsupported),
            // It would have led out of the directory.
            Err(Errno::XDEV) => return Err(Failure::Code(ErrorCode::NotPermitted)),
            Err(error) => return Err(Failure::Code(io::Error::from(error).into())),
        }
    };
    let since = Instant::now();
    let stat = fstat(&file).map_err(|error| Failure::Code(io::Error::from(error).into()))?;
    let (perms, mode) = (directory.perms, OpenMode::READ);
    let descriptor = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        Descriptor::Dir(Dir::new(file, perms, mode, BLOCKING_FILE_CALLS))
    } else {
        Descriptor::File(File::new(file, perms, mode, BLOCKING_FILE_CALLS))
    };
    Ok(Found { descriptor, stat: Box::new(stat), since })
}

/// Reads a piece of a file, and tells whether it is at its end. Unlike the runtime's own, this clears no buffer
/// before.
pub fn read(file: &fs::File, length: u64, offset: u64) -> Result<(Vec<u8>, bool), ErrorCode> {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(READ_MAX_BYTES);
    if length == 0 {
        return Ok((Vec::new(), true));
    }
    let mut bytes = Vec::with_capacity(length);
    loop {
        match pread(file, spare_capacity(&mut bytes), offset) {
            Ok(_) => {
                let is_end = bytes.is_empty();
                return Ok((bytes, is_end));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// What is known of a file, as guests have it.
#[allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::useless_conversion,
    reason = "lengths and nanoseconds are small and not negative, and the number of links has 32 bits on AArch64"
)]
pub fn describe(stat: &Stat) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(FileType::from_raw_mode(stat.st_mode)),
        link_count: stat.st_nlink.into(),
        size: stat.st_size as u64,
        data_access_timestamp: moment(stat.st_atime, stat.st_atime_nsec as i64),
        data_modification_timestamp: moment(stat.st_mtime, stat.st_mtime_nsec as i64),
        status_change_timestamp: moment(stat.st_ctime, stat.st_ctime_nsec as i64),
    }
}

/// Times before 1970 cannot be expressed, and are left out.
fn moment(seconds: i64, nanoseconds: i64) -> Option<Datetime> {
    Some(Datetime { seconds: seconds.try_into().ok()?, nanoseconds: nanoseconds.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Failure, Lately, OpenHow, describe, open_at, stat_at};
    use crate::body::METADATA_TTL;
    use crate::wasi::{KnownFiles, LastFile, MissingNames, OpenFiles, PathKeys};
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Instant;
    use wasmtime_wasi::filesystem::{Descriptor, Dir, FsPerms, OpenMode};
    use wasmtime_wasi::p2::bindings::filesystem::types::{
        DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
    };

    struct Memory {
        keys: PathKeys,
        known: KnownFiles,
        open: OpenFiles,
        missing: MissingNames,
    }

    impl Default for Memory {
        fn default() -> Self {
            Self {
                keys: PathKeys::default(),
                known: KnownFiles::default(),
                open: OpenFiles::default(),
                missing: MissingNames::of_unsettled_directories(),
            }
        }
    }

    impl Memory {
        fn lately(&self) -> Lately<'_> {
            Lately { keys: &self.keys, known: &self.known, open: &self.open, missing: &self.missing }
        }
    }

    struct Fixture {
        outside: tempfile::TempDir,
        directory: Dir,
    }

    /// A directory with a file, a directory, links, a FIFO and a socket.
    fn fixture() -> Fixture {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("d")).unwrap();
        std::fs::write(root.join("f"), "content").unwrap();
        std::fs::write(outside.path().join("secret"), "").unwrap();
        symlink("f", root.join("link")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
        UnixListener::bind(root.join("socket")).unwrap();
        let file = File::open(&root).unwrap();
        Fixture { outside, directory: Dir::new(file, FsPerms::ReadOnly, OpenMode::READ, true) }
    }

    fn read() -> OpenHow {
        OpenHow {
            path: PathFlags::SYMLINK_FOLLOW,
            open: OpenFlags::empty(),
            flags: DescriptorFlags::READ,
            special_files: false,
        }
    }

    fn code<T>(outcome: &Result<T, Failure>) -> Option<ErrorCode> {
        match outcome {
            Err(Failure::Code(code)) => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn files_and_directories_are_opened_and_nothing_else() {
        let Fixture { directory, outside: _outside } = &fixture();
        let memory = Memory::default();
        let open = |path, how| open_at(directory, path, how, memory.lately(), &mut LastFile::default());
        for path in ["f", "link", "d", "d/../f", "."] {
            assert!(open(path, read()).is_ok(), "{path}");
        }
        // Without NONBLOCK the first of these would never return.
        assert!(matches!(open("fifo", read()), Err(Failure::SpecialFile)));
        assert!(code(&open("socket", read())).is_some());
        for (path, expected) in [
            ("missing", ErrorCode::NoEntry),
            ("f/x", ErrorCode::NotDirectory),
            ("out", ErrorCode::NotPermitted),
            ("../secret", ErrorCode::NotPermitted),
            ("/etc/hostname", ErrorCode::NotPermitted),
            ("", ErrorCode::NoEntry),
        ] {
            assert_eq!(code(&open(path, read())), Some(expected), "{path}");
        }
        let no_follow = OpenHow { path: PathFlags::empty(), ..read() };
        assert_eq!(code(&open("link", no_follow)), Some(ErrorCode::Loop));
        let only_directory = OpenHow { open: OpenFlags::DIRECTORY, ..read() };
        assert_eq!(code(&open("f", only_directory)), Some(ErrorCode::NotDirectory));
        assert!(open("d", only_directory).is_ok());
    }

    #[test]
    fn a_file_is_read_in_pieces() {
        let Fixture { directory, outside: _outside } = &fixture();
        let how = read();
        let found = open_at(directory, "f", how, Memory::default().lately(), &mut LastFile::default());
        let Descriptor::File(file) = found.unwrap().descriptor else { panic!("it is a directory") };
        for (length, offset, expected, is_end) in [
            (3, 0, "con", false),
            (100, 3, "tent", false),
            (100, 7, "", true),
            (u64::MAX, 0, "content", false),
            (0, 0, "", true),
        ] {
            let (bytes, end) = super::read(&file.file, length, offset).unwrap();
            assert_eq!((bytes.as_slice(), end), (expected.as_bytes(), is_end));
        }
        assert!(super::read(&file.file, 1, u64::MAX).is_err());
    }

    #[test]
    fn nothing_is_opened_to_be_written() {
        let Fixture { directory, outside } = &fixture();
        for how in [
            OpenHow { flags: DescriptorFlags::READ | DescriptorFlags::WRITE, ..read() },
            OpenHow { open: OpenFlags::CREATE, ..read() },
            OpenHow { open: OpenFlags::TRUNCATE, ..read() },
        ] {
            for path in ["f", "new"] {
                let outcome =
                    open_at(directory, path, how, Memory::default().lately(), &mut LastFile::default());
                assert!(matches!(outcome, Err(Failure::Write)), "{how:?}");
            }
        }
        assert_eq!(std::fs::read(outside.path().join("root/f")).unwrap(), b"content");
        assert!(!outside.path().join("root/new").exists());
    }

    #[test]
    fn a_path_that_was_opened_is_opened_when_it_is_examined_again() {
        let Fixture { directory, outside: _outside } = &fixture();
        let (memory, mut last) = (Memory::default(), LastFile::default());
        for is_opened in [false, true, true] {
            let lately = memory.lately();
            let stat = stat_at(directory, "f", PathFlags::SYMLINK_FOLLOW, lately, &mut last).unwrap();
            assert_eq!((describe(&stat).type_, stat.st_size), (DescriptorType::RegularFile, 7));
            assert_eq!(last.take_examined(&directory.dir, "f").is_some(), is_opened);
            open_at(directory, "f", read(), lately, &mut last).unwrap();
        }
    }

    #[test]
    fn a_variant_that_is_new_is_found() {
        let Fixture { directory, outside } = &fixture();
        let (memory, mut last) = (Memory::default(), LastFile::default());
        let mut is_missing = || {
            let lately = memory.lately();
            let mut stat = |path| stat_at(directory, path, PathFlags::SYMLINK_FOLLOW, lately, &mut last);
            stat("f").unwrap();
            let variant = stat("f.br");
            open_at(directory, "f", read(), lately, &mut last).unwrap();
            code(&variant) == Some(ErrorCode::NoEntry)
        };
        // From the second time on, the file is opened when it is examined, and what is missing beside it is remembered.
        for _ in 0..4 {
            assert!(is_missing());
        }
        std::fs::write(outside.path().join("root/f.br"), "").unwrap();
        let written = Instant::now();
        while is_missing() {
            assert!(written.elapsed() < METADATA_TTL * 1_000, "it is never found");
        }
    }

    #[test]
    fn everything_can_be_examined() {
        let Fixture { directory, outside: _outside } = &fixture();
        let (memory, mut last) = (Memory::default(), LastFile::default());
        let mut stat = |path, flags| stat_at(directory, path, flags, memory.lately(), &mut last);
        let mut kind = |path, flags| stat(path, flags).map(|stat| describe(&stat).type_).ok();
        let (follow, none) = (PathFlags::SYMLINK_FOLLOW, PathFlags::empty());
        for _ in 0..2 {
            assert_eq!(kind("link", follow), Some(DescriptorType::RegularFile));
            assert_eq!(kind("link", none), Some(DescriptorType::SymbolicLink));
            assert_eq!(kind("d", follow), Some(DescriptorType::Directory));
            assert_eq!(kind("fifo", follow), Some(DescriptorType::Unknown));
            assert_eq!(kind("out", follow), None);
            assert_eq!(kind("out", none), Some(DescriptorType::SymbolicLink));
        }
    }
    #[tokio::test]
    async fn a_file_that_is_asked_for_again_stays_open() {
        let Fixture { directory, outside } = &fixture();
        let (memory, mut last) = (Memory::default(), LastFile::default());
        let mut open = || {
            let found = open_at(directory, "f", read(), memory.lately(), &mut last).unwrap();
            let Descriptor::File(file) = found.descriptor else { panic!("it is a directory") };
            (file.file, found.stat.st_size)
        };
        let files: Vec<_> = std::iter::repeat_with(&mut open).take(3).collect();
        assert!(!Arc::ptr_eq(&files[0].0, &files[1].0));
        assert!(Arc::ptr_eq(&files[1].0, &files[2].0));
        std::fs::rename(outside.path().join("secret"), outside.path().join("root/f")).unwrap();
        let (file, size) = open();
        assert!(size == 0 && !Arc::ptr_eq(&file, &files[1].0), "it is another one");
    }
}
