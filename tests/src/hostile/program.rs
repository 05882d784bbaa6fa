//! Programs: calls with their arguments, as bytes that the guest reads.

use super::functions::Function;
use std::fmt::Write as _;

/// Where the guest keeps the handles that programs use, 4 bytes each.
pub const HANDLES: u32 = 0;
/// Where the texts are.
pub const STRINGS: u32 = 1024;
/// Where programs have results stored.
pub const RESULTS: u32 = 2048;
/// Where the program itself is.
pub const PROGRAM: u32 = 4096;
/// Where lists are.
pub const DATA: u32 = 16384;
/// Where `cabi_realloc` allocates.
pub const HEAP: u32 = 32768;

/// The longest program, in bytes: its path is twice as long and has to fit into the head of a request.
pub const MAX_BYTES: usize = 8_000;

/// Texts that at least one function treats specially.
pub const TEXTS: [&[u8]; 24] = [
    b"a.txt",
    b"dir",
    b"../a.txt",
    b"x-name",
    b"content-length",
    b"host",
    b"connection",
    b"value",
    b"12",
    b"bad name",
    b"",
    b"\r\n",
    b"X-Name",
    b"\xc3\xa4",
    b"\xff\xfe",
    b"\xc3",
    b"GET",
    b"WISH",
    b"/path?query",
    b"https",
    b"127.0.0.1:9",
    b"dir/b.txt",
    b"link",
    b"\xed\xa0\x80",
];

/// The texts and their addresses.
pub fn texts() -> impl Iterator<Item = (u32, &'static [u8])> {
    (0..).zip(TEXTS).map(|(index, text)| (STRINGS + 24 * index, text))
}

/// What programs have handles for, with the name of the resource. A handle that was given away stays where it is.
pub const KNOWN: [(&str, &str); 22] = [
    ("request", "incoming-request"),
    ("out", "response-outparam"),
    ("fields", "fields"),
    ("full", "fields"),
    ("request fields", "fields"),
    ("response", "outgoing-response"),
    ("body", "outgoing-body"),
    ("output", "output-stream"),
    ("stdout", "output-stream"),
    ("incoming body", "incoming-body"),
    ("input", "input-stream"),
    ("file input", "input-stream"),
    ("stdin", "input-stream"),
    ("directory", "descriptor"),
    ("file", "descriptor"),
    ("entries", "directory-entry-stream"),
    ("outgoing request", "outgoing-request"),
    ("options", "request-options"),
    ("pollable", "pollable"),
    ("file pollable", "pollable"),
    ("second response", "outgoing-response"),
    ("error", "error"),
];

/// Where the handle for something is.
pub fn handle_of(what: &str) -> u32 {
    let index = KNOWN.iter().position(|(name, _)| *name == what).unwrap();
    HANDLES + 4 * u32::try_from(index).unwrap()
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// This value.
    Value(u64),
    /// The word at this address.
    At(u32),
    /// The word at the address that is at this address.
    AtAt(u32),
}

/// How `cabi_realloc` behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realloc {
    /// As it should. It notes down what it finds at its number.
    Good,
    /// Returns what is not aligned, unless an alignment of 1 suffices.
    Odd,
    /// Returns what is one byte too long for the memory.
    Beyond,
    /// Returns its number.
    Fixed,
    /// Calls the host.
    Leaves,
    /// Traps.
    Traps,
    /// Returns the end of the memory, as long as it did not grow.
    End,
    /// Grows the memory first.
    Grows,
}

/// A program.
#[derive(Clone, Default)]
pub struct Program {
    bytes: Vec<u8>,
}

impl Program {
    fn operation(&mut self, id: usize, arguments: &[Argument]) -> &mut Self {
        self.bytes.extend(u16::try_from(id).unwrap().to_le_bytes());
        for argument in arguments {
            let (kind, value) = match *argument {
                Argument::Value(value) => (0, value),
                Argument::At(address) => (1, address.into()),
                Argument::AtAt(address) => (2, address.into()),
            };
            self.bytes.push(kind);
            self.bytes.extend(value.to_le_bytes());
        }
        self
    }

    /// Calls a function with these core arguments. Its core result gets to an address.
    pub fn call(
        &mut self,
        functions: &[Function],
        index: usize,
        arguments: &[Argument],
        result: u32,
    ) -> &mut Self {
        let mut arguments = arguments.to_vec();
        let Function { parameters, result: core, has_return_pointer, name, .. } = &functions[index];
        assert_eq!(arguments.len(), parameters.len() + usize::from(*has_return_pointer), "{name}");
        if core.is_some() {
            arguments.push(Argument::Value(result.into()));
        }
        self.operation(index, &arguments)
    }

    /// Like [`Self::call`], by name.
    pub fn call_named(
        &mut self,
        functions: &[Function],
        name: &str,
        arguments: &[Argument],
        result: u32,
    ) -> &mut Self {
        let index = functions.iter().position(|function| function.name == name);
        self.call(functions, index.unwrap_or_else(|| panic!("no {name}")), arguments, result)
    }

    /// Has `cabi_realloc` behave in this way.
    pub fn realloc(&mut self, functions: &[Function], behaviour: Realloc, number: u32) -> &mut Self {
        let arguments = [Argument::Value(behaviour as u64), Argument::Value(number.into())];
        self.operation(functions.len(), &arguments)
    }

    /// Stores a word.
    pub fn copy(&mut self, functions: &[Function], to: u32, word: Argument) -> &mut Self {
        self.operation(functions.len() + 1, &[Argument::Value(to.into()), word])
    }

    /// Grows the memory by a page.
    pub fn grow(&mut self, functions: &[Function]) -> &mut Self {
        self.operation(functions.len() + 2, &[Argument::Value(RESULTS.into())])
    }

    /// Traps.
    pub fn trap(&mut self, functions: &[Function]) -> &mut Self {
        self.operation(functions.len() + 3, &[])
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The path of a request that has the guest run this program. It answers with its memory, or only by what the program
    /// does.
    pub fn path(&self, dumps: bool) -> String {
        let mut path = "/".to_owned();
        let end = [0xff, 0xff, u8::from(dumps)];
        for byte in self.bytes.iter().chain(&end) {
            let digit = |nibble: u8| char::from(b'a' + nibble);
            let _ = write!(path, "{}{}", digit(byte >> 4), digit(byte & 15));
        }
        path
    }
}
