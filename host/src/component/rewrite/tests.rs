//! Tests of [`rewrite`](super::rewrite()): that what it makes is valid, and does what the original did.

use super::{Additions, HOST, NEXT, RewriteError, RewrittenImport, global_export};
use crate::component::BUILT_IN;
use crate::component::restorable::restorable;
use crate::component::shape::{Function, shape};
use proptest::prelude::*;
use std::fmt::Write as _;
use wasmtime::{Caller, Engine, Linker, Module, Store, Val};

const REALLOC: &str = "(func (export \"realloc\") (param i32 i32 i32 i32) (result i32) i32.const 0)";

fn rewrite(
    module: &[u8],
    imports: &[RewrittenImport<'_>],
    realloc: Option<&str>,
    globals: &[u32],
) -> Result<Vec<u8>, RewriteError> {
    super::rewrite(module, imports, realloc, Additions { globals, marks: false })
}

fn valid(module: &[u8]) {
    wasmparser::Validator::new().validate_all(module).unwrap();
}

fn import(name: &str, allocates: bool) -> RewrittenImport<'_> {
    RewrittenImport { module: "wasi:http/types", name, allocates }
}

/// The imports, exports and functions' names of a module.
fn described(module: &[u8]) -> (Vec<(String, String)>, Vec<String>) {
    let module = Module::new(&Engine::default(), module).unwrap();
    let imports = module.imports().map(|import| (import.module().to_owned(), import.name().to_owned()));
    (imports.collect(), module.exports().map(|export| export.name().to_owned()).collect())
}

#[test]
fn the_built_in_guest_is_valid_after_rewriting() {
    let found = shape(&BUILT_IN).unwrap();
    let main = &BUILT_IN[found.main.clone()];
    let imports: Vec<_> = found
        .imports
        .iter()
        .map(|import| {
            let (name, allocates) = match &import.function {
                Function::Lowered(name) => (name, name.contains("entries") || name.starts_with("get-env")),
                Function::Drop(name) => (name, false),
            };
            RewrittenImport { module: &import.interface, name, allocates }
        })
        .collect();
    let restorable = restorable(main).unwrap();
    let globals: Vec<_> = restorable.mutable_globals.iter().map(|(index, _)| *index).collect();
    let rewritten = rewrite(main, &imports, found.realloc.as_deref(), &globals).unwrap();
    valid(&rewritten);
    let (names, exports) = described(&rewritten);
    assert_eq!(names.len(), imports.len() + 1);
    for (import, name) in imports.iter().zip(&names) {
        assert_eq!((import.module, import.name), (name.0.as_str(), name.1.as_str()));
    }
    assert_eq!(*names.last().unwrap(), (HOST.to_owned(), NEXT.to_owned()));
    assert!(exports.contains(&found.handle) && exports.contains(&global_export(0)));
    // Rewriting keeps what can be restored.
    assert_eq!(super::super::restorable::restorable(&rewritten).unwrap(), restorable);
}

#[test]
fn without_allocation_nothing_but_names_changes() {
    let original = wat::parse_str(
        r#"(module (import "a" "b" (func $b (param i64) (result i64))) (memory (export "m") 1)
            (func (export "f") (result i64) (call $b (i64.const 7))))"#,
    )
    .unwrap();
    let rewritten = rewrite(&original, &[import("c", false)], None, &[]).unwrap();
    valid(&rewritten);
    let (imports, exports) = described(&rewritten);
    assert_eq!(imports, [("wasi:http/types".to_owned(), "c".to_owned())]);
    assert_eq!(exports, ["m", "f"]);
    // Also where there is an allocator.
    let original = wat::parse_str(format!("(module (import \"a\" \"b\" (func)) {REALLOC})")).unwrap();
    let rewritten = rewrite(&original, &[import("c", false)], Some("realloc"), &[]).unwrap();
    assert_eq!(described(&rewritten).0.len(), 1);
}

/// What happens in a test, in order.
type Events = Vec<String>;

