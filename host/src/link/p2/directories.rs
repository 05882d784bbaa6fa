//! Links `wasi:filesystem/preopens` and the entries of directories.

use super::{Store, interface};
use crate::instance::State;
use crate::link::calls::directories as calls;
use crate::wasi::Entries;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::filesystem::Descriptor;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:filesystem/preopens")?
        .func_wrap("get-directories", |mut store: Store<'_>, (): ()| {
            Ok((calls::get_directories(store.data_mut())?,))
        })?;
    let mut types = interface(linker, "wasi:filesystem/types")?;
    types.resource("directory-entry-stream", ResourceType::host::<Entries>(), |mut store, number| {
        calls::drop_entries(store.data_mut(), Resource::new_own(number))
    })?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: Store<'_>, (descriptor,): (Resource<Descriptor>,)| {
            Ok((calls::read_directory(store.data_mut(), &descriptor)?,))
        },
    )?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: Store<'_>, (entries,): (Resource<Entries>,)| {
            Ok((calls::read_directory_entry(store.data_mut(), &entries)?,))
        },
    )
}
