//! `Forwarded` and `X-Forwarded-For`: whatever a client sends, its address is the one that the proxy appends, or the field is
//! refused.
//!
//! The module is included rather than linked, so that the runtime need not be built.
#![no_main]

#[allow(dead_code, reason = "the host uses all of it")]
#[path = "../../src/http/forwarded.rs"]
mod forwarded;

use forwarded::{forwarded, x_forwarded};
use std::net::IpAddr;

libfuzzer_sys::fuzz_target!(|sent: &[u8]| {
    let client: IpAddr = [192, 0, 2, 1].into();
    let is_trusted = |address: IpAddr| address != client && address.is_ipv4();
    let append = |what: &[u8]| [sent, b", ", what].concat();
    for line in [append(b"for=192.0.2.1"), append(b"for=\"192.0.2.1:80\";proto=https;host=\"a\"")] {
        if let Ok(told) = forwarded([line.as_slice()], is_trusted) {
            assert_eq!(told.address, Some(client));
        }
    }
    let line = append(b"192.0.2.1");
    let told = x_forwarded([line.as_slice()].into_iter(), [sent].into_iter(), is_trusted);
    assert_eq!(told.address, Some(client));
});
