//! Lowering: how results get into a guest's memory (component model, canonical ABI, "Storing").
//!
//! A result of fixed size is stored where the guest wants it. Lists and strings lie in memory that the guest allocates by its
//! `cabi_realloc`. The host may not call that while the guest is in a call to the host, so the [rewritten] module does: the
//! host keeps what is [`Pending`], the module asks for one allocation after the other, and tells the host each address.
//!
//! [rewritten]: crate::component::rewrite

use super::memory::{MAX_COPY, R, out_of_bounds};
use super::written::Written;
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
    /// In bytes.
    size: u32,
    align: u32,
    /// What is copied into it at once, as a part of [`Pending::content`]: the bytes of a string or of a list of bytes.
    /// The elements of other lists have steps of their own.
    start: usize,
    length: usize,
}

/// What is left to be done, in the order of the canonical ABI. A guest sees the order: by what its `cabi_realloc` finds in its
/// memory, and where the areas overlap that it returns.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The guest allocates an area.
    Allocate(Area),
    /// Some bytes get into their place.
    Put { place: Place, bytes: [u8; PUT_MAX], length: u8 },
    /// Address and length of a list get into their place: its elements are complete.
    Finish { place: Place, area: u32, count: u32 },
}

/// The most bytes that are put at once: a number of 64 bits.
const PUT_MAX: usize = 8;

/// What waits for the guest to allocate memory.
#[derive(Debug, Default)]
pub(super) struct Pending {
    content: Vec<u8>,
    steps: Vec<Step>,
    /// How many of the steps were done.
    done: usize,
    /// How many areas there are, and how many bytes in all of them.
    areas: u32,
    size: usize,
    /// The addresses of those that the guest has allocated.
    addresses: Vec<u32>,
    /// What the guest is allocating.
    asked: Option<Area>,
    /// Where results have been written since the instance was in its initial state.
    pub written: Written,
}

impl Pending {
    /// Whether the guest is allocating. It must not call the host then.
    pub(super) fn is_active(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Forgets everything but what was written, and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.content.clear();
        self.steps.clear();
        self.addresses.clear();
        (self.done, self.areas, self.size, self.asked) = (0, 0, 0, None);
    }

    /// Does everything up to the next allocation, and gives the area that the guest has to allocate: its alignment in the
    /// upper and its size in the lower 32 bits.
    pub(super) fn ask(&mut self, memory: &mut [u8]) -> R<i64> {
        while let Some(step) = self.steps.get(self.done) {
            self.done += 1;
            match *step {
                Step::Allocate(area) => {
                    self.asked = Some(area);
                    return Ok(i64::from(area.align) << 32 | i64::from(area.size));
                }
                Step::Put { place, bytes, length } => {
                    let bytes = bytes.get(..usize::from(length)).unwrap_or_default();
                    let address = self.address(place)?;
                    write(memory, &mut self.written, address, bytes)?;
                }
                Step::Finish { place, area, count } => {
                    let address = self.addresses.get(area as usize).copied().ok_or_else(out_of_bounds)?;
                    let list = u64::from(address) | u64::from(count) << 32;
                    let address = self.address(place)?;
                    write(memory, &mut self.written, address, &list.to_le_bytes())?;
                }
            }
        }
        self.clear();
        Ok(DONE)
    }

    /// The guest has allocated the area that it was asked for, at this address.
    pub(super) fn fulfil(&mut self, memory: &mut [u8], address: u32) -> R<()> {
        let Some(Area { size, align, start, length }) = self.asked.take() else {
            bail!("nothing was to be allocated");
        };
        if !address.is_multiple_of(align) {
            bail!("realloc return: result not aligned");
        }
        let target = memory.get_mut(address as usize..).and_then(|rest| rest.get_mut(..size as usize));
        let Some(target) = target else { bail!("realloc return: beyond end of memory") };
        let content = self.content.get(start..start + length).ok_or_else(out_of_bounds)?;
        target.get_mut(..length).ok_or_else(out_of_bounds)?.copy_from_slice(content);
        self.written.note(address as usize, length);
        self.addresses.push(address);
        Ok(())
    }

    /// The address of a place. Areas are allocated in order, so that the area around one was allocated before.
    fn address(&self, place: Place) -> R<u32> {
        let Some(area) = place.area else { return Ok(place.offset) };
        let area = self.addresses.get(area as usize).and_then(|address| address.checked_add(place.offset));
        area.ok_or_else(out_of_bounds)
    }
}

