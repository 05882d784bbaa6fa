//! A request and its answer as bytes in the component's memory, for a host that knows this form.
//!
//! By `wasi:http`, a request and its answer take some 25 calls between the component and its host. Our host makes one instead: it
//! writes a [`Head`] into memory that the component has allocated for it, and calls the export [`EXPORT`] of the core module with
//! its address and length. That gives the address of an [`Answer`], or 0 where the host has to call the handler of `wasi:http`, which
//! then sends what was decided. Files are opened by the calls of `wasi:filesystem` in either case.
//!
//! Other hosts do not know the export, which is none of the component's.

use crate::request::{Lines, Lookup, Method, Name};

/// The export of the core module. Its core type is `(address: i32, length: i32) -> i32`.
pub const EXPORT: &str = "wasi-httpd:answer";

/// The longest head, in bytes. A request with a longer one is for the handler of `wasi:http`.
pub const HEAD_MAX: usize = 2048;

/// What stands before the target: the handle of the directory, the number of the method, and the length of the target.
const FIXED_BYTES: usize = 8;

/// What stands before the value of a field: the number of its name, and the length of the value.
const FIELD_BYTES: usize = 3;

/// The methods, in the order of their numbers.
const METHODS: [Method; 4] = [Method::Get, Method::Head, Method::Options, Method::Other];

/// What the component reads of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// A handle for the first directory of `wasi:filesystem/preopens`; 0 if there is none.
    pub directory: u32,
    /// The method.
    pub method: Method,
    /// Path and query, as in [`Request`](crate::request::Request).
    pub target: &'a str,
    /// The fields that answers depend on.
    pub fields: Fields<'a>,
}

/// Writes the head of a request.
#[derive(Debug)]
pub struct HeadWriter<'a> {
    buffer: &'a mut [u8],
    end: usize,
}

impl<'a> HeadWriter<'a> {
    /// Begins a head without fields; `None` if it is too long for the buffer.
    pub fn new(buffer: &'a mut [u8], directory: u32, method: Method, target: &str) -> Option<Self> {
        let mut writer = Self { buffer, end: 0 };
        let length = u16::try_from(target.len()).ok()?;
        let method = METHODS.iter().position(|&known| known == method)?;
        writer.put(&directory.to_le_bytes())?;
        writer.put(&[u8::try_from(method).ok()?, 0])?;
        writer.put(&length.to_le_bytes())?;
        writer.put(target.as_bytes())?;
        Some(writer)
    }

    /// Adds a line of a field; `None` if it is too long for the buffer.
    pub fn field(&mut self, name: Name, value: &[u8]) -> Option<()> {
        let [low, high] = u16::try_from(value.len()).ok()?.to_le_bytes();
        self.put(&[name as u8, low, high])?;
        self.put(value)
    }

    /// The length of the head, in bytes.
    pub fn length(&self) -> usize {
        self.end
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.end + bytes.len();
        self.buffer.get_mut(self.end..end)?.copy_from_slice(bytes);
        self.end = end;
        Some(())
    }
}

impl<'a> Head<'a> {
    /// Reads a head; `None` if it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
        let &[d0, d1, d2, d3, method, _, low, high] = fixed;
        let (target, fields) = rest.split_at_checked(u16::from_le_bytes([low, high]).into())?;
        Some(Self {
            directory: u32::from_le_bytes([d0, d1, d2, d3]),
            method: *METHODS.get(usize::from(method))?,
            target: std::str::from_utf8(target).ok()?,
            fields: Fields(fields),
        })
    }
}

/// The fields of a head.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Each line, by the number of its name.
    fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&[name, low, high], after) = rest.split_first_chunk::<FIELD_BYTES>()?;
            let (value, after) = after.split_at_checked(u16::from_le_bytes([low, high]).into())?;
            rest = after;
            Some((name, value))
        })
    }
}

impl Lookup for Fields<'_> {
    fn lines(&self, name: Name) -> Lines {
        let lines = self.iter().filter(|(number, _)| *number == name as u8);
        lines.map(|(_, value)| value.to_vec()).collect()
    }
}

/// An answer, whose contents lie in the component's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The address of the fields: for each, the address and length of the name, and those of the value.
    pub fields: u32,
    /// How many fields there are.
    pub field_count: u32,
    /// The body.
    pub content: Content,
}

