//! Hosts and ports: what is read is written again as something that means the same.
//!
//! The module is included rather than linked, so that the runtime need not be built.
#![no_main]

#[allow(dead_code, reason = "the host uses all of it")]
#[path = "../../src/authority.rs"]
mod authority;

use authority::{Authority, Host};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(authority) = Authority::parse(bytes) else { return };
    let host = match authority.host {
        Host::Name(name) => {
            assert!(!name.is_empty() && !name.contains(['@', '/', ':', '[', ']', ' ', '\\']), "{name:?}");
            name.to_owned()
        }
        Host::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Host::Address(address) => address.to_string(),
    };
    let again = match authority.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    assert_eq!(Authority::parse(again.as_bytes()), Some(authority));
});
