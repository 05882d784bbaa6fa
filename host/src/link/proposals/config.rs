//! Links `wasi:config/store`: the values of `--config-var`.

use crate::instance::State;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

/// The versions that guests import. They differ in name only.
pub const VERSIONS: [&str; 2] = ["0.2.0-draft", "0.2.0-rc.1"];

/// The interface's error, which no call returns here. It stands in for a variant with two cases, each with a text.
#[allow(unsafe_code, reason = "in generated code")]
mod error {
    use wasmtime::component::{ComponentType, Lower};

    #[derive(Clone, ComponentType, Debug, Lower)]
    #[component(variant)]
    pub enum Error {
        #[component(name = "upstream")]
        #[allow(dead_code, reason = "the interface has it")]
        Upstream(String),
        #[component(name = "io")]
        #[allow(dead_code, reason = "the interface has it")]
        Io(String),
    }
}
use error::Error;

type Outcome<T> = wasmtime::Result<(Result<T, Error>,)>;

/// Adds the interface to a linker.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for version in VERSIONS {
        let mut store = linker.instance(&format!("wasi:config/store@{version}"))?;
        store.func_wrap("get", get)?;
        store.func_wrap("get-all", get_all)?;
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "the linker passes it")]
fn get(store: StoreContextMut<'_, State>, (key,): (WasmStr,)) -> Outcome<Option<String>> {
    let key = key.to_str(&store)?;
    let mut values = store.data().configuration().iter();
    Ok((Ok(values.find(|(name, _)| *name == key).map(|(_, value)| value.clone())),))
}

#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "the linker wants it so")]
fn get_all(store: StoreContextMut<'_, State>, (): ()) -> Outcome<Vec<(String, String)>> {
    Ok((Ok(store.data().configuration().to_vec()),))
}
