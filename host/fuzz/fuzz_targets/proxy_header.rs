//! Headers of the PROXY protocol: a reader that gets them in pieces finds what one that gets all at once does, and reads
//! nothing beyond.
//!
//! The module is included rather than linked, so that the runtime need not be built.
#![no_main]

#[allow(dead_code, reason = "the host uses all of it")]
#[path = "../../src/net/proxy/header.rs"]
mod header;

use header::{Parsed, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let at_once = parse(bytes);
    let mut have = 0;
    loop {
        match parse(&bytes[..have]) {
            Ok(Parsed::Partial(missing)) => {
                assert!(missing > 0);
                if have + missing > bytes.len() {
                    assert!(!matches!(at_once, Ok(Parsed::Complete(..))), "more is asked for than there is");
                    break;
                }
                have += missing;
            }
            Ok(Parsed::Complete(origin, length)) => {
                assert_eq!(length, have);
                assert_eq!(at_once, Ok(Parsed::Complete(origin, length)));
                break;
            }
            Err(error) => {
                assert_eq!(at_once, Err(error));
                break;
            }
        }
    }
});
