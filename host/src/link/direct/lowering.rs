//! Lowering: how results get into a guest's memory (component model, canonical ABI, "Storing").
//!
//! A result of fixed size is stored where the guest wants it. Lists and strings lie in memory that the guest allocates by its
//! `cabi_realloc`. The host may not call that while the guest is in a call to the host, so the [rewritten] module does: the
//! host keeps what is [`Pending`], the module asks for one allocation after the other, and tells the host each address.
//!
//! [rewritten]: crate::component::rewrite

use super::memory::{MAX_COPY, R, out_of_bounds};
use wasmtime::{bail, format_err};

/// What the rewritten module takes for "nothing is left to be allocated".
const DONE: i64 = -1;

/// A place for a value: in the guest's memory, or in an area that the guest has yet to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    area: Option<u32>,
    offset: u32,
}

impl Place {
    /// The place this many bytes further on.
    pub(super) fn at(self, offset: usize) -> R<Self> {
        let offset = u32::try_from(offset).ok().and_then(|offset| self.offset.checked_add(offset));
        Ok(Self { offset: offset.ok_or_else(out_of_bounds)?, ..self })
    }
}

/// Memory that the guest has to allocate for one list or string.
#[derive(Clone, Copy, Debug)]
struct Area {
    /// Where its content begins in [`Pending::content`].
    start: usize,
    /// In bytes.
    size: u32,
    align: u32,
    /// The length of the list.
    count: u32,
    /// Where address and length of the list go.
    place: Place,
    /// Its address, once the guest has allocated it.
    address: u32,
}

/// What waits for the guest to allocate memory.
#[derive(Debug, Default)]
pub(super) struct Pending {
    content: Vec<u8>,
    areas: Vec<Area>,
    /// How many of the areas the guest was asked for. It is being asked as long as this is not 0.
    asked: usize,
}

impl Pending {
    /// Whether the guest is allocating. It must not call the host then.
    pub(super) fn is_active(&self) -> bool {
        self.asked > 0
    }

    /// Forgets everything, and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.content.clear();
        self.areas.clear();
        self.asked = 0;
    }

    /// The next area that the guest has to allocate: its alignment in the upper and its size in the lower 32 bits.
    pub(super) fn ask(&mut self) -> i64 {
        let Some(area) = self.areas.get(self.asked) else {
            self.clear();
            return DONE;
        };
        self.asked += 1;
        i64::from(area.align) << 32 | i64::from(area.size)
    }

    /// The guest has allocated the area that it was asked for, at this address.
    pub(super) fn fulfil(&mut self, memory: &mut [u8], address: u32) -> R<()> {
        let Some(area) = self.asked.checked_sub(1).and_then(|at| self.areas.get_mut(at)) else {
            bail!("nothing was to be allocated");
        };
        if !address.is_multiple_of(area.align) {
            bail!("realloc return: result not aligned");
        }
        area.address = address;
        let Area { start, size, count, place, .. } = *area;
        let (start, size) = (start, size as usize);
        let target = memory.get_mut(address as usize..).and_then(|rest| rest.get_mut(..size));
        let Some(target) = target else { bail!("realloc return: beyond end of memory") };
        target.copy_from_slice(self.content.get(start..start + size).ok_or_else(out_of_bounds)?);
        let place = self.address(place)?;
        let pointer = memory.get_mut(place as usize..).and_then(<[u8]>::first_chunk_mut::<8>);
        let pointer = pointer.ok_or_else(out_of_bounds)?;
        *pointer = (u64::from(address) | u64::from(count) << 32).to_le_bytes();
        Ok(())
    }

    /// The address of a place. Areas are allocated in order, so that the area around one was allocated before.
    fn address(&self, place: Place) -> R<u32> {
        let Some(area) = place.area else { return Ok(place.offset) };
        let area = self.areas.get(area as usize).and_then(|area| area.address.checked_add(place.offset));
        area.ok_or_else(out_of_bounds)
    }
}

/// A guest's memory, to be written to, and what is to be allocated in it.
pub(super) struct Out<'a> {
    memory: &'a mut [u8],
    pending: &'a mut Pending,
}

impl<'a> Out<'a> {
    /// Stores a result at the address that the guest wants it at.
    pub(super) fn store<T: Lower>(
        memory: &'a mut [u8],
        pending: &'a mut Pending,
        address: u32,
        value: T,
    ) -> R<()> {
        if !(address as usize).is_multiple_of(T::ALIGN) {
            bail!("pointer not aligned");
        }
        if (address as usize).checked_add(T::SIZE).is_none_or(|end| end > memory.len()) {
            return Err(out_of_bounds());
        }
        value.lower(&mut Out { memory, pending }, Place { area: None, offset: address })
    }

