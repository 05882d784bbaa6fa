//! `wasi:filesystem/types.directory-entry-stream`: the entries of a directory. The runtime's own examines each of them, which
//! takes most of the time of a listing.

use super::interface;
use crate::instance::State;
use crate::wasi::Entries;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

type Store<'a> = StoreContextMut<'a, State>;
type Outcome<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:filesystem/types")?;
    types.resource("directory-entry-stream", ResourceType::host::<Entries>(), |mut store, number| {
        store.data_mut().table().delete(Resource::<Entries>::new_own(number))?;
        Ok(())
    })?;
    types.func_wrap("[method]descriptor.read-directory", read_directory)?;
    types.func_wrap("[method]directory-entry-stream.read-directory-entry", read_directory_entry)
}

fn read_directory(
    mut store: Store<'_>,
    (descriptor,): (Resource<Descriptor>,),
) -> Outcome<Resource<Entries>> {
    let state = store.data_mut();
    let entries = match state.resources().get(&descriptor)? {
        Descriptor::Dir(directory) => Entries::new(&directory.dir),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
    };
    Ok((match entries {
        Ok(entries) => Ok(state.table().push(entries)?),
        Err(code) => Err(code),
    },))
}

fn read_directory_entry(
    mut store: Store<'_>,
    (entries,): (Resource<Entries>,),
) -> Outcome<Option<DirectoryEntry>> {
    Ok((store.data_mut().table().get_mut(&entries)?.read(),))
}
