//! `wasi:sockets`: sockets that a guest may not have, and the addresses of hosts.
//!
//! Names that a guest may connect to have the addresses that were found at the start; addresses are their own. The
//! resolver is not asked on behalf of a guest, because each query is a message to the name's owner.

use super::interface;
use crate::instance::State;
use crate::sandbox::denials::Denial;
use std::net::IpAddr;
use std::vec;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynPollable, Pollable, TcpSocket, UdpSocket, subscribe};
use wasmtime_wasi::sockets::WasiSocketsView as _;

/// The addresses that are left of an answer (`resolve-address-stream`).
struct Addresses(vec::IntoIter<IpAddr>);

#[async_trait]
impl Pollable for Addresses {
    /// All of them are known from the beginning.
    async fn ready(&mut self) {}
}

type Store<'a> = StoreContextMut<'a, State>;
type Answer = (Result<Resource<Addresses>, ErrorCode>,);
type Next = (Result<Option<IpAddress>, ErrorCode>,);

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut names = interface(linker, "wasi:sockets/ip-name-lookup")?;
    names.resource("resolve-address-stream", ResourceType::host::<Addresses>(), |mut store, index| {
        store.data_mut().table().delete::<Addresses>(Resource::new_own(index))?;
        Ok(())
    })?;
    names.func_wrap("resolve-addresses", resolve_addresses)?;
    names.func_wrap("[method]resolve-address-stream.resolve-next-address", resolve_next_address)?;
    names.func_wrap("[method]resolve-address-stream.subscribe", subscribe_to)?;

    interface(linker, "wasi:sockets/tcp-create-socket")?.func_wrap("create-tcp-socket", create_tcp_socket)?;
    interface(linker, "wasi:sockets/udp-create-socket")?.func_wrap("create-udp-socket", create_udp_socket)
}

fn create_tcp_socket(
    mut store: Store<'_>,
    (family,): (IpAddressFamily,),
) -> wasmtime::Result<(Result<Resource<TcpSocket>, ErrorCode>,)> {
    let state = store.data_mut();
    if !state.network().permits_tcp_socket() {
        return Ok((Err(ErrorCode::AccessDenied),));
    }
    match state.sockets().create_tcp_socket(family) {
        Ok(socket) => Ok((Ok(socket),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// Creates no UDP socket: no flag grants one.
#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
fn create_udp_socket(
    store: Store<'_>,
    (_,): (IpAddressFamily,),
) -> wasmtime::Result<(Result<Resource<UdpSocket>, ErrorCode>,)> {
    store.data().network().denials.note(&Denial::UdpSocket);
    Ok((Err(ErrorCode::AccessDenied),))
}

fn resolve_addresses(
    mut store: Store<'_>,
    (_, name): (Resource<Network>, String),
) -> wasmtime::Result<Answer> {
    let state = store.data_mut();
    let Some(addresses) = state.network().resolve(&name) else {
        return Ok((Err(ErrorCode::AccessDenied),));
    };
    Ok((Ok(state.table().push(Addresses(addresses.into_iter()))?),))
}

fn resolve_next_address(mut store: Store<'_>, (stream,): (Resource<Addresses>,)) -> wasmtime::Result<Next> {
    let addresses = store.data_mut().table().get_mut(&stream)?;
    Ok((Ok(addresses.0.next().map(IpAddress::from)),))
}

fn subscribe_to(
    mut store: Store<'_>,
    (stream,): (Resource<Addresses>,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    Ok((subscribe(store.data_mut().table(), stream)?,))
}
