//! The interfaces that guests may import: WASI 0.2 and `wasi:http`, with the preopens in our own hands.

use crate::sandbox::State;
use anyhow::Result;
use wasmtime::component::{Linker, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::filesystem::Descriptor;

/// The interface that names the preopens, in the version that the runtime implements.
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// What a call of `get-directories` gives: one list of directories and their names.
type Directories = (Vec<(Resource<Descriptor>, String)>,);

/// A linker with everything that a guest may import. What it may do with it is the [`sandbox`](crate::sandbox)'s to say:
/// most of it is refused when it is called.
pub fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    // The stock implementation opens every preopen once for each instance; ours hands out the one that is open.
    linker.allow_shadowing(true);
    linker.instance(PREOPENS)?.func_wrap("get-directories", get_directories)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

fn get_directories(mut store: StoreContextMut<'_, State>, (): ()) -> wasmtime::Result<Directories> {
    let state = store.data_mut();
    let mut directories = Vec::new();
    for (directory, name) in state.directories() {
        directories.push((state.table().push(Descriptor::Dir(directory))?, name));
    }
    Ok((directories,))
}
