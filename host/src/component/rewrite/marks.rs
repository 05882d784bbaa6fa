//! Marks of the parts of the memory that were written to, so that only these are put back.
//!
//! A marked module has a second memory, which the original's instructions cannot name, with a byte for each [`BLOCK_BYTES`] of the
//! first one. Before each instruction that writes, the byte of the block is set to 1 in which the writing begins:
//!
//! ```text
//! (i32.store8 $marks ((address + offset) / BLOCK_BYTES mod MARKS) 1)
//! ```
//!
//! A store writes up to [`SPILL_BYTES`] more bytes than the block has. What is filled and copied may have many blocks, each of which
//! is marked. Where the memory is larger than all blocks together, marks stand for several blocks: such an instance
//! is not put back. Where an instruction traps, marks may be set that stand for nothing.

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, MemoryType, ValType};
use wasmparser::{FunctionBody, Operator};

/// The bytes of memory that one mark stands for.
pub const BLOCK_BYTES: usize = 1 << BLOCK_SHIFT;

const BLOCK_SHIFT: u8 = 8;

/// How far a store may reach beyond its block: all bytes of a vector but the first.
pub const SPILL_BYTES: usize = 15;

/// The number of marks: one page of WebAssembly.
pub const MARKS: usize = 1 << 16;

/// The index of the memory with the marks.
pub const MEMORY: u32 = 1;

/// The memory with the marks.
pub const MEMORY_TYPE: MemoryType =
    MemoryType { minimum: 1, maximum: Some(1), memory64: false, shared: false, page_size_log2: None };

/// The name under which it is exported.
pub fn export() -> String {
    format!("{}:marks", super::HOST)
}

/// What an instruction writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A place of at most 16 bytes, at an offset from the address that lies below a value of this type.
    Store(wasmparser::ValType, u64),
    /// As many bytes as the uppermost value says, at the third uppermost one.
    Range,
    /// Nothing.
    Nothing,
}

