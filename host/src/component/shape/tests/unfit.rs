//! Components that almost fit, each with the reason why it does not.

use super::{FITS, prebuilt, refused, with};
use crate::component::shape::shape;

/// The end of the component, where definitions can be added.
const END: &str = ";; at the end";
/// The place behind the import.
const IMPORTS: &str = ";; after the imports";
const MEMORY: &str = "(memory (export \"memory\") 1)";

#[test]
fn commands_are_no_handlers() {
    for name in ["tcp-client", "tcp-server", "hello-socket"] {
        let misfit = shape(&prebuilt(name)).unwrap_err().to_string();
        assert_eq!(misfit, "it does not export wasi:http/incoming-handler@0.2.x", "{name}");
    }
}

#[test]
fn a_core_module_is_no_component() {
    assert_eq!(shape(b"\0asm\x01\0\0\0").unwrap_err().to_string(), "it is not a component");
    assert!(shape(b"").unwrap_err().to_string().starts_with("it is malformed: "));
    assert!(shape(FITS.as_bytes()).unwrap_err().to_string().starts_with("it is malformed: "));
}

#[test]
fn the_main_module_has_one_memory_and_does_not_start() {
    refused(&[
        (&[(MEMORY, "(memory (export \"memory\") 1) (memory 1)")], "its main module has a second memory"),
        (&[(MEMORY, "(memory (export \"memory\") 1 1 shared)")], "its main module has a shared memory"),
        (&[(MEMORY, "(memory (export \"memory\") i64 1)")], "its main module has a 64-bit memory"),
        (
            &[(MEMORY, "(memory (export \"memory\") 1 (pagesize 1))")],
            "its main module has a memory of another page size",
        ),
        (&[(MEMORY, "")], "its main module has no memory"),
        (
            &[(MEMORY, "(memory (export \"memory\") 1) (func $start) (start $start)")],
            "its main module has a start function",
        ),
        (
            &[
                (MEMORY, "(import \"http\" \"memory\" (memory 1))"),
                (
                    "(import \"http\" \"new\" (func (result i32)))",
                    "(import \"http\" \"new\" (func (result i32))) (import \"http\" \"m\" (memory 1))",
                ),
                ("(import \"http\" \"memory\" (memory 1))", ""),
            ],
            "its main module imports a memory",
        ),
    ]);
}

