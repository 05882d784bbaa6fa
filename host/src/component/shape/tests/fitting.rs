//! Components that fit, and what their imports resolve to.

use super::{FITS, prebuilt, with};
use crate::component::BUILT_IN;
use crate::component::shape::{Function, Import, Shape, shape};
use semver::Version;

fn import(function: Function) -> Import {
    Import { interface: "wasi:http/types".to_owned(), version: Version::new(0, 2, 3), function }
}

fn lowered(name: &str) -> Import {
    import(Function::Lowered(name.to_owned()))
}

fn expected() -> Vec<Import> {
    vec![
        lowered("[constructor]fields"),
        import(Function::Drop("fields".to_owned())),
        lowered("[method]fields.entries"),
        lowered("[method]fields.has"),
    ]
}

/// The names of the imports in the module, which `wit-component` takes from the interfaces.
fn core_names(component: &[u8], shape: &Shape) -> Vec<(String, String)> {
    let module = crate::component::shape::module::Module::read(&component[shape.main.clone()]).unwrap();
    module.imports.iter().map(|import| (import.module.to_owned(), import.name.to_owned())).collect()
}

#[test]
fn the_smallest_component_fits() {
    let component = wat::parse_str(FITS).unwrap();
    let shape = shape(&component).unwrap();
    assert_eq!(shape.imports, expected());
    assert_eq!((shape.handle.as_str(), shape.memory.as_str()), ("handle", "memory"));
    assert_eq!(shape.realloc.as_deref(), Some("cabi_realloc"));
    wasmparser::Validator::new().validate_all(&component).unwrap();
    wasmparser::Validator::new().validate_all(&component[shape.main]).unwrap();
}

#[test]
fn guests_in_rust_fit_and_resolve_to_what_their_imports_are_called() {
    for component in [BUILT_IN.to_vec(), prebuilt("guest"), prebuilt("hello")] {
        let shape = shape(&component).unwrap();
        assert!(shape.handle.starts_with("wasi:http/incoming-handler@0.2."), "{}", shape.handle);
        assert_eq!((shape.memory.as_str(), shape.realloc.as_deref()), ("memory", Some("cabi_realloc")));
        let names = core_names(&component, &shape);
        assert_eq!(names.len(), shape.imports.len());
        for (import, (module, name)) in shape.imports.iter().zip(names) {
            let resolved = match &import.function {
                Function::Lowered(function) => function.clone(),
                Function::Drop(resource) => format!("[resource-drop]{resource}"),
            };
            assert_eq!((format!("{}@{}", import.interface, import.version), resolved), (module, name));
        }
    }
}

#[test]
fn imports_are_what_they_are_given_and_not_what_they_are_called() {
    let other = with(&[
        ("$http \"[constructor]fields\" (func $new)", "$http \"[constructor]field2\" (func $new)"),
        (
            "(export \"[constructor]fields\"",
            "(export \"[static]fields.other\" (func (result (own $fields))))
          (export \"[constructor]fields\"",
        ),
        ("$http \"[constructor]field2\" (func $new)", "$http \"[static]fields.other\" (func $new)"),
    ]);
    assert_eq!(other.unwrap().imports[0], lowered("[static]fields.other"));
    let other = with(&[
        ("$http \"[method]fields.has\") (memory", "$http \"[method]fields.lacks\") (memory"),
        ("(export \"[method]fields.has\"", "(export \"[method]fields.lacks\""),
    ]);
    assert_eq!(other.unwrap().imports[3], lowered("[method]fields.lacks"));
}

#[test]
fn slots_may_be_in_any_order() {
    let swapped = with(&[
        ("func $entries $has)", "func $has $entries)"),
        ("i32.const 0 call_indirect", "i32.const 2 call_indirect"),
        ("i32.const 1 call_indirect", "i32.const 0 call_indirect"),
        ("i32.const 2 call_indirect", "i32.const 1 call_indirect"),
    ]);
    assert_eq!(swapped.unwrap().imports, expected());
    let higher = with(&[
        (" 2 2 funcref", " 9 9 funcref"),
        ("i32.const 0 call_indirect", "i32.const 7 call_indirect"),
        ("i32.const 1 call_indirect", "i32.const 8 call_indirect"),
        ("(elem (i32.const 0)", "(elem (i32.const 7)"),
    ]);
    assert_eq!(higher.unwrap().imports, expected());
}

#[test]
fn bundles_are_seen_through() {
    let component = with(&[
        (
            "(core instance $main (instantiate $main (with \"http\" (instance $given))))",
            "(alias core export $given \"new\" (core func $new2))
             (core instance $again
                (export \"new\" (func $new2)) (export \"drop\" (func $given \"drop\"))
                (export \"entries\" (func $given \"entries\")) (export \"has\" (func $given \"has\")))
             (core instance $main (instantiate $main (with \"http\" (instance $again))))
             (core instance $bundle (export \"m\" (memory $main \"memory\")))",
        ),
        ("(alias core export $main \"memory\"", "(alias core export $bundle \"m\""),
    ]);
    let component = component.unwrap();
    assert_eq!((component.imports, component.memory.as_str()), (expected(), "memory"));
}

#[test]
fn a_module_without_shim_and_fixup_fits_if_nothing_needs_its_memory() {
    let text = r#"(component
        (import "wasi:http/types@0.2.0" (instance $http
            (export "incoming-request" (type (sub resource)))
            (export "response-outparam" (type (sub resource)))))
        (alias export $http "incoming-request" (type $request))
        (alias export $http "response-outparam" (type $outparam))
        (core module $main
            (import "drop" "request" (func (param i32)))
            (memory (export "mine") 1)
            (func (export "run") (param i32 i32)))
        (core func $drop (canon resource.drop $request))
        (core instance $given (export "request" (func $drop)))
        (core instance $main (instantiate $main (with "drop" (instance $given))))
        (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
            (canon lift (core func $main "run")))
        (instance $handler (export "handle" (func $handle)))
        (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#;
    let shape = shape(&wat::parse_str(text).unwrap()).unwrap();
    assert_eq!((shape.handle.as_str(), shape.memory.as_str(), shape.realloc), ("run", "mine", None));
    assert_eq!(shape.imports.len(), 1);
    assert_eq!(shape.imports[0].function, Function::Drop("incoming-request".to_owned()));
}
