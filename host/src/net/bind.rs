//! Opening listeners: bound before anything slow happens, and before any thread starts.

use super::listener::Listener;
use super::unix::bind_path;
use super::unsent;
use crate::config::grants::HostPort;
use crate::config::listen::ListenAddress;
use anyhow::{Context as _, Error, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::AsFd;
use std::time::Duration;

/// Connections that the kernel holds while the server is busy accepting others.
pub(super) const BACKLOG: i32 = 1024;

/// How often a free port is tried that both loopback addresses have.
const PORT_TRIES: usize = 16;

/// When a silent connection is probed for the first time, how often after that, and how many probes may go unanswered: a
/// machine that has gone without a word is noticed after a minute.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// How addresses are opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The flag that names them, for the operator.
    pub flag: &'static str,
    /// The permissions of unix sockets.
    pub mode: u32,
    /// The kernel breaks a TCP connection whose client acknowledges nothing for so long, even after the server has closed it.
    pub stall: Duration,
}

/// Opens every address, in addition to the listeners that are open already.
pub fn bind_all(
    mut listeners: Vec<Listener>,
    addresses: &[ListenAddress],
    Opening { flag, mode, stall }: Opening,
) -> Result<Vec<Listener>> {
    for address in addresses {
        match address {
            ListenAddress::Unix(path) => {
                let listener = bind_path(path, flag, mode, &listeners)?;
                listeners.push(listener);
            }
            ListenAddress::Tcp(HostPort { host, port }) if host.eq_ignore_ascii_case("localhost") => {
                let (v4, v6) =
                    bind_localhost(*port, stall).map_err(|refused| refused.explain(flag, &listeners))?;
                listeners.push(Listener::tcp(v4)?);
                if let Some(v6) = v6 {
                    listeners.push(Listener::tcp(v6)?);
                }
            }
            ListenAddress::Tcp(HostPort { host, port }) => {
                for address in resolve(flag, host, *port)? {
                    let socket =
                        bind_one(address, stall).map_err(|refused| refused.explain(flag, &listeners))?;
                    listeners.push(Listener::tcp(socket)?);
                }
            }
        }
    }
    Ok(listeners)
}

fn resolve(flag: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot find the address of `{host}`; {flag} takes a name or address of this machine")
        })?
        .collect();
    if found.is_empty() {
        bail!("`{host}` has no address; {flag} takes a name or address of this machine");
    }
    Ok(found)
}

/// Both loopback addresses at one port, or only the first where the machine has no IPv6.
fn bind_localhost(port: u16, stall: Duration) -> Result<(TcpListener, Option<TcpListener>), Refused> {
    let mut tries = 1;
    loop {
        let first = bind_one(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), stall)?;
        let bound = first.local_addr().map_or(port, |address| address.port());
        let refused = match bind_one(SocketAddr::from((Ipv6Addr::LOCALHOST, bound)), stall) {
            Ok(second) => return Ok((first, Some(second))),
            Err(refused) => refused,
        };
        match refused.error {
            Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => return Ok((first, None)),
            // The port that was free on the first address is taken on the second one.
            Errno::ADDRINUSE if port == 0 && tries < PORT_TRIES => tries += 1,
            _ => return Err(refused),
        }
    }
}

/// Why an address cannot be bound.
#[derive(Debug)]
struct Refused {
    address: SocketAddr,
    error: Errno,
}

impl Refused {
    /// Says why, and what to do. `flag` has named it, and `ours` are the listeners of this server so far.
    fn explain(&self, flag: &str, ours: &[Listener]) -> Error {
        let Self { address, error } = *self;
        let ours = ours.iter().find(|listener| listener.traits.address.overlaps(address));
        let hint = match (error, ours) {
            (Errno::ADDRINUSE, Some(listener)) => {
                let traits = &listener.traits;
                return anyhow!(
                    "cannot listen on {address}: this server listens on {traits} already; leave {flag} out, or take another port"
                );
            }
            (Errno::ADDRINUSE, None) => {
                format!("another program has it: stop that, or take another port with {flag} HOST:PORT")
            }
            (Errno::ADDRNOTAVAIL, _) => {
                format!("it is not an address of this machine: take another with {flag} HOST:PORT")
            }
            (Errno::ACCESS | Errno::PERM, _) => {
                format!("low ports are the superuser's: take one from 1024 on, such as {flag} localhost:8080")
            }
            _ => format!("take another address with {flag} HOST:PORT"),
        };
        anyhow!("cannot listen on {address}: {}; {hint}", std::io::Error::from(error))
    }
}

fn bind_one(address: SocketAddr, stall: Duration) -> Result<TcpListener, Refused> {
    let bind = || {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // A server that is started again must not wait for the last one's connections to leave TIME_WAIT.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        set_options(&socket, stall)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error| Refused { address, error })
}

/// Sets what holds for the connections that a TCP listener accepts.
pub(super) fn set_options(socket: &impl AsFd, stall: Duration) -> rustix::io::Result<()> {
    // Answers are written as a whole, so there is nothing for Nagle's algorithm to wait for.
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    unsent::limit(socket)?;
    sockopt::set_tcp_user_timeout(socket, u32::try_from(stall.as_millis()).unwrap_or(u32::MAX))
}
