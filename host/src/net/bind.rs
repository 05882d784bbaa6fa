//! Opening listeners: bound before anything slow happens, and before any thread starts.

use super::listener::Listener;
use crate::config::grants::HostPort;
use anyhow::{Context as _, Result, bail};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::time::Duration;

/// Connections that the kernel holds while the server is busy accepting others.
const BACKLOG: i32 = 1024;

/// How often a free port is tried that both loopback addresses have.
const PORT_TRIES: usize = 16;

/// When a silent connection is probed for the first time, how often after that, and how many probes may go unanswered: a
/// machine that has gone without a word is noticed after a minute.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Binds every address. The kernel breaks a connection whose client acknowledges nothing for as long as `stall`, even
/// after the server has closed it.
pub fn bind_all(addresses: &[HostPort], stall: Duration) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for HostPort { host, port } in addresses {
        if host.eq_ignore_ascii_case("localhost") {
            listeners.append(&mut bind_localhost(*port, stall)?);
        } else {
            for address in resolve(host, *port)? {
                let listener = bind_one(address, stall);
                listeners.push(listener.with_context(|| format!("cannot listen on {address}"))?);
            }
        }
    }
    listeners.into_iter().map(Listener::tcp).collect::<Result<_, _>>().context("a listener has no address")
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot find the address of `{host}`; --addr takes a name or address of this machine")
        })?
        .collect();
    if found.is_empty() {
        bail!("`{host}` has no address; --addr takes a name or address of this machine");
    }
    Ok(found)
}

/// Both loopback addresses at one port, or only the first where the machine has no IPv6.
fn bind_localhost(port: u16, stall: Duration) -> Result<Vec<TcpListener>> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..PORT_TRIES {
        let first = bind_one(v4, stall).with_context(|| format!("cannot listen on {v4}"))?;
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, first.local_addr()?.port()));
        match bind_one(v6, stall) {
            Ok(second) => return Ok(vec![first, second]),
            Err(BindError(error)) => match error.kind() {
                ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => return Ok(vec![first]),
                _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
                    return Ok(vec![first]);
                }
                ErrorKind::AddrInUse if port == 0 => {}
                _ => return Err(BindError(error)).with_context(|| format!("cannot listen on {v6}")),
            },
        }
    }
    bail!("no port is free on both 127.0.0.1 and [::1]; name one with --addr localhost:PORT");
}

/// Why an address cannot be bound, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}{hint}", hint = hint(.0.kind()))]
struct BindError(std::io::Error);

fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "; another program has it: stop that, or take another port with --addr HOST:PORT"
        }
        ErrorKind::AddrNotAvailable => {
            "; it is not an address of this machine: take another with --addr HOST:PORT"
        }
        ErrorKind::PermissionDenied => {
            "; low ports are the superuser's: take one from 1024 on, such as --addr localhost:8080"
        }
        _ => "; take another address with --addr HOST:PORT",
    }
}

/// Binds one address. What is set for the listener holds for the connections that it accepts.
fn bind_one(address: SocketAddr, stall: Duration) -> Result<TcpListener, BindError> {
    let bind = || {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // A server that is started again must not wait for the last one's connections to leave TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Answers are written as a whole, so there is nothing for Nagle's algorithm to wait for.
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
        let stall = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&socket, stall)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error: rustix::io::Errno| BindError(error.into()))
}
