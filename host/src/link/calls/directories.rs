//! Directories: those that an instance is given (`wasi:filesystem/preopens`), and their entries
//! (`wasi:filesystem/types.directory-entry-stream`). The runtime's own examines each entry, which takes most of the time of a
//! listing.

use crate::instance::State;
use crate::wasi::{Entries, LastFile};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

type Outcome<T> = wasmtime::Result<Result<T, ErrorCode>>;

/// `get-directories`: the directories and their names. The runtime's own opens every directory once for each instance; this
/// hands out those that are open.
pub fn get_directories(state: &mut State) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
    // Their descriptors may get the number of the file that was opened last.
    *state.last_file() = LastFile::default();
    let mut directories = Vec::new();
    for directory in state.directories() {
        let (directory, name) = directory.map_err(wasmtime::Error::from_anyhow)?;
        directories.push((state.table().push(Descriptor::Dir(directory))?, name));
    }
    if let Some((directory, name)) = state.make_scratch().map_err(wasmtime::Error::from_anyhow)? {
        directories.push((state.table().push(Descriptor::Dir(directory))?, name));
    }
    Ok(directories)
}

/// The first of those that [`get_directories`] gives.
pub fn first_directory(state: &mut State) -> wasmtime::Result<Option<Resource<Descriptor>>> {
    *state.last_file() = LastFile::default();
    let first = match state.directories().next() {
        Some(directory) => Some(directory),
        None => state.make_scratch().transpose(),
    };
    let Some(first) = first else { return Ok(None) };
    let (directory, _) = first.map_err(wasmtime::Error::from_anyhow)?;
    Ok(Some(state.table().push(Descriptor::Dir(directory))?))
}

/// `[method]descriptor.read-directory`
pub fn read_directory(state: &mut State, descriptor: &Resource<Descriptor>) -> Outcome<Resource<Entries>> {
    let entries = match state.resources().get(descriptor)? {
        Descriptor::Dir(directory) => Entries::new(&directory.dir),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
    };
    Ok(match entries {
        Ok(entries) => Ok(state.table().push(entries)?),
        Err(code) => Err(code),
    })
}

/// `[method]directory-entry-stream.read-directory-entry`
pub fn read_directory_entry(
    state: &mut State,
    entries: &Resource<Entries>,
) -> Outcome<Option<DirectoryEntry>> {
    Ok(state.table().get_mut(entries)?.read())
}

/// `[resource-drop]directory-entry-stream`
pub fn drop_entries(state: &mut State, entries: Resource<Entries>) -> wasmtime::Result<()> {
    state.table().delete(entries)?;
    Ok(())
}
