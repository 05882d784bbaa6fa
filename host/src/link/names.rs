//! `wasi:sockets/ip-name-lookup`: the addresses of the names that a guest may connect to, as they were found at the
//! start, and of addresses themselves. The system is not asked on behalf of a guest: a query is a message to whoever
//! answers it.

use crate::component::interface::IMPLEMENTED;
use crate::sandbox::State;
use std::net::IpAddr;
use std::vec;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// The addresses that are left of an answer (`resolve-address-stream`).
struct Addresses(vec::IntoIter<IpAddr>);

#[async_trait]
impl Pollable for Addresses {
    /// All of them are known from the beginning.
    async fn ready(&mut self) {}
}

type Answer = (Result<Resource<Addresses>, ErrorCode>,);
type Next = (Result<Option<IpAddress>, ErrorCode>,);

/// Puts this in the place of the runtime's own implementation.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(&format!("wasi:sockets/ip-name-lookup@{IMPLEMENTED}"))?;
    instance.resource("resolve-address-stream", ResourceType::host::<Addresses>(), |mut store, index| {
        store.data_mut().table().delete::<Addresses>(Resource::new_own(index))?;
        Ok(())
    })?;
    instance.func_wrap("resolve-addresses", resolve_addresses)?;
    instance.func_wrap("[method]resolve-address-stream.resolve-next-address", resolve_next_address)?;
    instance.func_wrap("[method]resolve-address-stream.subscribe", subscribe_to)
}

fn resolve_addresses(
    mut store: StoreContextMut<'_, State>,
    (_, name): (Resource<Network>, String),
) -> wasmtime::Result<Answer> {
    let state = store.data_mut();
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
    let addresses = match literal.parse() {
        Ok(address) => vec![address],
        Err(_) => match state.network().look_up(&name) {
            Some(addresses) => addresses,
            None => return Ok((Err(ErrorCode::AccessDenied),)),
        },
    };
    Ok((Ok(state.table().push(Addresses(addresses.into_iter()))?),))
}

fn resolve_next_address(
    mut store: StoreContextMut<'_, State>,
    (stream,): (Resource<Addresses>,),
) -> wasmtime::Result<Next> {
    let addresses = store.data_mut().table().get_mut(&stream)?;
    Ok((Ok(addresses.0.next().map(IpAddress::from)),))
}

fn subscribe_to(
    mut store: StoreContextMut<'_, State>,
    (stream,): (Resource<Addresses>,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    Ok((subscribe(store.data_mut().table(), stream)?,))
}
