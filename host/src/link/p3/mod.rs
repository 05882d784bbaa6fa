//! Links WASI 0.3 and `wasi:http` 0.3 to components, beside WASI 0.2, whose interfaces such components may import as well: the
//! runtime's own functions, and in the place of some of them what the [calls] of WASI 0.2 do.

mod codes;
mod contents;
mod directories;
mod files;
mod handler;
mod network;
mod outcome;
pub mod responses;
mod writes;

use super::{calls, p2};
use crate::component::interface::IMPLEMENTED_V03;
use crate::instance::State;
use anyhow::Result;
use wasmtime::component::{Linker, LinkerInstance};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;

/// A linker with everything that a guest may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = p2::linker(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    // These two do without the runtime's context, so that most requests need none.
    interface(&mut linker, "wasi:cli/environment")?
        .func_wrap("get-environment", |store: StoreContextMut<'_, State>, (): ()| {
            Ok((store.data().environment().to_vec(),))
        })?;
    interface(&mut linker, "wasi:clocks/system-clock")?.func_wrap("now", |_, (): ()| {
        let now = calls::now();
        Ok((Instant { seconds: now.seconds.try_into()?, nanoseconds: now.nanoseconds },))
    })?;
    directories::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    contents::add_to_linker(&mut linker)?;
    handler::add_to_linker(&mut linker)?;
    network::add_to_linker(&mut linker)?;
    responses::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// An interface in the version that the runtime implements.
fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("{name}@{IMPLEMENTED_V03}"))
}
