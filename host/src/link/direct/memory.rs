//! Lifting: what a guest passes by address lies in its memory, aligned, and is text where it has to be (component model,
//! canonical ABI, "Loading"). Whatever does not is a trap.

use wasmtime::component::Resource;
use wasmtime::{bail, format_err};

pub(super) type R<T> = wasmtime::Result<T>;

/// Bytes that one call may have the host copy, in either direction. A guest writes at most 1 MiB of a body at a time.
pub(super) const MAX_COPY: usize = 16 * 1024 * 1024;

/// A list of bytes.
pub(super) fn bytes(memory: &[u8], address: u32, length: u32) -> R<&[u8]> {
    let start = address as usize;
    memory.get(start..start + length as usize).ok_or_else(out_of_bounds)
}

/// A list of bytes that the host keeps.
pub(super) fn owned_bytes(memory: &[u8], address: u32, length: u32) -> R<Vec<u8>> {
    let bytes = bytes(memory, address, length)?;
    if bytes.len() > MAX_COPY {
        bail!("a list of {} bytes is more than a call may copy", bytes.len());
    }
    Ok(bytes.to_vec())
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
    Ok(elements.as_chunks().0)
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
    use super::{bytes, list, own, text};

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
    fn text_is_utf_8_and_zero_is_no_handle() {
        assert_eq!(text("ä".as_bytes(), 0, 2).unwrap(), "ä");
        assert!(text("ä".as_bytes(), 0, 1).is_err());
        assert!(own::<()>(0).is_err());
        assert_eq!(own::<()>(1).unwrap().rep(), 0);
    }
}