    /// Puts bytes in their place.
    pub(super) fn put<const SIZE: usize>(&mut self, place: Place, bytes: [u8; SIZE]) -> R<()> {
        let start = place.offset as usize;
        let target = match place.area {
            None => self.memory.get_mut(start..),
            Some(area) => {
                let start = self.pending.areas.get(area as usize).map(|area| area.start + start);
                start.and_then(|start| self.pending.content.get_mut(start..))
            }
        };
        *target.and_then(<[u8]>::first_chunk_mut).ok_or_else(out_of_bounds)? = bytes;
        Ok(())
    }

    /// Has the guest allocate a string or a list of bytes.
    pub(super) fn bytes(&mut self, place: Place, bytes: &[u8]) -> R<()> {
        self.area(place, bytes.len(), 1, bytes.len())?;
        self.pending.content.extend_from_slice(bytes);
        Ok(())
    }

    /// Has the guest allocate a list of values.
    pub(super) fn list<T: Lower>(&mut self, place: Place, values: Vec<T>) -> R<()> {
        let size = values.len().checked_mul(T::SIZE).ok_or_else(out_of_bounds)?;
        let area = self.area(place, size, T::ALIGN, values.len())?;
        self.pending.content.resize(self.pending.content.len() + size, 0);
        let mut place = Place { area: Some(area), offset: 0 };
        for value in values {
            value.lower(self, place)?;
            place = place.at(T::SIZE)?;
        }
        Ok(())
    }

    fn area(&mut self, place: Place, size: usize, align: usize, count: usize) -> R<u32> {
        let start = self.pending.content.len();
        if start.checked_add(size).is_none_or(|end| end > MAX_COPY) {
            bail!("a call would copy more than {MAX_COPY} bytes");
        }
        let number = |number: usize| u32::try_from(number).map_err(|_| format_err!("a list is too long"));
        let area = number(self.pending.areas.len())?;
        let (size, align, count) = (number(size)?, number(align)?, number(count)?);
        self.pending.areas.push(Area { start, size, align, count, place, address: 0 });
        Ok(area)
    }
}

/// A value that guests get. Size and alignment are in bytes, as the canonical ABI has them.
pub(super) trait Lower {
    const SIZE: usize;
    const ALIGN: usize;

    /// Stores it in a place of its size and alignment.
    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()>;
}

#[cfg(test)]
mod tests {
    use super::super::values::Bytes;
    use super::{DONE, Out, Pending};

    /// Allocates as a guest does that has this much of its memory in use, and gives the areas that it was asked for.
    fn allocate(memory: &mut [u8], pending: &mut Pending, mut used: u32) -> Vec<(u32, u32)> {
        let mut asked = Vec::new();
        loop {
            let request = pending.ask();
            if request == DONE {
                return asked;
            }
            let (align, size) = ((request >> 32) as u32, request as u32);
            asked.push((align, size));
            used = used.next_multiple_of(align);
            pending.fulfil(memory, used).unwrap();
            used += size;
        }
    }

    #[test]
    fn a_list_of_pairs_is_allocated_in_order() {
        let mut memory = [0; 128];
        let mut pending = Pending::default();
        let value = vec![("ab".to_owned(), Bytes(vec![1, 2, 3])), (String::new(), Bytes(vec![4]))];
        Out::store(&mut memory, &mut pending, 8, value).unwrap();
        let asked = allocate(&mut memory, &mut pending, 16);
        assert_eq!(asked, [(4, 32), (1, 2), (1, 3), (1, 0), (1, 1)]);
        assert!(!pending.is_active());
        let word = |at: usize| u32::from_le_bytes(*memory[at..].first_chunk().unwrap());
        assert_eq!([word(8), word(12)], [16, 2]);
        assert_eq!([16, 20, 24, 28].map(word), [48, 2, 50, 3]);
        assert_eq!([32, 36, 40, 44].map(word), [53, 0, 53, 1]);
        assert_eq!(&memory[48..54], b"ab\x01\x02\x03\x04");
    }

    #[test]
    fn what_realloc_returns_is_checked() {
        let mut memory = [0; 64];
        for (address, is_right) in
            [(4, true), (56, true), (6, false), (60, false), (64, false), (u32::MAX - 3, false)]
        {
            let mut pending = Pending::default();
            Out::store(&mut memory, &mut pending, 0, vec![1_u32, 2]).unwrap();
            assert_eq!(pending.ask(), 4 << 32 | 8);
            assert!(pending.is_active());
            assert_eq!(pending.fulfil(&mut memory, address).is_ok(), is_right, "{address}");
        }
        assert!(Pending::default().fulfil(&mut memory, 0).is_err());
    }

    #[test]
    fn a_result_is_stored_where_it_fits() {
        let mut memory = [0; 16];
        let mut store = |address| Out::store(&mut memory, &mut Pending::default(), address, 7_u64).is_ok();
        assert!(store(8));
        assert!(!store(4));
        assert!(!store(16));
        assert!(!store(u32::MAX - 7));
    }
}