/// A module whose import `lists` allocates twice. Its allocator returns 1000, 1100 and so on.
const ALLOCATING: &str = r#"(module
    (import "x" "plain" (func $plain (param i32) (result i32)))
    (import "x" "lists" (func $lists (param i32 i64 f32 f64)))
    (import "x" "trap" (func $trap))
    (type $lists (func (param i32 i64 f32 f64)))
    (table 3 funcref)
    (elem (i32.const 1) func $lists $realloc)
    (elem declare func $lists)
    (memory (export "memory") 1)
    (global $top (mut i32) i32.const 1000)
    (global $seen (mut i64) i64.const 5)
    (export "lists" (func $lists))
    (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (drop (call $plain (i32.add (i32.mul (local.get 2) (i32.const 10000)) (local.get 3))))
        (drop (call $plain (i32.add (local.get 0) (local.get 1))))
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (i32.const 100))))
    (func (export "direct") (call $lists (i32.const 1) (i64.const 2) (f32.const 3.5) (f64.const 4.5)))
    (func (export "indirect")
        (call_indirect (type $lists) (i32.const 1) (i64.const 2) (f32.const 3.5) (f64.const 4.5) (i32.const 1)))
    (func (export "reference") (result funcref) (ref.func $lists))
    (func $named (export "trap") (param $p i32) (call $trap) unreachable))"#;

/// The imports of the module above, in its order.
const IMPORTS: [RewrittenImport<'static>; 3] = [
    RewrittenImport { module: "wasi:http/types", name: "plain", allocates: false },
    RewrittenImport { module: "wasi:http/types", name: "lists", allocates: true },
    RewrittenImport { module: "wasi:http/types", name: "trap", allocates: false },
];

fn request(align: i64, size: i64) -> i64 {
    align << 32 | size
}

fn instance() -> (Store<Events>, wasmtime::Instance) {
    let original = wat::parse_str(ALLOCATING).unwrap();
    let rewritten = rewrite(&original, &IMPORTS, Some("cabi_realloc"), &[0, 1]).unwrap();
    valid(&rewritten);
    let engine = Engine::default();
    let module = Module::new(&engine, &rewritten).unwrap();
    let mut linker: Linker<Events> = Linker::new(&engine);
    let plain = |mut caller: Caller<'_, Events>, value: i32| {
        caller.data_mut().push(format!("plain {value}"));
        value
    };
    let lists = |mut caller: Caller<'_, Events>, a: i32, b: i64, c: f32, d: f64| {
        caller.data_mut().push(format!("lists {a} {b} {c} {d}"));
        request(4, 24)
    };
    let next = |mut caller: Caller<'_, Events>, address: i32| {
        caller.data_mut().push(format!("next {address}"));
        match address {
            1000 => request(1, 0),
            1100 => request(8, 0xffff_ffff),
            _ => -1,
        }
    };
    linker.func_wrap("wasi:http/types", "plain", plain).unwrap();
    linker.func_wrap("wasi:http/types", "lists", lists).unwrap();
    linker.func_wrap("wasi:http/types", "trap", || {}).unwrap();
    linker.func_wrap(HOST, NEXT, next).unwrap();
    let mut store = Store::new(&engine, Events::new());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

/// The calls to the host when the import is called once.
const CALLS: [&str; 10] = [
    "lists 1 2 3.5 4.5",
    "plain 40024",
    "plain 0",
    "next 1000",
    "plain 10000",
    "plain 0",
    "next 1100",
    "plain 79999",
    "plain 0",
    "next 1200",
];

#[test]
fn an_import_allocates_until_the_host_has_finished() {
    for name in ["direct", "indirect"] {
        let (mut store, instance) = instance();
        instance.get_typed_func::<(), ()>(&mut store, name).unwrap().call(&mut store, ()).unwrap();
        assert_eq!(*store.data(), CALLS, "{name}");
    }
}

