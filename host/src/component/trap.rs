//! Puts the failure of a guest into words.

use super::one_line;
use wasmtime::{Error, Trap, WasmBacktrace};

/// Explains the error that a call of a guest returned. For a trap, that is the reason and the function that trapped: by
/// name if the component has a name section, else by index.
pub fn explain(error: &Error) -> String {
    let Some(trap) = error.downcast_ref::<Trap>() else { return one_line(error) };
    let text = trap.to_string();
    let reason = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    let frame = error.downcast_ref::<WasmBacktrace>().and_then(|trace| trace.frames().first());
    match frame.map(|frame| (frame.func_name(), frame.func_index())) {
        Some((Some(name), _)) => format!("it trapped: {reason}, in `{name}`"),
        Some((None, index)) => format!("it trapped: {reason}, in function {index}"),
        None => format!("it trapped: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::explain;
    use wasmtime::{Engine, Instance, Module, Store};

    fn trap(text: &str) -> String {
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        explain(&run.call(&mut store, ()).unwrap_err())
    }

    #[test]
    fn a_trap_is_said_with_its_function() {
        let recursion = trap(r#"(module (func $deeper (export "run") (call $deeper)))"#);
        assert_eq!(recursion, "it trapped: call stack exhausted, in `deeper`");
        let unreachable = trap(r#"(module (func) (func (export "run") unreachable))"#);
        assert_eq!(unreachable, "it trapped: wasm `unreachable` instruction executed, in function 1");
    }
}
