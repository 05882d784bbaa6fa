//! Links `wasi:filesystem/preopens` and the entries of directories.

use super::outcome::Outcome;
use super::{codes, interface};
use crate::instance::State;
use crate::link::calls::directories as calls;
use crate::wasi::Entries;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Destination, FutureReader, Linker, Resource, StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

/// Entries that are read at a time, where the guest does not say how many it takes.
const ENTRIES: usize = 32;

/// Entries that are read at a time at most, however many the guest takes: they are in the memory of the host first.
const MAX_ENTRIES: usize = 1_024;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:filesystem/preopens")?
        .func_wrap("get-directories", |mut store: StoreContextMut<'_, State>, (): ()| {
            Ok((calls::get_directories(store.data_mut())?,))
        })?;
    interface(linker, "wasi:filesystem/types")?
        .func_wrap("[method]descriptor.read-directory", |store: StoreContextMut<'_, State>, (descriptor,)| {
            Ok((read_directory(store, &descriptor)?,))
        })
}

type Reading = (StreamReader<DirectoryEntry>, FutureReader<Result<(), ErrorCode>>);

/// `[method]descriptor.read-directory`. The runtime's own examines each entry, and sends it through a channel.
fn read_directory(
    mut store: StoreContextMut<'_, State>,
    descriptor: &Resource<Descriptor>,
) -> wasmtime::Result<Reading> {
    let entries = match store.data().resources().get(descriptor)? {
        Descriptor::Dir(directory) => Entries::new(&directory.dir).map_err(codes::code),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
    };
    let (mut outcome, future) = Outcome::new(&mut store, Ok(()))?;
    let stream = match entries {
        Ok(entries) => StreamReader::new(&mut store, Listing { entries, outcome })?,
        Err(code) => {
            outcome.say(Err(code));
            StreamReader::new(&mut store, std::iter::empty())?
        }
    };
    Ok((stream, future))
}

/// The entries of a directory, as a stream.
struct Listing {
    entries: Entries,
    outcome: Outcome<Result<(), ErrorCode>>,
}

impl StreamProducer<State> for Listing {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'a, State>,
        mut destination: Destination<'a, DirectoryEntry, VecBuffer<DirectoryEntry>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        let most = destination.remaining(&mut store).unwrap_or(ENTRIES).min(MAX_ENTRIES);
        let mut entries = Vec::with_capacity(most);
        let mut result = StreamResult::Completed;
        while entries.len() < most {
            let outcome = match this.entries.read() {
                Ok(Some(entry)) => {
                    entries.push(DirectoryEntry {
                        type_: codes::descriptor_type(entry.type_),
                        name: entry.name,
                    });
                    continue;
                }
                Ok(None) => Ok(()),
                Err(code) => Err(codes::code(code)),
            };
            this.outcome.say(outcome);
            result = StreamResult::Dropped;
            break;
        }
        destination.set_buffer(entries.into());
        Poll::Ready(Ok(result))
    }
}
