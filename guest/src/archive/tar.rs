//! The format of an archive: `ustar` (POSIX.1-1988), with the extended headers of `pax` (POSIX.1-2001) where a path is long or not
//! ASCII, or a file is larger than 8 GiB.

/// Everything in an archive is a multiple of so many bytes.
pub const BLOCK_BYTES: usize = 512;

/// The end of an archive: two empty blocks.
pub const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// The longest name of a `ustar` header, in bytes.
const NAME_MAX_BYTES: usize = 100;

/// The longest part of a path that can stand before the slash before that name, in bytes.
const PREFIX_MAX_BYTES: usize = 155;

/// The largest number that fits into the eleven octal digits of a size or a time.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// The name of a header that extends the next one. Programs that do not know such headers extract it as a file of this name.
const EXTENSION_NAME: &str = "././@PaxHeader";

/// What a header describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its path in the archive, without a slash at either end.
    pub path: &'a str,
    /// Its length in bytes; `None` of a directory.
    pub length: Option<u64>,
    /// When it was last modified, in seconds since 1970.
    pub modified: u64,
}

/// The length of the header of a member, in bytes.
pub fn header_length(member: &Member<'_>) -> u64 {
    let extension = extension(member);
    let blocks = if extension.is_empty() { 0 } else { 1 + extension.len().div_ceil(BLOCK_BYTES) };
    ((blocks + 1) * BLOCK_BYTES) as u64
}

/// The length of a file with what follows it up to the next block, in bytes; `None` if no number is as large.
pub fn padded(length: u64) -> Option<u64> {
    length.checked_next_multiple_of(BLOCK_BYTES as u64)
}

/// Appends the empty bytes after a file of this length.
pub fn push_padding(archive: &mut Vec<u8>, length: u64) {
    #[allow(clippy::cast_possible_truncation, reason = "it is less than a block")]
    let used = (length % BLOCK_BYTES as u64) as usize;
    if used > 0 {
        archive.resize(archive.len() + BLOCK_BYTES - used, 0);
    }
}

/// Appends the header of a member. Its owner is root and its permissions are the usual ones, because a component learns neither.
pub fn push_header(archive: &mut Vec<u8>, member: &Member<'_>) {
    let extension = extension(member);
    if !extension.is_empty() {
        let length = extension.len() as u64;
        let member = Member { path: EXTENSION_NAME, length: Some(length), ..*member };
        push_block(archive, &member, EXTENSION_NAME, b'x');
        archive.extend_from_slice(extension.as_bytes());
        push_padding(archive, length);
    }
    let mut path = member.path.to_owned();
    let kind = if member.length.is_none() {
        path.push('/');
        b'5'
    } else {
        b'0'
    };
    push_block(archive, member, &path, kind);
}

/// What does not fit into the header itself (`pax`, extended header keyword/value pairs); empty if everything fits.
fn extension(member: &Member<'_>) -> String {
    let mut records = String::new();
    let slash = if member.length.is_none() { "/" } else { "" };
    // The bytes of names in plain headers have no known encoding.
    if !member.path.is_ascii() || split(member.path, slash.len()).is_none() {
        push_record(&mut records, "path", &[member.path, slash].concat());
    }
    if let Some(length) = member.length.filter(|length| *length > OCTAL_MAX) {
        push_record(&mut records, "size", &length.to_string());
    }
    records
}

/// Appends a record, which begins with its own length: `13 size=12345\n`.
fn push_record(records: &mut String, key: &str, value: &str) {
    // The space, the equals sign and the end of the line.
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    for part in [&length.to_string(), " ", key, "=", value, "\n"] {
        records.push_str(part);
    }
}

/// Where a path is divided into a prefix and a name that fit: at this slash, or nowhere if it is a name by itself (0); `None` if it does
/// not fit. The name has `slash` more bytes.
fn split(path: &str, slash: usize) -> Option<usize> {
    if path.len() + slash <= NAME_MAX_BYTES {
        return Some(0);
    }
    let first = (path.len() + slash).checked_sub(NAME_MAX_BYTES + 1)?;
    // A name of no bytes would be none, and neither would a prefix.
    let slashes = path.bytes().enumerate().skip(first.max(1)).take_while(|(at, _)| *at <= PREFIX_MAX_BYTES);
    slashes.filter(|(_, byte)| *byte == b'/').map(|(at, _)| at).next()
}

/// Appends one block: a header.
fn push_block(archive: &mut Vec<u8>, member: &Member<'_>, path: &str, kind: u8) {
    let start = archive.len();
    archive.resize(start + BLOCK_BYTES, 0);
    let block = &mut archive[start..];
    let is_directory = kind == b'5';
    let (prefix, name) = match split(path.trim_end_matches('/'), usize::from(is_directory)) {
        Some(at @ 1..) => (&path[..at], &path[at + 1..]),
        // Where there is no place to split it, the extension has all of it.
        Some(0) | None => ("", path),
    };
    put(block, 0, &name.as_bytes()[..name.len().min(NAME_MAX_BYTES)]);
    put(block, 100, if is_directory { b"0000755" } else { b"0000644" });
    for at in [108, 116, 329, 337] {
        // The owner, the group, and the numbers of a device.
        put(block, at, b"0000000");
    }
    put_number(block, 124, member.length.unwrap_or(0));
    put_number(block, 136, member.modified.min(OCTAL_MAX));
    put(block, 148, b"        ");
    block[156] = kind;
    put(block, 257, b"ustar\x0000");
    put(block, 345, prefix.as_bytes());
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    put(block, 148, format!("{sum:06o}\0").as_bytes());
}

