//! Links the calls of `wasi:sockets` that create sockets and look up names. They mean the same as in
//! [WASI 0.2](crate::link::p2): no sockets without a grant, and for names the addresses that were found at the start.

use super::interface;
use crate::instance::State;
use crate::sandbox::denials::Denial;
use std::future::ready;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostTcpSocket as _, IpAddress, IpAddressFamily,
};
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket, WasiSocketsView as _};

type Store<'a> = StoreContextMut<'a, State>;
type Addresses = Result<Vec<IpAddress>, ip_name_lookup::ErrorCode>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "wasi:sockets/types")?;
    types.func_wrap("[static]tcp-socket.create", create_tcp_socket)?;
    types.func_wrap("[static]udp-socket.create", create_udp_socket)?;
    interface(linker, "wasi:sockets/ip-name-lookup")?.func_wrap_concurrent(
        "resolve-addresses",
        |store: &Accessor<State>, (name,): (String,)| {
            let addresses = store.with(|mut store| resolve_addresses(store.get(), &name));
            Box::pin(ready(wasmtime::error::Ok((addresses,))))
        },
    )
}

fn create_tcp_socket(
    mut store: Store<'_>,
    (family,): (IpAddressFamily,),
) -> wasmtime::Result<(Result<Resource<TcpSocket>, ErrorCode>,)> {
    let state = store.data_mut();
    if !state.network().permits_tcp_socket() {
        return Ok((Err(ErrorCode::AccessDenied),));
    }
    match state.sockets().create(family) {
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

fn resolve_addresses(state: &State, name: &str) -> Addresses {
    let addresses = state.network().resolve(name).ok_or(ip_name_lookup::ErrorCode::AccessDenied)?;
    Ok(addresses.into_iter().map(IpAddress::from).collect())
}