/// The body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// None.
    None,
    /// Bytes in the component's memory.
    Bytes {
        /// Their address.
        address: u32,
        /// How many they are.
        length: u32,
    },
    /// A part of a file.
    File {
        /// A handle for the file.
        descriptor: u32,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How many bytes it has.
        length: u64,
    },
}

impl Answer {
    /// The length of an answer, in bytes.
    pub const BYTES: usize = 36;

    /// The answer as bytes.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let (kind, first, offset, length) = match self.content {
            Content::None => (0, 0, 0, 0),
            Content::Bytes { address, length } => (1, address, 0, length.into()),
            Content::File { descriptor, offset, length } => (2, descriptor, offset, length),
        };
        let mut bytes = [0; Self::BYTES];
        let words = [self.status.into(), self.fields, self.field_count, kind, first];
        let (narrow, wide) = bytes.split_at_mut(size_of_val(&words));
        for (place, word) in narrow.as_chunks_mut().0.iter_mut().zip(words) {
            *place = u32::to_le_bytes(word);
        }
        for (place, number) in wide.as_chunks_mut().0.iter_mut().zip([offset, length]) {
            *place = u64::to_le_bytes(number);
        }
        bytes
    }

    /// Reads an answer; `None` if it is none.
    pub fn read(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |at: usize| bytes[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let number = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let (first, offset, length) = (word(16)?, number(20)?, number(28)?);
        let content = match word(12)? {
            0 => Content::None,
            1 => Content::Bytes { address: first, length: u32::try_from(length).ok()? },
            2 => Content::File { descriptor: first, offset, length },
            _ => return None,
        };
        Some(Self { status: u16::try_from(word(0)?).ok()?, fields: word(4)?, field_count: word(8)?, content })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Content, HEAD_MAX, Head, HeadWriter, METHODS};
    use crate::request::{Lookup as _, Method, Name};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn name() -> impl Strategy<Value = Name> {
        prop::sample::select(&Name::ALL)
    }

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            Just(Content::None),
            any::<(u32, u32)>().prop_map(|(address, length)| Content::Bytes { address, length }),
            any::<(u32, u64, u64)>().prop_map(|(descriptor, offset, length)| Content::File {
                descriptor,
                offset,
                length
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_head_that_was_written_is_read(
            directory: u32,
            method in prop::sample::select(&METHODS),
            target in ".{0,100}",
            fields in prop::collection::vec((name(), prop::collection::vec(any::<u8>(), 0..100)), 0..10),
        ) {
            let mut buffer = [0xff; HEAD_MAX];
            let mut writer = HeadWriter::new(&mut buffer, directory, method, &target).unwrap();
            let mut expected: HashMap<_, Vec<_>> = HashMap::new();
            for (name, value) in &fields {
                writer.field(*name, value).unwrap();
                expected.entry(*name as u8).or_default().push(value.clone());
            }
            let length = writer.length();
            let head = Head::read(&buffer[..length]).unwrap();
            prop_assert_eq!((head.directory, head.method, head.target), (directory, method, &*target));
            for name in Name::ALL {
                prop_assert_eq!(head.fields.lines(name), expected.remove(&(name as u8)).unwrap_or_default());
            }
        }

        #[test]
        fn whatever_else_is_read_gives_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(head) = Head::read(&bytes) {
                for name in Name::ALL {
                    head.fields.lines(name);
                }
            }
        }

        #[test]
        fn a_head_that_is_too_long_is_not_written(room in 0..20_usize) {
            let mut buffer = vec![0; room];
            let fits = HeadWriter::new(&mut buffer, 1, Method::Get, "/0123")
                .is_some_and(|mut writer| writer.field(Name::Range, b"bytes").is_some());
            prop_assert_eq!(fits, room >= 8 + 5 + 3 + 5);
        }

        #[test]
        fn an_answer_that_was_written_is_read(
            status: u16,
            fields: u32,
            field_count: u32,
            content in content(),
        ) {
            let answer = Answer { status, fields, field_count, content };
            prop_assert_eq!(Answer::read(&answer.to_bytes()), Some(answer));
        }

        #[test]
        fn other_bytes_are_read_or_are_no_answer(bytes: [[u8; 18]; 2]) {
            let bytes = bytes.as_flattened().try_into().unwrap();
            if let Some(answer) = Answer::read(&bytes) {
                prop_assert!(answer.content == Content::None || answer.to_bytes()[..16] == bytes[..16]);
            }
        }
    }
}