/// Defines a function that names the instructions with a place in memory.
macro_rules! define_places {
    ($(@$proposal:ident $op:ident $({ $($field:ident: $ty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        /// The name of an instruction, if it has a place in memory.
        fn place_of(operator: &Operator<'_>) -> Option<&'static str> {
            match operator {
                $(Operator::$op { .. } => {
                    const FIELDS: &[&str] = &[$($(stringify!($field)),*)?];
                    FIELDS.contains(&"memarg").then_some(stringify!($op))
                })*
                _ => None,
            }
        }
    };
}

wasmparser::for_each_operator!(define_places);

/// What an instruction writes to; `None` if that is not known.
pub fn write(operator: &Operator<'_>) -> Option<Write> {
    use wasmparser::ValType::{F32, F64, I32, I64, V128};
    Some(match operator {
        Operator::I32Store { memarg } | Operator::I32Store8 { memarg } | Operator::I32Store16 { memarg } => {
            Write::Store(I32, memarg.offset)
        }
        Operator::I64Store { memarg }
        | Operator::I64Store8 { memarg }
        | Operator::I64Store16 { memarg }
        | Operator::I64Store32 { memarg } => Write::Store(I64, memarg.offset),
        Operator::F32Store { memarg } => Write::Store(F32, memarg.offset),
        Operator::F64Store { memarg } => Write::Store(F64, memarg.offset),
        Operator::V128Store { memarg }
        | Operator::V128Store8Lane { memarg, .. }
        | Operator::V128Store16Lane { memarg, .. }
        | Operator::V128Store32Lane { memarg, .. }
        | Operator::V128Store64Lane { memarg, .. } => Write::Store(V128, memarg.offset),
        Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } => Write::Range,
        Operator::MemoryInit { .. } => return None,
        // An instruction that is not known may write, unless it is one that loads.
        _ => match place_of(operator) {
            Some(name) if !name.contains("Load") || name.contains("Atomic") => return None,
            _ => Write::Nothing,
        },
    })
}

/// The locals that marking takes, by their indices. They follow those of the function.
struct Locals {
    address: u32,
    /// What is stored, filled with, or where it is copied from.
    value: u32,
    /// How many bytes are written, and then how many blocks.
    count: u32,
    block: u32,
    /// What is stored, of other types.
    others: [(wasmparser::ValType, u32); 4],
}

impl Locals {
    /// Those of a function that has this many parameters and locals of its own.
    fn after(count: u32) -> Self {
        use wasmparser::ValType::{F32, F64, I64, V128};
        let at = |place: u32| count.saturating_add(place);
        Self {
            address: at(0),
            value: at(1),
            count: at(2),
            block: at(3),
            others: [(I64, at(4)), (F32, at(5)), (F64, at(6)), (V128, at(7))],
        }
    }

    /// Their types.
    fn types(has_vectors: bool) -> impl Iterator<Item = (u32, ValType)> {
        // Without vectors, the module may be one for which they are off.
        let vectors = has_vectors.then_some((1, ValType::V128));
        [(4, ValType::I32), (1, ValType::I64), (1, ValType::F32), (1, ValType::F64)]
            .into_iter()
            .chain(vectors)
    }

    fn of(&self, ty: wasmparser::ValType) -> u32 {
        self.others.iter().find(|(other, _)| *other == ty).map_or(self.value, |(_, local)| *local)
    }
}

/// Writes a function with this many parameters again, with marks. The writes of all of its instructions are known.
pub fn mark<T: Reencode + ?Sized>(
    reencoder: &mut T,
    parameters: u32,
    body: &FunctionBody<'_>,
) -> Result<Function, Error<T::Error>> {
    let mut types = Vec::new();
    let mut count = parameters;
    for local in body.get_locals_reader()? {
        let (more, ty) = local?;
        count = count.saturating_add(more);
        types.push((more, reencoder.val_type(ty)?));
    }
    let (mut writes, mut has_vectors) = (false, false);
    for operator in body.get_operators_reader()? {
        let write = write(&operator?);
        writes |= write != Some(Write::Nothing);
        has_vectors |= matches!(write, Some(Write::Store(wasmparser::ValType::V128, _)));
    }
    let locals = Locals::after(count);
    if writes {
        types.extend(Locals::types(has_vectors));
    }
    let mut function = Function::new(types);
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        let mut code = function.instructions();
        match write(&operator) {
            Some(Write::Store(ty, offset)) => mark_store(&mut code, &locals, ty, offset),
            Some(Write::Range) => mark_range(&mut code, &locals),
            Some(Write::Nothing) | None => {}
        }
        function.instruction(&reencoder.instruction(operator)?);
    }
    Ok(function)
}

fn mark_store(code: &mut InstructionSink<'_>, locals: &Locals, ty: wasmparser::ValType, offset: u64) {
    let value = locals.of(ty);
    code.local_set(value).local_tee(locals.address);
    if offset != 0 {
        #[allow(clippy::cast_possible_truncation, reason = "the offsets of a 32-bit memory have 32 bits")]
        code.i32_const((offset as u32).cast_signed()).i32_add();
    }
    code.i32_const(BLOCK_SHIFT.into()).i32_shr_u();
    set_mark(code);
    code.local_get(locals.address).local_get(value);
}

fn mark_range(code: &mut InstructionSink<'_>, locals: &Locals) {
    let Locals { address, value, count, block, .. } = *locals;
    code.local_set(count).local_set(value).local_tee(address);
    code.i32_const(BLOCK_SHIFT.into()).i32_shr_u().local_set(block);
    code.local_get(address).local_get(value).local_get(count);
    code.local_get(block);
    set_mark(code);
    // The further blocks, from the beginning of the first one to where the last byte is followed by another one.
    code.local_get(address).i32_const(BLOCK_MASK).i32_and().local_get(count).i32_add();
    code.i32_const(BLOCK_SHIFT.into()).i32_shr_u().local_tee(count);
    code.if_(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(block).i32_const(1).i32_add().local_tee(block);
    set_mark(code);
    code.local_get(count).i32_const(1).i32_sub().local_tee(count).br_if(0);
    code.end().end();
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "it is small")]
const BLOCK_MASK: i32 = BLOCK_BYTES as i32 - 1;

/// Sets the mark of the block whose number is on the stack.
fn set_mark(code: &mut InstructionSink<'_>) {
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "it is small")]
    code.i32_const(MARKS as i32 - 1).i32_and();
    code.i32_const(1).i32_store8(MemArg { offset: 0, align: 0, memory_index: MEMORY });
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, MARKS, SPILL_BYTES, Write, export, write};
    use crate::component::BUILT_IN;
    use crate::component::rewrite::{Additions, rewrite};
    use crate::component::shape::shape;
    use proptest::prelude::*;
    use wasmtime::{Engine, Instance, Module, Store, Val};

    /// Every instruction that writes, as a function of the address and, for those that fill or copy, of a source and a length.
    const WRITING: [(&str, &str); 17] = [
        ("i32.store", "local.get 0 i32.const -1 i32.store offset=3"),
        ("i32.store8", "local.get 0 i32.const -1 i32.store8"),
        ("i32.store16", "local.get 0 i32.const -1 i32.store16 offset=255"),
        ("i64.store", "local.get 0 i64.const -1 i64.store offset=256"),
        ("i64.store8", "local.get 0 i64.const -1 i64.store8"),
        ("i64.store16", "local.get 0 i64.const -1 i64.store16"),
        ("i64.store32", "local.get 0 i64.const -1 i64.store32 offset=70000"),
        ("f32.store", "local.get 0 f32.const -1 f32.store"),
        ("f64.store", "local.get 0 f64.const -1 f64.store offset=4294967295"),
        ("v128.store", "local.get 0 (v128.const i64x2 -1 -1) v128.store"),
        ("v128.store8_lane", "local.get 0 (v128.const i64x2 -1 -1) v128.store8_lane 1"),
        ("v128.store16_lane", "local.get 0 (v128.const i64x2 -1 -1) v128.store16_lane 1"),
        ("v128.store32_lane", "local.get 0 (v128.const i64x2 -1 -1) v128.store32_lane 1"),
        ("v128.store64_lane", "local.get 0 (v128.const i64x2 -1 -1) v128.store64_lane 1"),
        ("memory.fill", "local.get 0 i32.const 255 local.get 2 memory.fill"),
        ("memory.copy", "local.get 0 local.get 1 local.get 2 memory.copy"),
        // Operands that are computed, and a second writing before the first one.
        (
            "nested",
            "(i32.store (local.get 0) (block (result i32) (i32.store8 offset=9 (local.get 1) (i32.const 7)) (i32.const 5)))",
        ),
    ];

    /// A module of two pages that are not zero, with these instructions as `write`.
    fn module(code: &str) -> Vec<u8> {
        let text = format!(
            "(module (memory (export \"memory\") 2) (data (i32.const 0) \"{}\")
                (func (export \"write\") (param i32 i32 i32) (local i64) {code}))",
            "abcdefgh".repeat(16_384)
        );
        wat::parse_str(text).unwrap()
    }

    fn instance(module: &[u8]) -> (Store<()>, Instance) {
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, module).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        (store, instance)
    }

    fn memory(store: &mut Store<()>, instance: &Instance, name: &str) -> Vec<u8> {
        instance.get_memory(&mut *store, name).unwrap().data(&store).to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn all_that_changes_is_marked_and_nothing_else_is_different(
            which in 0..WRITING.len(),
            address in prop_oneof![0..131_072_u32, 130_000..132_000_u32, any::<u32>()],
            source in 0..131_072_u32,
            length in prop_oneof![0..600_u32, 0..131_072_u32],
        ) {
            let original = module(WRITING[which].1);
            let marked = rewrite(&original, &[], None, Additions { globals: &[], marks: true }).unwrap();
            let arguments = [address, source, length].map(|number| Val::I32(number.cast_signed()));
            let run = |module: &[u8]| {
                let (mut store, instance) = instance(module);
                let before = memory(&mut store, &instance, "memory");
                let function = instance.get_func(&mut store, "write").unwrap();
                let outcome = function.call(&mut store, &arguments, &mut []);
                let trap = outcome.err().and_then(|error| error.downcast::<wasmtime::Trap>().ok());
                (store, instance, before, trap)
            };
            let (mut store, as_written, _, trap) = run(&original);
            let expected = memory(&mut store, &as_written, "memory");
            let (mut store, instance, before, marked_trap) = run(&marked);
            let after = memory(&mut store, &instance, "memory");
            prop_assert!(after == expected);
            prop_assert_eq!(marked_trap, trap);
            let marks = memory(&mut store, &instance, &export());
            prop_assert_eq!(marks.len(), MARKS);
            let blocks = marks.iter().enumerate().filter(|(_, mark)| **mark != 0).map(|(block, _)| block * BLOCK_BYTES);
            let mut restored = after;
            for start in blocks.filter(|start| *start < before.len()) {
                let end = (start + BLOCK_BYTES + SPILL_BYTES).min(before.len());
                restored[start..end].copy_from_slice(&before[start..end]);
            }
            prop_assert!(restored == before, "something was written and not marked");
            prop_assert!(marks.iter().all(|mark| *mark <= 1));
        }
    }

    #[test]
    fn the_file_server_is_valid_with_marks() {
        let main = &BUILT_IN[shape(&BUILT_IN).unwrap().main];
        let imports = shape(&BUILT_IN).unwrap().imports;
        let imports: Vec<_> = imports
            .iter()
            .map(|import| crate::component::rewrite::RewrittenImport {
                module: &import.interface,
                name: "any",
                allocates: false,
            })
            .collect();
        let marked = rewrite(main, &imports, None, Additions { globals: &[], marks: true }).unwrap();
        wasmparser::Validator::new().validate_all(&marked).unwrap();
    }

    #[test]
    fn what_is_not_known_to_write_or_to_read_is_refused() {
        let first = |code: &str| {
            let module =
                wat::parse_str(format!("(module (memory 1 1 shared) (data \"\") (func {code}))")).unwrap();
            wasmparser::Parser::new(0)
                .parse_all(&module)
                .find_map(|payload| match payload.unwrap() {
                    wasmparser::Payload::CodeSectionEntry(body) => {
                        let operators = body.get_operators_reader().unwrap().into_iter();
                        operators
                            .map(|operator| write(&operator.unwrap()))
                            .find(|found| *found != Some(Write::Nothing))
                    }
                    _ => None,
                })
                .unwrap_or(Some(Write::Nothing))
        };
        for code in [
            "(drop (i32.load8_u (i32.const 0)))",
            "(drop (v128.load32_splat (i32.const 0)))",
            "(drop (memory.grow (i32.const 1)))",
            "nop",
        ] {
            assert_eq!(first(code), Some(Write::Nothing), "{code}");
        }
        for code in [
            "(i32.atomic.store (i32.const 0) (i32.const 0))",
            "(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 0)))",
            "(drop (i32.atomic.load (i32.const 0)))",
            "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))",
        ] {
            assert_eq!(first(code), None, "{code}");
        }
    }
}
