//! Links WASI 0.2 and `wasi:http` 0.2 to components: the runtime's own functions, and [ours](super::calls) in the place of some
//! of them, interface by interface. [`network`] also says what its calls mean: only components have sockets.

mod directories;
mod files;
mod handler;
mod messages;
mod network;
mod streams;
mod writes;

use crate::component::interface::IMPLEMENTED;
use crate::instance::State;
use crate::link::{calls, proposals};
use anyhow::Result;
use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{Engine, StoreContextMut};

type Store<'a> = StoreContextMut<'a, State>;

/// A linker with everything that a guest may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    // These do without the runtime's context, so that most requests need none.
    wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    interface(&mut linker, "wasi:cli/environment")?
        .func_wrap("get-environment", |store: Store<'_>, (): ()| {
            Ok((store.data().environment().to_vec(),))
        })?;
    interface(&mut linker, "wasi:clocks/wall-clock")?.func_wrap("now", |_, (): ()| Ok((calls::now(),)))?;
    directories::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    handler::add_to_linker(&mut linker)?;
    messages::add_to_linker(&mut linker)?;
    streams::add_to_linker(&mut linker)?;
    network::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    proposals::config::add_to_linker(&mut linker)?;
    proposals::keyvalue::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// An interface in the version that the runtime implements.
fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("{name}@{IMPLEMENTED}"))
}