#[test]
fn there_are_no_other_core_modules() {
    let other = "it has a core module besides main, shim and fixup";
    refused(&[
        // An adapter of preview 1, which uses the memory of the main module.
        (&[(END, "(core module $adapter (import \"m\" \"memory\" (memory 1)) (func (export \"fd_write\")))
            (core instance (instantiate $adapter (with \"m\" (instance $main))))")], other),
        // It could fill the table with anything.
        (&[(END, "(core module $third (import \"s\" \"table\" (table 2 2 funcref)) (func $f) (elem (i32.const 0) $f))
            (core instance (instantiate $third (with \"s\" (instance $shim))))")], other),
        (&[(END, "(core module $unused)")], other),
        (&[(END, "(core instance (instantiate $main (with \"http\" (instance $given))))")],
            "it instantiates a core module twice"),
        (&[(IMPORTS, "(core module $m (func (export \"f\") (result i32) i32.const 0)) (core instance $m (instantiate $m))"),
            ("(core func $new (canon lower (func $new)))", "(alias core export $m \"f\" (core func $new))")], other),
        (&[(IMPORTS, "(core module $m (memory (export \"memory\") 1)) (core instance $m (instantiate $m))"),
            ("(alias core export $main \"memory\"", "(alias core export $m \"memory\"")], other),
    ]);
}

#[test]
fn canonical_options_are_utf_8_and_the_main_module_s_own() {
    let has = "(memory $memory) string-encoding=utf8)";
    refused(&[
        (
            &[(has, "(memory $memory) string-encoding=utf16)")],
            "the import `wasi:http/types#[method]fields.has` is lowered with UTF-16",
        ),
        (
            &[(has, "(memory $memory) string-encoding=latin1+utf16)")],
            "the import `wasi:http/types#[method]fields.has` is lowered with Latin-1 or UTF-16",
        ),
        (
            &[(has, "(memory $memory) async)")],
            "the import `wasi:http/types#[method]fields.has` is lowered with async",
        ),
        (
            &[(has, "(memory $memory) (memory $memory))")],
            "the import `wasi:http/types#[method]fields.has` is lowered with two memories",
        ),
        (
            &[(has, "(memory $memory) (realloc $new))")],
            "the import `wasi:http/types#[method]fields.has` is lowered with a realloc that is a function of the host",
        ),
        (
            &[(has, "(memory $memory) (realloc (core func $shim \"has\")))")],
            "the import `wasi:http/types#[method]fields.has` is lowered with a realloc that is not the main module's",
        ),
        (
            &[(has, "(memory $memory) (realloc (core func $main \"other_realloc\")))")],
            "it allocates with both `cabi_realloc` and `other_realloc`",
        ),
        (
            &[(
                "(core func $main \"handle\")",
                "(core func $main \"handle\") (post-return (core func $main \"handle\"))",
            )],
            "the handler is lifted with a post-return function",
        ),
        (
            &[("(core func $main \"handle\")", "(core func $main \"handle\") async")],
            "the handler is lifted with async",
        ),
    ]);
}

#[test]
fn an_import_as_realloc_is_not_the_main_module_s_own() {
    let misfit = with(&[
        (
            "(import \"http\" \"has\" (func (param i32 i32 i32) (result i32)))",
            "(import \"http\" \"has\" (func $has (param i32 i32 i32) (result i32))) (export \"has\" (func $has))",
        ),
        ("(realloc $realloc)", "(realloc (core func $main \"has\"))"),
    ]);
    assert_eq!(
        misfit.unwrap_err().to_string(),
        "the import `wasi:http/types#[method]fields.entries` is lowered with a realloc that is not the main module's"
    );
}

#[test]
fn resources_and_canonical_functions_of_its_own_are_refused() {
    refused(&[
        (&[(END, "(type (resource (rep i32)))")], "it has resources of its own"),
        (&[(END, "(core func (canon resource.rep $fields))")], "it has resources of its own"),
        (&[(END, "(core func (canon backpressure.inc))")], "it uses the canonical function BackpressureInc"),
        (&[(END, "(core func (canon lower (func $handle)))")], "it lowers a function of its own"),
        (
            &[(END, "(type $t (list u8)) (core func (canon resource.drop $t))")],
            "it drops a resource that is not an export of an imported instance",
        ),
        (
            &[(END, "(func (canon lift (core func $main \"handle\")))")],
            "it lifts a function besides the handler",
        ),
        (&[(END, "(core type (func))")], "it has a core type, which the direct path does not know"),
    ]);
}

#[test]
fn interfaces_are_releases_of_wasi_0_2_that_the_host_implements() {
    let import = "(import \"wasi:http/types@0.2.3\"";
    let export = "incoming-handler@0.2.3";
    refused(&[
        (
            &[(import, "(import \"wasi:http/types@0.2.99\"")],
            "`wasi:http/types@0.2.99` is newer than WASI 0.2.12, which this version implements",
        ),
        (
            &[(export, "incoming-handler@0.2.99")],
            "`wasi:http/incoming-handler@0.2.99` is newer than WASI 0.2.12, which this version implements",
        ),
        (
            &[(import, "(import \"wasi:http/types@0.2.0-rc-2023-11-10\"")],
            "the import `wasi:http/types@0.2.0-rc-2023-11-10` is not an interface of a release of WASI 0.2",
        ),
        (
            &[(import, "(import \"wasi:http/types@0.3.0\"")],
            "the import `wasi:http/types@0.3.0` is not an interface of a release of WASI 0.2",
        ),
        (
            &[(import, "(import \"wasi:http/types\"")],
            "the import `wasi:http/types` is not an interface of a release of WASI 0.2",
        ),
        (
            &[(import, "(import \"tests:http/types@0.2.3\"")],
            "the import `tests:http/types@0.2.3` is not an interface of a release of WASI 0.2",
        ),
        (&[(IMPORTS, "(import \"f\" (func))")], "the import `f` is not an instance"),
        (&[(IMPORTS, "(import \"t\" (type (sub resource)))")], "the import `t` is not an instance"),
        (&[(export, "incoming-handler@0.3.0")], "it does not export wasi:http/incoming-handler@0.2.x"),
    ]);
}

#[test]
fn only_the_handler_is_exported() {
    let handler = "(instance $handler (export \"handle\" (func $handle)))";
    let shape =
        "its export `wasi:http/incoming-handler@0.2.3` is not an instance with one lifted function `handle`";
    refused(&[
        (
            &[(END, "(export \"wasi:http/incoming-handler@0.2.2\" (instance $handler))")],
            "it exports `wasi:http/incoming-handler@0.2.2` besides the handler",
        ),
        (&[(END, "(export \"run\" (func $handle))")], "it exports `run` besides the handler"),
        (&[(END, "(export \"fields\" (type $fields))")], "it exports `fields` besides the handler"),
        (&[(END, "(export \"main\" (core module $main))")], "it exports `main` besides the handler"),
        (&[(handler, "(instance $handler (export \"run\" (func $handle)))")], shape),
        (
            &[(
                handler,
                "(instance $handler (export \"handle\" (func $handle)) (export \"run\" (func $handle)))",
            )],
            shape,
        ),
        (&[("(instance $handler))\n", "(instance $http))\n")], shape),
        (
            &[(
                "(export \"handle\" (func $handle))",
                "(export \"handle\" (func $http \"[method]fields.has\"))",
            )],
            shape,
        ),
        (
            &[("(canon lift (core func $main \"handle\"))", "(canon lift (core func $shim \"entries\"))")],
            "it has a core module besides main, shim and fixup",
        ),
        (
            &[("(canon lift (core func $main \"handle\"))", "(canon lift (core func $has))")],
            "its handler is not a function of a core module",
        ),
    ]);
}

#[test]
fn a_handler_that_is_an_import_of_the_main_module_is_refused() {
    let misfit = with(&[
        (
            "(import \"http\" \"entries\" (func (param i32 i32)))",
            "(import \"http\" \"entries\" (func $e (param i32 i32))) (export \"entries\" (func $e))",
        ),
        ("(canon lift (core func $main \"handle\"))", "(canon lift (core func $main \"entries\"))"),
    ]);
    assert_eq!(misfit.unwrap_err().to_string(), "its handler is not a function of a core module");
}

#[test]
fn nested_components_pass_functions_on_and_do_nothing_else() {
    let handler = "(instance $handler (export \"handle\" (func $handle)))";
    let nested = |inside: &str| {
        with(&[(
            handler,
            &format!(
                "(component $nested (import \"f\" (func $f (param \"request\" u32))) {inside}
                    (export \"handle\" (func $f)))
                 (instance $handler (instantiate $nested (with \"f\" (func $handle))))"
            ),
        )])
    };
    // The types differ, which is for the component runtime to say.
    assert!(nested("").is_ok());
    for (inside, reason) in [
        ("(core module)", "a nested component has a core module"),
        ("(component)", "a nested component has a component of its own"),
        ("(type (resource (rep i32)))", "it has resources of its own"),
        ("(import \"i\" (instance))", "a nested component has an import that is not a function or type"),
        (
            "(core func (canon lower (func $f)))",
            "a nested component has more than types, imports and exports",
        ),
        (
            "(instance $i) (export \"i\" (instance $i))",
            "a nested component has more than types, imports and exports",
        ),
    ] {
        assert_eq!(nested(inside).unwrap_err().to_string(), reason);
    }
    let other = with(&[(
        handler,
        "(component $nested (import \"f\" (func $f)) (export \"handle\" (func $f)))
        (instance $handler (instantiate $nested (with \"g\" (func $handle))))",
    )]);
    assert_eq!(other.unwrap_err().to_string(), "it refers to the export `f`, which does not exist");
}
