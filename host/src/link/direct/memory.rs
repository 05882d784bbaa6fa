//! Lifting: what a guest passes by address lies in its memory, aligned, and is text where it has to be (component model,
//! canonical ABI, "Loading"). Whatever does not is a trap.

use crate::instance::HOSTCALL_FUEL;
use wasmtime::component::Resource;
use wasmtime::{bail, format_err};

pub(super) type R<T> = wasmtime::Result<T>;

/// Bytes that one call may have the host copy, in either direction: as many as with the component runtime.
pub(super) const MAX_COPY: usize = HOSTCALL_FUEL;

/// What an element of a list takes in the host, in bytes: a vector.
const ELEMENT_BYTES: usize = size_of::<Vec<u8>>();

/// A list of bytes.
pub(super) fn bytes(memory: &[u8], address: u32, length: u32) -> R<&[u8]> {
    let start = address as usize;
    let bytes = memory.get(start..start + length as usize).ok_or_else(out_of_bounds)?;
    if bytes.len() > MAX_COPY { Err(too_much()) } else { Ok(bytes) }
}

/// A list of bytes that the host keeps.
pub(super) fn owned_bytes(memory: &[u8], address: u32, length: u32) -> R<Vec<u8>> {
    Ok(bytes(memory, address, length)?.to_vec())
}

/// A list of lists of bytes that the host keeps. They may be the same bytes many times, so that all of them count.
pub(super) fn owned_lists(memory: &[u8], address: u32, count: u32) -> R<Vec<Vec<u8>>> {
    let mut left = MAX_COPY;
    let lists = list::<8>(memory, address, count, 4)?.iter().map(|element| {
        let bytes = bytes(memory, word(element, 0), word(element, 4))?;
        left = left.checked_sub(bytes.len()).ok_or_else(too_much)?;
        Ok(bytes.to_vec())
    });
    lists.collect()
}

/// A string.
pub(super) fn text(memory: &[u8], address: u32, length: u32) -> R<&str> {
    Ok(std::str::from_utf8(bytes(memory, address, length)?)?)
}

/// A string that the host keeps.
pub(super) fn owned_text(memory: &[u8], address: u32, length: u32) -> R<String> {
    Ok(String::from_utf8(owned_bytes(memory, address, length)?)?)
}

/// A list of elements of `SIZE` bytes.
pub(super) fn list<const SIZE: usize>(
    memory: &[u8],
    address: u32,
    count: u32,
    align: u32,
) -> R<&[[u8; SIZE]]> {
    if !address.is_multiple_of(align) {
        bail!("list pointer is not aligned");
    }
    let length = (count as usize).checked_mul(SIZE).ok_or_else(out_of_bounds)?;
    let start = address as usize;
    let end = start.checked_add(length).ok_or_else(out_of_bounds)?;
    let elements = memory.get(start..end).ok_or_else(out_of_bounds)?;
    if (count as usize).saturating_mul(ELEMENT_BYTES.max(SIZE)) > MAX_COPY {
        return Err(too_much());
    }
    Ok(elements.as_chunks().0)
}

#[cold]
fn too_much() -> wasmtime::Error {
    format_err!("a call may copy {MAX_COPY} bytes at most")
}

#[cold]
pub(super) fn out_of_bounds() -> wasmtime::Error {
    format_err!("pointer out of bounds of memory")
}

/// The 32-bit number at this offset of an element.
pub(super) fn word<const SIZE: usize>(element: &[u8; SIZE], at: usize) -> u32 {
    element.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}

/// A resource that a guest lends. Its handle is its number in the instance's table, plus one: 0 is no handle. The table knows
/// the type of each resource, and refuses others.
pub(super) fn borrow<T: 'static>(handle: u32) -> R<Resource<T>> {
    number(handle).map(Resource::new_borrow)
}

/// A resource that a guest gives away.
pub(super) fn own<T: 'static>(handle: u32) -> R<Resource<T>> {
    number(handle).map(Resource::new_own)
}

fn number(handle: u32) -> R<u32> {
    handle.checked_sub(1).ok_or_else(|| format_err!("unknown handle index 0"))
}

/// The handle of a resource.
pub(super) fn handle<T: 'static>(resource: &Resource<T>) -> R<u32> {
    resource.rep().checked_add(1).ok_or_else(|| format_err!("too many handles"))
}

/// An optional value: which of the two cases a discriminant says.
pub(super) fn is_some(discriminant: u32) -> R<bool> {
    match discriminant {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(invalid_discriminant()),
    }
}

#[cold]
pub(super) fn invalid_discriminant() -> wasmtime::Error {
    format_err!("invalid variant discriminant")
}

#[cfg(test)]
mod tests {
    use super::{MAX_COPY, bytes, list, own, owned_lists, text};

    #[test]
    fn what_is_not_in_memory_is_refused() {
        let memory = [b'a'; 16];
        assert_eq!(bytes(&memory, 4, 12).unwrap().len(), 12);
        assert!(bytes(&memory, 16, 0).unwrap().is_empty());
        for (address, length) in [(17, 0), (4, 13), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            assert!(bytes(&memory, address, length).is_err(), "{address} {length}");
        }
    }

    #[test]
    fn lists_are_aligned_and_their_length_does_not_overflow() {
        let memory = [0; 64];
        assert_eq!(list::<16>(&memory, 16, 3, 4).unwrap().len(), 3);
        assert!(list::<16>(&memory, 18, 1, 4).is_err());
        assert!(list::<16>(&memory, 16, 4, 4).is_err());
        assert!(list::<16>(&memory, 0, u32::MAX, 4).is_err());
    }

    #[test]
    fn a_call_copies_no_more_than_the_limit_however_often_it_names_the_same_bytes() {
        let mut memory = vec![0; MAX_COPY + 1];
        let length = u32::try_from(MAX_COPY).unwrap();
        assert!(bytes(&memory, 0, length).is_ok());
        assert!(bytes(&memory, 0, length + 1).is_err());
        assert!(text(&memory, 0, length + 1).is_err());
        // Eight times half of what is allowed, and eight times an eighth of it.
        for (part, is_allowed) in [(length / 2, false), (length / 8, true)] {
            for element in memory[..64].as_chunks_mut::<8>().0 {
                *element = (u64::from(part) << 32).to_le_bytes();
            }
            assert_eq!(owned_lists(&memory, 0, 8).is_ok(), is_allowed, "{part}");
        }
        // A list of handles that would take more room in the host than in the guest.
        assert!(list::<4>(&memory, 0, length / 24, 4).is_ok());
        assert!(list::<4>(&memory, 0, length / 4, 4).is_err());
    }

    #[test]
    fn text_is_utf_8_and_zero_is_no_handle() {
        assert_eq!(text("ä".as_bytes(), 0, 2).unwrap(), "ä");
        assert!(text("ä".as_bytes(), 0, 1).is_err());
        assert!(own::<()>(0).is_err());
        assert_eq!(own::<()>(1).unwrap().rep(), 0);
    }
}
