//! Programs of hostile calls: each argument is as likely to be right as to be wrong in one of the ways that its type has.

use super::functions::{Function, Shape};
use super::program::Argument::{At, AtAt, Value};
use super::program::{
    Argument, DATA, HEAP, KNOWN, MAX_BYTES, Program, RESULTS, Realloc, TEXTS, handle_of, texts,
};

/// Where the handles of a list are.
const HANDLE_LIST: u32 = DATA + 512;

/// Where the results of the calls are that prepare a program.
const PREPARING: u32 = RESULTS + 1024;

/// Functions whose results are others each time.
const CHANGING: [&str; 6] = [
    "now",
    "get-random-bytes",
    "get-random-u64",
    "get-insecure-random-bytes",
    "get-insecure-random-u64",
    "insecure-seed",
];

/// Whether the numbers of later handles may differ after a call, so that a program ends with it. The runtime has a table of its
/// own for the handles that a guest holds, and ours has also what is behind a pollable of a clock; request options are freed
/// later than there. Whether a response is there depends on the time.
fn ends(name: &str, arguments: &[Argument]) -> bool {
    match name {
        "subscribe-duration" | "subscribe-instant" | "[method]future-incoming-response.get" => true,
        "handle" => !matches!(arguments, [_, Value(0), ..]),
        _ => false,
    }
}

/// What a program is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The functions to be called, and what their arguments are made of.
    pub calls: Vec<(u16, u64)>,
    /// How `cabi_realloc` behaves.
    pub realloc: u8,
    /// What is prepared.
    pub prepared: u8,
}

/// A program, and what of its answer is the same on each executor.
pub struct Case {
    /// The path of the request.
    pub path: String,
    /// Whether all of the answer is the same, and not only its status.
    pub is_exact: bool,
    /// What it calls.
    pub calls: Vec<String>,
}

/// A source of pseudorandom numbers (splitmix64), and of arguments.
struct Random {
    state: u64,
    /// Whether most arguments are right, so that programs of several calls come to their end.
    is_tame: bool,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// True so many times of 100.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A number below 100, which is most often a small one where most arguments are to be right.
    fn share(&mut self) -> usize {
        let share = self.below(100);
        if self.is_tame && self.percent(90) { share / 2 } else { share }
    }

    fn address(&mut self) -> u64 {
        const ADDRESSES: [u64; 24] = [
            0,
            1,
            2,
            4,
            8,
            1024,
            2049,
            2050,
            2052,
            2056,
            12_288,
            16_384,
            16_388,
            32_768,
            65_504,
            65_520,
            65_528,
            65_532,
            65_535,
            65_536,
            65_537,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
        ];
        if self.percent(80) { self.one_of(&ADDRESSES) } else { self.next() & 0xffff }
    }

    fn length(&mut self) -> u64 {
        const LENGTHS: [u64; 15] = [
            0,
            1,
            2,
            3,
            8,
            100,
            4_096,
            4_097,
            32_768,
            65_536,
            65_537,
            0x1000_0000,
            0x2000_0001,
            0x8000_0000,
            0xffff_ffff,
        ];
        if self.percent(80) { self.one_of(&LENGTHS) } else { self.next() & 0xff }
    }

    fn number(&mut self) -> u64 {
        const NUMBERS: [u64; 18] = [
            0,
            1,
            2,
            3,
            5,
            7,
            10,
            99,
            200,
            304,
            1_000,
            4_096,
            4_097,
            65_535,
            65_736,
            0xffff_ffff,
            1 << 63,
            u64::MAX,
        ];
        if self.percent(85) { self.one_of(&NUMBERS) } else { self.next() }
    }

