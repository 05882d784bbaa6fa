//! Privileges: no root where others can connect, no capabilities, and none that are new.

use anyhow::{Result, bail};
use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use std::fmt::Display;

/// Refuses root if other machines can connect, at the address `reachable`. Returns whether this is root.
///
/// Without capabilities, root is still the owner of the system's files. On loopback addresses that is allowed: in a
/// container, root is often the only user, and the server is then tried with its defaults.
pub fn refuse_root(reachable: Option<impl Display>) -> Result<bool> {
    if !geteuid().is_root() {
        return Ok(false);
    }
    if let Some(address) = reachable {
        bail!(
            "will not listen on {address} as root, where other machines can connect: run this as another user, or \
             allow it with --allow-root"
        );
    }
    Ok(true)
}

/// The first port that every user may bind, unless the machine is set up in another way.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Gives up every capability, for good. Only the one for low ports stays, where such ports are still to be bound. A process
/// of root then reads only what its owner or everyone may read, as other users do.
pub(super) fn drop_capabilities(to_bind: &[u16]) -> Result<(), String> {
    let needs_low_ports = to_bind.iter().any(|port| (1..FIRST_UNPRIVILEGED).contains(port));
    let kept = if needs_low_ports {
        let held = capabilities(None).map_err(|error| error.to_string())?.permitted;
        held & CapabilitySet::NET_BIND_SERVICE
    } else {
        CapabilitySet::empty()
    };
    // The bounding set limits what executing a file could give back. Taking from it needs a capability; where there is none,
    // "no new privileges" keeps the file from giving any.
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => _ = remove_capability_from_bounding_set(capability),
            Ok(false) => {}
            // Numbers from here on are no capabilities of this kernel.
            Err(_) => break,
        }
    }
    // Emptying the permitted set empties this one too, on kernels that have it.
    let _ = clear_ambient_capability_set();
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
        .map_err(|error| error.to_string())
}

/// Keeps executed files from giving privileges, as set-user-ID programs do. The other walls need this too.
pub(super) fn allow_no_new() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| error.to_string())
}