/// Writes a field of a header.
fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes a field of twelve bytes: octal digits, or the number itself behind a bit that says so, as GNU tar does.
fn put_number(block: &mut [u8], at: usize, number: u64) {
    if number <= OCTAL_MAX {
        put(block, at, format!("{number:011o}").as_bytes());
    } else {
        block[at] = 0x80;
        put(block, at + 4, &number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, END, Member, header_length, padded, push_header, push_padding};
    use proptest::prelude::*;
    use std::io::Read as _;

    fn header(member: &Member<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_header(&mut bytes, member);
        assert_eq!(bytes.len() as u64, header_length(member), "{member:?}");
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        bytes
    }

    /// What another implementation reads from a header: the path, the size, the time and the kind.
    fn read(header: &[u8]) -> (String, u64, u64, bool) {
        let mut archive = tar::Archive::new(header);
        let mut entries = archive.entries().unwrap();
        let entry = entries.next().unwrap().unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let time = entry.header().mtime().unwrap();
        (path, entry.size(), time, entry.header().entry_type().is_dir())
    }

    #[test]
    fn a_header_is_what_gnu_tar_writes() {
        // tar --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf - d/a.txt
        let member = Member { path: "d/a.txt", length: Some(5), modified: 1_700_000_000 };
        let header = header(&member);
        assert_eq!(&header[..8], b"d/a.txt\0");
        assert_eq!(
            &header[100..157],
            b"0000644\x000000000\x000000000\x0000000000005\x0014524770400\x00010446\x00 0".as_slice()
        );
        assert_eq!(&header[257..265], b"ustar\x0000");
    }

    #[test]
    fn long_paths_are_divided_or_extended() {
        let deep = |names: usize| vec!["0123456789"; names].join("/");
        for (path, blocks) in [
            ("a".repeat(100), 1),
            ("a".repeat(101), 3),
            ("é".repeat(40), 3),
            (format!("{}/{}", "a".repeat(155), "b".repeat(100)), 1),
            (format!("{}/{}", "a".repeat(156), "b".repeat(99)), 3),
            (format!("{}/{}", "a".repeat(155), "b".repeat(101)), 3),
            (deep(23), 1),
            (deep(24), 3),
            (deep(370), 10),
        ] {
            for length in [None, Some(0)] {
                let member = Member { path: &path, length, modified: 0 };
                let header = header(&member);
                let is_tight = length.is_none() && blocks == 1 && path.len() > 99;
                assert!(header.len() == blocks * BLOCK_BYTES || is_tight, "{path}: {}", header.len());
                let slash = if length.is_none() { "/" } else { "" };
                assert_eq!(read(&header), (format!("{path}{slash}"), 0, 0, length.is_none()));
            }
        }
    }

    #[test]
    fn large_numbers_are_said_in_two_ways() {
        let size = |length| {
            let header = header(&Member { path: "a", length: Some(length), modified: u64::MAX });
            let (_, size, time, _) = read(&header);
            assert_eq!(time, (1 << 33) - 1);
            (size, header.len())
        };
        assert_eq!(size((1 << 33) - 1), ((1 << 33) - 1, 512));
        assert_eq!(size(1 << 33), (1 << 33, 1536));
        assert_eq!(size(u64::MAX >> 1), (u64::MAX >> 1, 1536));
        assert_eq!(padded(u64::MAX), None);
        assert_eq!(padded(513), Some(1024));
    }

    proptest! {
        #[test]
        fn an_archive_is_read_as_it_was_written(
            members in proptest::collection::vec(
                ("[a-c/é ]{1,150}", proptest::option::of(0..2000_usize), 0..1_u64 << 34), 0..6
            )
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (path, length, modified) in &members {
                let path: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
                if path.is_empty() {
                    continue;
                }
                let path = path.join("/");
                let member = Member { path: &path, length: length.map(|length| length as u64), modified: *modified };
                let before = bytes.len();
                push_header(&mut bytes, &member);
                prop_assert_eq!((bytes.len() - before) as u64, header_length(&member));
                let content = vec![b'x'; length.unwrap_or(0)];
                bytes.extend_from_slice(&content);
                push_padding(&mut bytes, content.len() as u64);
                prop_assert_eq!(bytes.len() % BLOCK_BYTES, 0);
                let slash = if length.is_none() { "/" } else { "" };
                expected.push((format!("{path}{slash}"), content, (*modified).min((1 << 33) - 1)));
            }
            bytes.extend_from_slice(&END);
            let mut archive = tar::Archive::new(&bytes[..]);
            let mut found = Vec::new();
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                found.push((path, content, entry.header().mtime().unwrap()));
            }
            prop_assert_eq!(found, expected);
        }
    }
}
