//! Listeners that another program has opened: systemd's socket activation (`sd_listen_fds(3)`).

use super::bind::set_options;
use super::listener::Listener;
use anyhow::{Context as _, Result, bail};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

/// Takes the listeners over that the process has got, if it has got any. This changes the environment, so it comes before
/// all threads. `stall` is as in [`bind_all`](super::bind::bind_all).
pub fn take_all(stall: Duration) -> Result<Vec<Listener>> {
    let mut descriptors = ListenFd::from_env();
    let mut listeners = Vec::new();
    for at in 0..descriptors.len() {
        let listener = take(&mut descriptors, at, stall);
        listeners.push(listener.with_context(|| format!("socket {} of LISTEN_FDS cannot be used", at + 1))?);
    }
    Ok(listeners)
}

fn take(descriptors: &mut ListenFd, at: usize, stall: Duration) -> Result<Listener> {
    if let Ok(Some(socket)) = descriptors.take_tcp_listener(at) {
        must_listen(&socket)?;
        socket.set_nonblocking(true)?;
        set_options(&socket, stall)?;
        return Ok(Listener::tcp(socket)?);
    }
    if let Ok(Some(socket)) = descriptors.take_unix_listener(at) {
        must_listen(&socket)?;
        socket.set_nonblocking(true)?;
        return Ok(Listener::unix(socket)?);
    }
    bail!("it is neither a TCP nor a unix stream socket; the socket unit needs ListenStream=")
}

fn must_listen(socket: &impl AsFd) -> Result<()> {
    if !socket_acceptconn(socket)? {
        let number = socket.as_fd().as_raw_fd();
        bail!("descriptor {number} does not listen; the socket unit needs Accept=no")
    }
    Ok(())
}
