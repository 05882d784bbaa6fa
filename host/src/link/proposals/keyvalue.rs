//! Links `wasi:keyvalue`, its interfaces `store`, `atomics` and `batch`: the stores of `--keyvalue`.

use crate::instance::State;
use crate::sandbox::denials::Denial;
use crate::wasi::keyvalue::{Failure, Store};
use error::{Error, KeyResponse};
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

/// The version that guests import.
pub const VERSION: &str = "0.2.0-draft";

/// The types of the interface.
#[allow(unsafe_code, reason = "in generated code")]
mod error {
    use wasmtime::component::{ComponentType, Lower};

    #[derive(Clone, ComponentType, Debug, Lower)]
    #[component(variant)]
    pub enum Error {
        #[component(name = "no-such-store")]
        NoSuchStore,
        #[component(name = "access-denied")]
        AccessDenied,
        #[component(name = "other")]
        Other(String),
    }

    #[derive(Clone, ComponentType, Debug, Lower)]
    #[component(record)]
    pub struct KeyResponse {
        pub keys: Vec<String>,
        pub cursor: Option<u64>,
    }
}

/// What a guest knows as a bucket.
pub struct Bucket(Arc<Store>);

type Context<'a> = StoreContextMut<'a, State>;
type Handle = Resource<Bucket>;
type Outcome<T> = wasmtime::Result<(Result<T, Error>,)>;

/// Adds the interfaces to a linker.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut store = linker.instance(&format!("wasi:keyvalue/store@{VERSION}"))?;
    store.resource("bucket", ResourceType::host::<Bucket>(), |mut context, number| {
        context.data_mut().table().delete(Handle::new_own(number))?;
        Ok(())
    })?;
    store.func_wrap("open", open)?;
    store.func_wrap("[method]bucket.get", |context: Context<'_>, (bucket, key): (Handle, String)| {
        answer(&context, &bucket, |store| store.get(&key))
    })?;
    store.func_wrap(
        "[method]bucket.set",
        |context: Context<'_>, (bucket, key, value): (Handle, String, Vec<u8>)| {
            answer(&context, &bucket, |store| store.set(&[(key, value)]))
        },
    )?;
    store.func_wrap("[method]bucket.delete", |context: Context<'_>, (bucket, key): (Handle, String)| {
        answer(&context, &bucket, |store| store.delete(&[key]))
    })?;
    store.func_wrap("[method]bucket.exists", |context: Context<'_>, (bucket, key): (Handle, String)| {
        answer(&context, &bucket, |store| store.exists(&key))
    })?;
    store.func_wrap(
        "[method]bucket.list-keys",
        |context: Context<'_>, (bucket, cursor): (Handle, Option<u64>)| {
            answer(&context, &bucket, |store| {
                store.list(cursor).map(|page| KeyResponse { keys: page.keys, cursor: page.cursor })
            })
        },
    )?;
    linker.instance(&format!("wasi:keyvalue/atomics@{VERSION}"))?.func_wrap(
        "increment",
        |context: Context<'_>, (bucket, key, delta): (Handle, String, u64)| {
            answer(&context, &bucket, |store| store.increment(&key, delta))
        },
    )?;
    let mut batch = linker.instance(&format!("wasi:keyvalue/batch@{VERSION}"))?;
    batch.func_wrap("get-many", |context: Context<'_>, (bucket, keys): (Handle, Vec<String>)| {
        answer(&context, &bucket, |store| store.get_many(keys))
    })?;
    batch.func_wrap(
        "set-many",
        |context: Context<'_>, (bucket, values): (Handle, Vec<(String, Vec<u8>)>)| {
            answer(&context, &bucket, |store| store.set(&values))
        },
    )?;
    batch.func_wrap("delete-many", |context: Context<'_>, (bucket, keys): (Handle, Vec<String>)| {
        answer(&context, &bucket, |store| store.delete(&keys))
    })
}

fn open(mut context: Context<'_>, (name,): (String,)) -> Outcome<Handle> {
    let state = context.data_mut();
    if let Some(store) = state.store(&name) {
        return Ok((Ok(state.table().push(Bucket(store))?),));
    }
    // A guest that is given one has mistaken its name.
    let error = if state.has_stores() { Error::NoSuchStore } else { Error::AccessDenied };
    state.network().denials.note(&Denial::Store(name));
    Ok((Err(error),))
}

fn answer<T>(
    context: &Context<'_>,
    bucket: &Handle,
    call: impl FnOnce(&Store) -> Result<T, Failure>,
) -> Outcome<T> {
    let Bucket(store) = context.data().resources().get(bucket)?;
    Ok((call(store).map_err(|failure| Error::Other(failure.to_string())),))
}
