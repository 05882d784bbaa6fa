//! Whatever the bytes are, evaluating them does not panic.

use super::{FITS, prebuilt};
use crate::component::BUILT_IN;
use crate::component::shape::shape;
use proptest::prelude::*;
use wasmparser::BinaryReader;

/// Evaluates bytes. What fits must lie in the component.
fn evaluate(component: &[u8]) {
    if let Ok(shape) = shape(component) {
        assert!(component.get(shape.main).is_some());
    }
}

#[test]
fn every_byte_may_be_wrong() {
    let component = wat::parse_str(FITS).unwrap();
    for place in 0..component.len() {
        evaluate(&component[..place]);
        for flip in [0x01, 0x02, 0x04, 0x07, 0x10, 0x40, 0x7f, 0x80, 0xff] {
            let mut damaged = component.clone();
            damaged[place] ^= flip;
            evaluate(&damaged);
        }
    }
}

/// The places of a component outside of its main module, whose code is not evaluated.
fn outside() -> impl Strategy<Value = usize> {
    let main = shape(&BUILT_IN).unwrap().main;
    prop_oneof![0..main.start, main.end..BUILT_IN.len(), 0..BUILT_IN.len()]
}

/// Whether these bytes are custom sections, without which a component is whole.
fn are_custom_sections(mut bytes: &[u8]) -> bool {
    while let Some((0, rest)) = bytes.split_first() {
        let mut reader = BinaryReader::new(rest, 0);
        let Ok(size) = reader.read_var_u32() else { return false };
        let Some(rest) = rest.get(reader.current_position() + size as usize..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_truncated_guest_is_a_misfit(end in outside()) {
        prop_assume!(!are_custom_sections(&BUILT_IN[end..]));
        prop_assert!(shape(&BUILT_IN[..end]).is_err());
    }

    #[test]
    fn flipped_bytes_of_a_guest_do_not_panic(flips in prop::collection::vec((outside(), any::<u8>()), 1..8)) {
        let mut damaged = BUILT_IN.to_vec();
        for (place, flip) in flips {
            damaged[place] ^= flip;
        }
        evaluate(&damaged);
    }

    #[test]
    fn flipped_bytes_of_a_small_guest_do_not_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut damaged = prebuilt("hello");
        for (place, flip) in flips {
            let place = place.index(damaged.len());
            damaged[place] = flip;
        }
        evaluate(&damaged);
    }

    #[test]
    fn arbitrary_sections_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        evaluate(&[b"\0asm\x0d\0\x01\0", bytes.as_slice()].concat());
    }
}
