//! References to components in registries, and what registries answer. See `registry.rs` in the directory above.
//!
//! The modules are included rather than linked, so that the runtime need not be built.
#![no_main]

#[allow(dead_code, reason = "the host uses all of it")]
#[path = "../../src/oci"]
mod oci {
    pub mod challenge;
    pub mod digest;
    pub mod location;
    pub mod manifest;
    pub mod reference;
}

#[allow(dead_code, reason = "the host uses all of it")]
#[path = "../../src/signature"]
mod signature {
    pub mod minisign;
}

#[path = "../registry.rs"]
mod registry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| registry::registry(bytes));
