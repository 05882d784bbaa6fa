//! WASI 0.2 and `wasi:http` 0.2: the runtime's own functions, and ours in the place of some of them.
//!
//! - [`directories`]: the entries of directories
//! - [`files`]: examining and opening files, and writing, which is always refused
//! - [`messages`]: fields, responses and the bodies of messages
//! - [`streams`]: files that are spliced into bodies
//! - [`network`]: sockets that a guest may not have, and the names of hosts

mod directories;
mod files;
mod messages;
mod network;
mod streams;

use crate::component::interface::IMPLEMENTED;
use crate::instance::State;
use crate::wasi::LastFile;
use anyhow::Result;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// A linker with everything that a guest may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    // The runtime's own opens every directory once for each instance; ours hands out those that are open.
    interface(&mut linker, "wasi:filesystem/preopens")?.func_wrap("get-directories", get_directories)?;
    // These two do without the runtime's context, so that most requests need none.
    interface(&mut linker, "wasi:cli/environment")?
        .func_wrap("get-environment", |store: StoreContextMut<'_, State>, (): ()| {
            Ok((store.data().environment().to_vec(),))
        })?;
    interface(&mut linker, "wasi:clocks/wall-clock")?.func_wrap("now", |_, (): ()| Ok((now(),)))?;
    directories::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    messages::add_to_linker(&mut linker)?;
    streams::add_to_linker(&mut linker)?;
    network::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// An interface in the version that the runtime implements.
fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("{name}@{IMPLEMENTED}"))
}

/// What a call of `get-directories` gives: one list of directories and their names.
type Directories = (Vec<(Resource<Descriptor>, String)>,);

fn get_directories(mut store: StoreContextMut<'_, State>, (): ()) -> wasmtime::Result<Directories> {
    let state = store.data_mut();
    // Their descriptors may get the number of the file that was opened last.
    *state.last_file() = LastFile::default();
    let mut directories = Vec::new();
    for directory in state.directories() {
        let (directory, name) = directory.map_err(wasmtime::Error::from_anyhow)?;
        directories.push((state.table().push(Descriptor::Dir(directory))?, name));
    }
    Ok((directories,))
}

/// The time, by a clock that knows none before 1970.
fn now() -> Datetime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() }
}