    fn handle(&mut self, resource: &str) -> Argument {
        let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<u32> {
            let known = KNOWN.iter().filter(|(_, resource)| wanted(resource));
            known.map(|(what, _)| handle_of(what)).collect()
        };
        match self.share() {
            0..75 if KNOWN.iter().any(|(_, known)| *known == resource) => {
                At(self.one_of(&of(&|known| known == resource)))
            }
            0..85 => At(self.one_of(&of(&|_| true))),
            // Whatever the last calls returned.
            85..92 => At(RESULTS + 256 + 4 * u32::try_from(self.below(32)).unwrap()),
            92..95 => Value(self.next() % 32),
            _ => Value(self.one_of(&[
                0,
                500,
                999,
                1_000,
                1_001,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_fffe,
                0xffff_ffff,
            ])),
        }
    }

    fn arguments(&mut self, shape: &Shape, arguments: &mut Vec<Argument>) {
        match shape {
            Shape::Number => arguments.push(Value(self.number())),
            Shape::Text | Shape::Bytes => {
                let (address, text) = texts().nth(self.below(TEXTS.len())).unwrap();
                let (address, length) = match self.share() {
                    0..75 => (address.into(), text.len() as u64),
                    75..90 => (address.into(), self.length()),
                    _ => (self.address(), self.length()),
                };
                arguments.extend([Value(address), Value(length)]);
            }
            Shape::List(size) => {
                let address = if *size == 4 { HANDLE_LIST } else { DATA };
                let (address, count) = match self.share() {
                    0..65 => (address.into(), self.next() % 5),
                    65..80 => (u64::from(address) + self.next() % 20, self.next() % 5),
                    _ => (self.address(), self.length()),
                };
                arguments.extend([Value(address), Value(count)]);
            }
            Shape::Handle(resource) => arguments.push(self.handle(resource)),
            Shape::Tuple(fields) => fields.iter().for_each(|field| self.arguments(field, arguments)),
            Shape::Variant(cases) => {
                let end = arguments.len() + shape.width();
                let case = self.below(cases.len());
                let said = if self.share() < 88 {
                    case as u64
                } else {
                    self.one_of(&[cases.len() as u64, 255, 256, 0x1_0000, 0xffff_ffff])
                };
                arguments.push(Value(said));
                if let Some(payload) = &cases[case] {
                    self.arguments(payload, arguments);
                }
                while arguments.len() < end {
                    arguments.push(Value(self.number()));
                }
            }
        }
    }

    fn result(&mut self) -> u32 {
        RESULTS + 256 + 64 * u32::try_from(self.below(8)).unwrap()
    }
}

