//! Components whose main module is not linked to the host by a plain shim and fixup, each with the reason.

use super::refused;

const ELEMENTS: &str = "(elem (i32.const 0) func $entries $has)";
const TABLE: &str = "(table $table (export \"table\") 2 2 funcref)";

#[test]
fn a_shim_only_calls_through_its_table() {
    let more = "its shim module has a function that does more than call through its table";
    let call = "local.get 0 local.get 1 i32.const 0 call_indirect (type $entries)";
    refused(&[
        (&[(call, "local.get 1 local.get 0 i32.const 0 call_indirect (type $entries)")], more),
        (&[(call, "nop local.get 0 local.get 1 i32.const 0 call_indirect (type $entries)")], more),
        (&[(call, "local.get 0 local.get 1 i32.const 0 call_indirect (type $entries) nop")], more),
        (&[(call, "local.get 0 local.get 1 i32.const -1 call_indirect (type $entries)")], more),
        (&[(call, "local.get 0 local.get 1 local.get 0 call_indirect (type $entries)")], more),
        (&[(call, "local.get 0 i32.const 0 i32.const 0 call_indirect (type $entries)")], more),
        (&[(call, "")], more),
        (
            &[(TABLE, "(table $table (export \"table\") 2 2 funcref) (memory 1)")],
            "its shim module has a memory",
        ),
        (
            &[(TABLE, "(table $table (export \"table\") 2 2 funcref) (global (mut i32) i32.const 0)")],
            "its shim module has globals",
        ),
        (
            &[(TABLE, "(table $table (export \"table\") 2 2 funcref) (func $s) (start $s)")],
            "its shim module has a start function",
        ),
        (
            &[(TABLE, "(table $table (export \"table\") 2 2 funcref) (elem (i32.const 0) $s) (func $s)")],
            "its shim module fills its table itself",
        ),
        (
            &[(TABLE, "(table $table (export \"table\") 2 2 funcref) (table 1 funcref)")],
            "its shim module does not have one table",
        ),
    ]);
}

#[test]
fn a_fixup_only_fills_the_table() {
    let differ = "the main module's import `http#entries` calls a function of another type through the table";
    refused(&[
        (&[(ELEMENTS, "(elem (i32.const 0) func $has $entries)")], differ),
        (
            &[(ELEMENTS, "(elem (i32.const 0) func $entries)")],
            "the main module's import `http#has` calls a slot of the table that the fixup leaves empty",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 1) func $entries)")],
            "the main module's import `http#entries` calls a slot of the table that the fixup leaves empty",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 1) func $entries $has)")],
            "its fixup module fills more than the table has",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const -1) func $entries $has)")],
            "its fixup module fills more than the table has",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 0) func $entries) (elem (i32.const 1) func $has)")],
            "its fixup module does not have one element segment",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 0) funcref (ref.func $entries) (ref.null func))")],
            "its fixup module has an unknown element segment",
        ),
        (&[(ELEMENTS, "(elem func $entries $has)")], "its fixup module has an unknown element segment"),
        (
            &[(ELEMENTS, "(elem (i32.const 0) func $entries $has) (export \"has\" (func $has))")],
            "its fixup module has exports",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 0) func $entries $has) (start $s) (func $s)")],
            "it has a core module besides main, shim and fixup",
        ),
        (
            &[(ELEMENTS, "(elem (i32.const 0) func $entries $has) (memory 1)")],
            "its fixup module has a memory",
        ),
        (
            &[("(import \"\" \"table\" (table 2 2 funcref))", "(table 2 2 funcref)")],
            "its fixup module has a table",
        ),
        (
            &[
                ("(core instance (instantiate $fixup (with \"\" (instance $actual))))", ""),
                ("(core module $fixup\n", "(core module $unused)\n (component (core module $fixup\n"),
                (ELEMENTS, "(elem (i32.const 0) func $entries $has))"),
            ],
            "a nested component has a core module",
        ),
    ]);
}

#[test]
fn imports_must_be_given() {
    refused(&[
        (
            &[("(export \"drop\" (func $drop))", "")],
            "the main module's import `http#drop` is not given to it",
        ),
        (
            &[("(with \"http\" (instance $given))", "")],
            "the main module's import `http#new` is not given to it",
        ),
        (
            &[("(export \"drop\" (func $drop))", "(export \"drop\" (func $shim \"none\"))")],
            "the main module's import `http#drop` is not a function of the shim",
        ),
        // A function of the shim through which the fixup would call itself.
        (
            &[("(export \"entries\" (func $entries))\n", "(export \"entries\" (func $shim \"entries\"))\n")],
            "the main module's import `http#entries` is a function of another core module",
        ),
    ]);
}
