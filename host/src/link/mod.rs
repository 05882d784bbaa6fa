//! The interfaces that guests may import: WASI 0.2 and `wasi:http`, with the preopens, [`files`], [`responses`], the [`fields`] and
//! [`bodies`] of messages and the [`names`] of hosts in our own hands.

mod bodies;
mod fields;
mod files;
mod known;
mod names;
mod responses;

pub use bodies::Streams;
pub use files::LastFile;
pub use known::KnownFiles;
pub use responses::GuestResponse;

use crate::component::Guest;
use crate::component::interface::IMPLEMENTED;
use crate::sandbox::State;
use anyhow::{Context as _, Result, anyhow};
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::component::{Component, InstancePre, Linker, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// What a call of `get-directories` gives: one list of directories and their names.
type Directories = (Vec<(Resource<Descriptor>, String)>,);

/// Links a component, which has to import nothing that the host does not offer.
pub fn pre(engine: &Engine, guest: &Guest, component: &Component) -> Result<InstancePre<State>> {
    linker(engine)?
        .instantiate_pre(component)
        .map_err(|error| anyhow!("{}", crate::component::one_line(&error)))
        .with_context(|| {
            format!(
                "{} needs what this host does not offer, or not in that form; `wasi-httpd inspect` lists its imports",
                guest.name()
            )
        })
}

/// A linker with everything that a guest may import. What it may do with it is the [`sandbox`](crate::sandbox)'s to say:
/// most of it is refused when it is called.
fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    // The stock implementation opens every preopen once for each instance; ours hands out the one that is open.
    let preopens = format!("wasi:filesystem/preopens@{IMPLEMENTED}");
    linker.instance(&preopens)?.func_wrap("get-directories", get_directories)?;
    // These two need nothing of what a context is made of, so that most requests need no context.
    let environment = format!("wasi:cli/environment@{IMPLEMENTED}");
    linker
        .instance(&environment)?
        .func_wrap("get-environment", |store: StoreContextMut<'_, State>, (): ()| {
            Ok((store.data().environment().to_vec(),))
        })?;
    let clock = format!("wasi:clocks/wall-clock@{IMPLEMENTED}");
    linker.instance(&clock)?.func_wrap("now", |_, (): ()| Ok((now(),)))?;
    fields::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    bodies::add_to_linker(&mut linker)?;
    responses::add_to_linker(&mut linker)?;
    names::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

fn get_directories(mut store: StoreContextMut<'_, State>, (): ()) -> wasmtime::Result<Directories> {
    let state = store.data_mut();
    // These may get the number of the file that was opened last.
    *state.last_file() = LastFile::default();
    let mut directories = Vec::new();
    for (directory, name) in state.directories() {
        directories.push((state.table().push(Descriptor::Dir(directory))?, name));
    }
    Ok((directories,))
}

/// The moment, by a clock that knows no time before 1970.
fn now() -> Datetime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() }
}