/// Has the guest get what programs have handles for.
#[rustfmt::skip]
fn prepare(functions: &[Function], prepared: u8) -> Program {
    let at = |what| At(handle_of(what));
    let to = Value(PREPARING.into());
    let mut program = Program::default();
    // A call whose result is a handle.
    let call = |program: &mut Program, name: &str, arguments: &[Argument], what: &str| {
        program.call_named(functions, name, arguments, handle_of(what));
    };
    // A call whose result in memory has a handle after its discriminant.
    let take = |program: &mut Program, name: &str, arguments: &[Argument], what: &str, offset: u32| {
        program.call_named(functions, name, &[arguments, &[to]].concat(), 0);
        program.copy(functions, handle_of(what), At(PREPARING + offset));
    };
    let program_ = &mut program;
    call(program_, "[method]incoming-request.headers", &[at("request")], "request fields");
    call(program_, "[constructor]fields", &[], "response");
    call(program_, "[constructor]outgoing-response", &[at("response")], "response");
    if prepared & 1 == 0 {
        take(program_, "[method]outgoing-response.body", &[at("response")], "body", 4);
        take(program_, "[method]outgoing-body.write", &[at("body")], "output", 4);
    }
    take(program_, "[static]fields.from-list", &[Value(DATA.into()), Value(2)], "second response", 4);
    call(program_, "[constructor]outgoing-response", &[at("second response")], "second response");
    take(program_, "[method]incoming-request.consume", &[at("request")], "incoming body", 4);
    if prepared & 2 == 0 {
        take(program_, "[method]incoming-body.stream", &[at("incoming body")], "input", 4);
    }
    call(program_, "get-stdout", &[], "stdout");
    call(program_, "get-stdin", &[], "stdin");
    program_.call_named(functions, "get-directories", &[to], 0);
    program_.copy(functions, handle_of("directory"), AtAt(PREPARING));
    let name = [Value(1024), Value(5)];
    take(program_, "[method]descriptor.open-at", &[&[at("directory"), Value(1)], &name[..], &[Value(0), Value(1)]].concat(), "file", 4);
    // The first read of this stream fails, for an offset that no file has.
    take(program_, "[method]descriptor.read-via-stream", &[at("file"), Value(1 << 63)], "file input", 4);
    take(program_, "[method]input-stream.read", &[at("file input"), Value(1)], "error", 8);
    take(program_, "[method]descriptor.read-via-stream", &[at("file"), Value(0)], "file input", 4);
    take(program_, "[method]descriptor.read-directory", &[at("directory")], "entries", 4);
    call(program_, "[constructor]fields", &[], "outgoing request");
    call(program_, "[constructor]outgoing-request", &[at("outgoing request")], "outgoing request");
    call(program_, "[constructor]request-options", &[], "options");
    if prepared & 4 == 0 {
        call(program_, "[method]output-stream.subscribe", &[at("stdout")], "pollable");
        call(program_, "[method]input-stream.subscribe", &[at("file input")], "file pollable");
        for (index, what) in (0..).zip(["pollable", "file pollable", "pollable", "file pollable"]) {
            program_.copy(functions, HANDLE_LIST + 4 * index, at(what));
        }
    }
    call(program_, "[constructor]fields", &[], "fields");
    take(program_, "[static]fields.from-list", &[Value(DATA.into()), Value(2)], "full", 4);
    program
}

/// A program that has got everything that programs have handles for.
pub fn prepared(functions: &[Function]) -> Program {
    prepare(functions, 0)
}

/// Makes a program.
pub fn case(functions: &[Function], plan: &Plan) -> Case {
    let mut program = prepare(functions, plan.prepared);
    let behaviour = match plan.realloc % 16 {
        0..7 => Realloc::Good,
        7 => Realloc::Odd,
        8 => Realloc::Beyond,
        9..12 => Realloc::Fixed,
        12 => Realloc::Leaves,
        13 => Realloc::Traps,
        14 => Realloc::End,
        _ => Realloc::Grows,
    };
    let numbers = [RESULTS + 256, RESULTS + 260, DATA, HEAP, 65_528, 0];
    let number = numbers[usize::from(plan.realloc / 16) % numbers.len()];
    program.realloc(functions, behaviour, number);
    let (mut is_exact, mut dumps, mut calls) = (true, true, vec![format!("{behaviour:?} {number}")]);
    for &(index, entropy) in &plan.calls {
        let index = usize::from(index) % functions.len();
        let function = &functions[index];
        let name = function.name.as_str();
        let mut random = Random { state: entropy, is_tame: plan.prepared & 8 == 0 };
        let mut arguments = Vec::new();
        for shape in &function.types {
            random.arguments(shape, &mut arguments);
        }
        if function.has_return_pointer {
            let address = if random.share() < 80 { random.result().into() } else { random.address() };
            arguments.push(Value(address));
        }
        if random.percent(10) {
            let to = DATA + 4 * u32::try_from(random.below(16)).unwrap();
            let word = if random.percent(50) { random.address() } else { random.length() };
            program.copy(functions, to, Value(word));
        }
        let result = random.result();
        calls.push(format!("{name} {arguments:x?} -> {result}"));
        program.call(functions, index, &arguments, result);
        is_exact &= !CHANGING.contains(&name);
        dumps &= !matches!(name, "[static]response-outparam.set" | "[resource-drop]response-outparam");
        if ends(name, &arguments) {
            is_exact = false;
            break;
        }
        if program.length() > MAX_BYTES - 500 {
            break;
        }
    }
    Case { path: program.path(dumps), is_exact, calls }
}
