//! Tests of [`restorable`](super::restorable()): what can be restored, and each reason against it.

use super::{Restorable, Unrestorable, restorable};
use crate::component::shape::shape;
use crate::component::{BUILT_IN, BUILT_IN_MARKDOWN};
use wasmparser::ValType;

fn of(text: &str) -> Result<Restorable, Unrestorable> {
    restorable(&wat::parse_str(text).unwrap())
}

/// The reason against a module with a memory, a table, an import and these definitions.
fn refused(definitions: &str) -> String {
    let text = format!("(module {definitions} (memory 1) (table $t 2 funcref) (func $callee))");
    of(&text).expect_err(definitions).to_string()
}

#[test]
fn the_built_in_guests_can_be_restored() {
    // All of the memory is written after each request. One page has room for the stack, the data and the arena of the file server.
    for (guest, pages) in [(&*BUILT_IN, 1), (&*BUILT_IN_MARKDOWN, 2)] {
        let main = shape(guest).unwrap().main;
        let found = restorable(&guest[main]).unwrap();
        assert_eq!(found.memory_pages, pages);
        // The stack pointer.
        assert_eq!(found.mutable_globals, [(0, ValType::I32)]);
    }
}

#[test]
fn mutable_globals_are_found_behind_imported_ones() {
    let found = of(r#"(module
        (import "a" "b" (global i32)) (import "a" "f" (func))
        (global i64 i64.const 1) (global (mut f64) f64.const 1) (global (export "g") (mut i64) i64.const 2)
        (global funcref ref.null func)
        (memory (export "memory") 17 20))"#);
    let expected =
        Restorable { mutable_globals: vec![(2, ValType::F64), (3, ValType::I64)], memory_pages: 17 };
    assert_eq!(found.unwrap(), expected);
}

#[test]
fn instructions_that_change_memory_and_globals_only_are_no_obstacle() {
    let found = of(r#"(module
        (type $f (func)) (table 2 funcref) (memory 1) (global $g (mut i32) i32.const 0)
        (elem (i32.const 0) func $a) (elem declare func $b) (data (i32.const 0) "x")
        (func $a (local v128 f32)
            (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))
            (memory.copy (i32.const 0) (i32.const 0) (i32.const 1))
            (drop (memory.grow (i32.const 1)))
            (v128.store (i32.const 0) (local.get 0))
            (global.set $g (i32.trunc_sat_f32_s (local.get 1)))
            (drop (ref.is_null (table.get (i32.const 0)))) (drop (table.size)) (drop (ref.func $b))
            (drop (select (result i32) (i32.const 0) (i32.const 0) (i32.const 0)))
            (call_indirect (type $f) (i32.const 0)) (return_call $b))
        (func $b))"#);
    assert_eq!(found.unwrap().mutable_globals, [(0, ValType::I32)]);
}

#[test]
fn instructions_that_change_tables_or_segments_are_refused() {
    for (body, name) in [
        ("(table.set $t (i32.const 0) (ref.null func))", "TableSet"),
        ("(drop (table.grow $t (ref.null func) (i32.const 1)))", "TableGrow"),
        ("(table.fill $t (i32.const 0) (ref.null func) (i32.const 0))", "TableFill"),
        ("(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0))", "TableCopy"),
        ("(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 0))", "TableInit"),
        ("(elem.drop $e)", "ElemDrop"),
        ("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))", "MemoryInit"),
        ("(data.drop $d)", "DataDrop"),
        ("(memory.discard (i32.const 0) (i32.const 0))", "MemoryDiscard"),
        ("(drop (memory.atomic.notify (i32.const 0) (i32.const 0)))", "MemoryAtomicNotify"),
        ("(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))", "MemoryAtomicWait32"),
        ("(atomic.fence)", "AtomicFence"),
        ("(i32.atomic.store (i32.const 0) (i32.const 0))", "I32AtomicStore"),
        ("(call_ref $f (ref.func $callee))", "CallRef"),
        ("(drop (struct.new $s))", "StructNew"),
        ("(drop (ref.i31 (i32.const 0)))", "RefI31"),
        ("(drop (cont.new $c (ref.func $callee)))", "ContNew"),
        ("(try_table)", "TryTable"),
        ("(throw_ref (ref.null exn))", "ThrowRef"),
    ] {
        let text = format!(
            "(type $f (func)) (type $s (struct)) (type $c (cont $f)) (func) (func {body})
             (elem $e declare func $callee) (data $d (i32.const 0) \"\")"
        );
        assert_eq!(refused(&text), format!("function 1 contains the instruction {name}"));
    }
}

#[test]
fn every_definition_that_cannot_be_restored_has_its_reason() {
    for (definitions, reason) in [
        ("(import \"a\" \"b\" (memory 1))", "the module imports the memory `b`"),
        ("(import \"a\" \"b\" (table 1 funcref))", "the module imports the table `b`"),
        ("(import \"a\" \"b\" (global (mut i32)))", "the module imports the mutable global `b`"),
        ("(import \"a\" \"b\" (tag))", "the module imports the tag `b`"),
        ("(memory 1)", "the module has a second memory"),
        ("(export \"x\" (table $t))", "the module exports the table `x`"),
        ("(start $callee)", "the module has a start function"),
        ("(tag)", "the module has tags for exceptions"),
        ("(data \"x\")", "the module has a passive data segment"),
        ("(elem func $callee)", "the module has a passive element segment"),
        (
            "(global i32 i32.const 0) (global (mut v128) v128.const i32x4 0 0 0 0)",
            "the mutable global 1 is of type v128",
        ),
        ("(global (mut funcref) ref.null func)", "the mutable global 0 is of type funcref"),
        ("(global (mut externref) ref.null extern)", "the mutable global 0 is of type externref"),
    ] {
        assert_eq!(refused(definitions), reason);
    }
    let reason = |text: &str| of(text).unwrap_err().to_string();
    assert_eq!(reason("(module)"), "the module has no memory");
    assert_eq!(reason("(module (memory 1 1 shared))"), "the module has a shared memory");
    assert_eq!(reason("(module (memory i64 1))"), "the module has a 64-bit memory");
    assert_eq!(reason("(module (memory 1 (pagesize 1)))"), "the module has a memory of another page size");
    assert_eq!(reason("(component)"), "it is not a core module");
    assert!(restorable(b"\0asm").unwrap_err().to_string().starts_with("the module is malformed: "));
}

#[test]
fn a_damaged_module_does_not_panic() {
    let text = "(module (memory 1) (global (mut i32) i32.const 0) (func (global.set 0 (i32.const 1))))";
    let module = wat::parse_str(text).unwrap();
    for place in 0..module.len() {
        assert!(restorable(&module[..place]).is_err() || place > 8);
        for byte in 0..=u8::MAX {
            let mut damaged = module.clone();
            damaged[place] = byte;
            let _ = restorable(&damaged);
        }
    }
}