#[test]
fn an_exported_import_and_a_reference_to_it_are_the_wrapper() {
    let (mut store, instance) = instance();
    let arguments = (1, 2_i64, 3.5_f32, 4.5_f64);
    let exported = instance.get_typed_func::<(i32, i64, f32, f64), ()>(&mut store, "lists").unwrap();
    exported.call(&mut store, arguments).unwrap();
    assert_eq!(*store.data(), CALLS);
    let (mut store, instance) = self::instance();
    let reference = instance.get_typed_func::<(), Option<wasmtime::Func>>(&mut store, "reference").unwrap();
    let function = reference.call(&mut store, ()).unwrap().unwrap();
    function.typed::<(i32, i64, f32, f64), ()>(&store).unwrap().call(&mut store, arguments).unwrap();
    assert_eq!(*store.data(), CALLS);
}

#[test]
fn globals_are_exported_with_their_values() {
    let (mut store, instance) = instance();
    let values = [0, 1].map(|index| {
        let global = instance.get_global(&mut store, &global_export(index)).unwrap();
        assert_eq!(global.ty(&store).mutability(), wasmtime::Mutability::Var);
        match global.get(&mut store) {
            Val::I32(value) => i64::from(value),
            Val::I64(value) => value,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(values, [1000, 5]);
}

#[test]
fn a_trap_names_its_function() {
    let (mut store, instance) = instance();
    let trap = instance.get_typed_func::<i32, ()>(&mut store, "trap").unwrap();
    let error = trap.call(&mut store, 0).unwrap_err();
    assert_eq!(
        crate::component::trap::explain(&error),
        "it trapped: wasm `unreachable` instruction executed, in `named`"
    );
}

#[test]
fn names_stand_in_the_order_of_the_new_indices() {
    let original = wat::parse_str(ALLOCATING).unwrap();
    let rewritten = rewrite(&original, &IMPORTS, Some("cabi_realloc"), &[]).unwrap();
    let mut functions = Vec::new();
    let mut locals = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&rewritten) {
        let wasmparser::Payload::CustomSection(section) = payload.unwrap() else { continue };
        let wasmparser::KnownCustom::Name(names) = section.as_known() else { panic!("{}", section.name()) };
        for name in names {
            match name.unwrap() {
                wasmparser::Name::Function(map) => {
                    functions = map
                        .into_iter()
                        .map(|name| name.map(|name| (name.index, name.name)).unwrap())
                        .collect();
                }
                wasmparser::Name::Local(map) => {
                    locals = map.into_iter().map(|name| name.unwrap().index).collect();
                }
                _ => {}
            }
        }
    }
    // The raw function behind `lists` is 1 and `next` is 3. The wrapper is the last one.
    assert_eq!(functions, [(0, "plain"), (2, "trap"), (4, "realloc"), (8, "named"), (9, "lists")]);
    assert_eq!(locals, [8]);
}

#[test]
fn what_cannot_be_rewritten_is_an_error() {
    let error = |text: &str, allocates, realloc| {
        let module = wat::parse_str(text).unwrap();
        rewrite(&module, &[import("f", allocates)], realloc, &[]).unwrap_err()
    };
    let f = || "f".to_owned();
    let with = |definitions: &str| format!("(module {definitions} {REALLOC})");
    let imports = |expected, found| RewriteError::Imports { expected, found };
    assert_eq!(error(&with(""), false, None), imports(1, 0));
    assert_eq!(error(&with("(import \"\" \"\" (memory 1))"), false, None), RewriteError::ImportKind(f()));
    let results = with("(import \"\" \"\" (func (result i32)))");
    assert_eq!(error(&results, true, Some("realloc")), RewriteError::Result(f()));
    let import = with("(import \"\" \"\" (func))");
    assert_eq!(error(&import, true, None), RewriteError::NoRealloc(f()));
    assert_eq!(error(&import, true, Some("none")), RewriteError::Realloc("none".to_owned()));
    let other = with("(import \"\" \"\" (func)) (func (export \"other\"))");
    assert_eq!(error(&other, true, Some("other")), RewriteError::Realloc("other".to_owned()));
    let imported = "(module (import \"\" \"\" (func $f (param i32))) (export \"f\" (func $f)))";
    assert_eq!(error(imported, true, Some("f")), RewriteError::Realloc(f()));
    assert_eq!(error("(module (import \"\" \"\" (func)))", false, None), RewriteError::NoExports);
    let globals =
        |text: &str, global| rewrite(&wat::parse_str(text).unwrap(), &[], None, &[global]).unwrap_err();
    assert_eq!(globals(&with("(global i32 i32.const 0)"), 0), RewriteError::Global(0));
    assert_eq!(globals(&with("(global (mut i32) i32.const 0)"), 1), RewriteError::Global(1));
    let taken = with("(global (export \"wasi-httpd:global 0\") (mut i32) i32.const 0)");
    assert_eq!(globals(&taken, 0), RewriteError::Export("wasi-httpd:global 0".to_owned()));
    assert!(matches!(rewrite(b"\0asm", &[], None, &[]), Err(RewriteError::Malformed(_))));
}

#[test]
fn a_damaged_module_does_not_panic() {
    let original = wat::parse_str(ALLOCATING).unwrap();
    for place in 0..original.len() {
        for flip in [0x01, 0x04, 0x40, 0x80, 0xff] {
            let mut damaged = original.clone();
            damaged[place] ^= flip;
            let _ = rewrite(&damaged, &IMPORTS, Some("cabi_realloc"), &[0, 1]);
        }
    }
}

/// Imports by their parameters, and whether they allocate.
fn any_imports() -> impl Strategy<Value = Vec<(Vec<&'static str>, bool)>> {
    let types = prop::collection::vec(prop::sample::select(vec!["i32", "i64", "f32", "f64", "v128"]), 0..6);
    prop::collection::vec((types, any::<bool>()), 0..8)
}

/// A module that refers to each import in every way.
fn module_of(imports: &[(Vec<&str>, bool)], defined: usize, start: bool) -> String {
    let mut text = "(module ".to_owned();
    for (index, (parameters, _)) in imports.iter().enumerate() {
        let parameters = parameters.join(" ");
        let _ = writeln!(text, "(import \"old\" \"{index}\" (func $i{index} (param {parameters})))");
    }
    let _ = writeln!(text, "{REALLOC} (memory 1) (global (mut i32) i32.const 0) (table 99 funcref)");
    for function in 0..defined {
        let _ = writeln!(text, "(func $d{function} (param $local i32) (call $d0 (local.get $local))");
        for (index, (parameters, _)) in imports.iter().enumerate() {
            let _ = write!(text, "(drop (ref.func $i{index})) (call $i{index}");
            for parameter in parameters {
                let zero = if *parameter == "v128" { "i64x2 0 0" } else { "0" };
                let _ = write!(text, "({parameter}.const {zero})");
            }
            text.push(')');
        }
        text.push(')');
    }
    for index in 0..imports.len() {
        let _ = writeln!(
            text,
            "(export \"i{index}\" (func $i{index})) (elem (i32.const {index}) func $i{index})"
        );
        let _ = writeln!(text, "(global funcref (ref.func $i{index}))");
    }
    text + if start { "(func $start) (start $start))" } else { ")" }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_rewritten_module_is_valid(imports in any_imports(), defined in 0..5_usize, start: bool, export: bool) {
        let original = wat::parse_str(module_of(&imports, defined, start)).unwrap();
        valid(&original);
        let names: Vec<_> = (0..imports.len()).map(|index| index.to_string()).collect();
        let renamed: Vec<_> = imports.iter().zip(&names).map(|((_, allocates), name)| import(name, *allocates)).collect();
        let globals: &[u32] = if export { &[0] } else { &[] };
        let rewritten = rewrite(&original, &renamed, Some("realloc"), globals).unwrap();
        valid(&rewritten);
        let allocates = imports.iter().any(|(_, allocates)| *allocates);
        prop_assert_eq!(described(&rewritten).0.len(), imports.len() + usize::from(allocates));
        // Without imports that allocate, only names have changed.
        if !allocates && !export {
            let renamed: Vec<_> =
                renamed.iter().map(|import| RewrittenImport { module: "old", ..*import }).collect();
            prop_assert_eq!(rewrite(&original, &renamed, None, &[]).unwrap(), original);
        }
    }
}