fn write(memory: &mut [u8], written: &mut Written, address: u32, bytes: &[u8]) -> R<()> {
    let target = memory.get_mut(address as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
    target.ok_or_else(out_of_bounds)?.copy_from_slice(bytes);
    written.note(address as usize, bytes.len());
    Ok(())
}

/// A guest's memory, to be written to, and what is to be allocated in it.
pub(super) struct Out<'a> {
    memory: &'a mut [u8],
    pending: &'a mut Pending,
}

impl<'a> Out<'a> {
    /// Stores a result at the address that the guest wants it at, as far as the first allocation.
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

    /// Puts bytes in their place, once it is their turn.
    pub(super) fn put<const SIZE: usize>(&mut self, place: Place, bytes: [u8; SIZE]) -> R<()> {
        const { assert!(SIZE <= PUT_MAX) };
        if self.pending.steps.is_empty() {
            return write(self.memory, &mut self.pending.written, place.offset, &bytes);
        }
        let mut padded = [0; PUT_MAX];
        padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        #[allow(clippy::cast_possible_truncation, reason = "it is 8 at most")]
        self.pending.steps.push(Step::Put { place, bytes: padded, length: SIZE as u8 });
        Ok(())
    }

    /// Has the guest allocate a string or a list of bytes.
    pub(super) fn bytes(&mut self, place: Place, bytes: &[u8]) -> R<()> {
        let area = self.allocate(bytes.len(), 1, bytes.len())?;
        self.pending.content.extend_from_slice(bytes);
        self.finish(place, area, bytes.len())
    }

    /// Has the guest allocate a list of values.
    pub(super) fn list<T: Lower>(&mut self, place: Place, values: Vec<T>) -> R<()> {
        let count = values.len();
        let size = count.checked_mul(T::SIZE).ok_or_else(out_of_bounds)?;
        let area = self.allocate(size, T::ALIGN, 0)?;
        let mut element = Place { area: Some(area), offset: 0 };
        for value in values {
            value.lower(self, element)?;
            element = element.at(T::SIZE)?;
        }
        self.finish(place, area, count)
    }

    /// Has the guest allocate an area, of which this many bytes are content that follows. Gives its number.
    fn allocate(&mut self, size: usize, align: usize, length: usize) -> R<u32> {
        let Pending { content, steps, areas, size: total, .. } = &mut *self.pending;
        *total = total.saturating_add(size);
        if *total > MAX_COPY {
            bail!("a call would copy more than {MAX_COPY} bytes");
        }
        let area = *areas;
        *areas = area.checked_add(1).ok_or_else(out_of_bounds)?;
        let (size, align) = (number(size)?, number(align)?);
        steps.push(Step::Allocate(Area { size, align, start: content.len(), length }));
        Ok(area)
    }

    fn finish(&mut self, place: Place, area: u32, count: usize) -> R<()> {
        self.pending.steps.push(Step::Finish { place, area, count: number(count)? });
        Ok(())
    }
}

fn number(number: usize) -> R<u32> {
    u32::try_from(number).map_err(|_| format_err!("a list is too long"))
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
            let request = pending.ask(memory).unwrap();
            if request == DONE {
                return asked;
            }
            let half = |bits: i64| u32::try_from(bits & 0xffff_ffff).unwrap();
            let (align, size) = (half(request >> 32), half(request));
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
            assert_eq!(pending.ask(&mut memory).unwrap(), 4 << 32 | 8);
            assert!(pending.is_active());
            assert_eq!(pending.fulfil(&mut memory, address).is_ok(), is_right, "{address}");
        }
        assert!(Pending::default().fulfil(&mut memory, 0).is_err());
    }

    #[test]
    fn what_overlaps_is_written_in_the_order_of_the_canonical_abi() {
        let mut memory = [0xff; 64];
        let mut pending = Pending::default();
        // A list of a string and a number, of which the padding is not written.
        Out::store(&mut memory, &mut pending, 0, vec![("abcdefgh".to_owned(), 7_u8)]).unwrap();
        assert_eq!(pending.ask(&mut memory).unwrap(), 4 << 32 | 0xc);
        pending.fulfil(&mut memory, 16).unwrap();
        assert_eq!(memory, [0xff; 64], "the elements come before the address of the list");
        assert_eq!(pending.ask(&mut memory).unwrap(), 1 << 32 | 8);
        // The string lies where the number comes, and where address and length of the list come.
        pending.fulfil(&mut memory, 22).unwrap();
        assert_eq!(pending.ask(&mut memory).unwrap(), DONE);
        assert_eq!(memory[..8], [16, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(memory[16..32], *b"\x16\0\0\0\x08\0\0\0\x07defgh\xff\xff");
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
