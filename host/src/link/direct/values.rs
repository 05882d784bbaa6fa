//! How each type of value is lowered: numbers, text, lists, options, results, and the records of WASI.

use super::lowering::{Lower, Out, Place};
use super::memory::{R, handle};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types as filesystem;
use wasmtime_wasi_http::p2::bindings::http::types::{HeaderError, Method, Scheme};
use wasmtime_wasi_io::bindings::wasi::io::streams::StreamError;

/// A list of bytes.
pub(super) struct Bytes(pub(super) Vec<u8>);

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Lower for $type {
            const SIZE: usize = size_of::<$type>();
            const ALIGN: usize = size_of::<$type>();

            fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
                out.put(place, self.to_le_bytes())
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

impl Lower for () {
    const SIZE: usize = 0;
    const ALIGN: usize = 1;

    fn lower(self, _: &mut Out<'_>, _: Place) -> R<()> {
        Ok(())
    }
}

impl Lower for bool {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        out.put(place, [u8::from(self)])
    }
}

impl Lower for String {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        out.bytes(place, self.as_bytes())
    }
}

impl Lower for Bytes {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        out.bytes(place, &self.0)
    }
}

impl<T: Lower> Lower for Vec<T> {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        out.list(place, self)
    }
}

impl<T: 'static> Lower for Resource<T> {
    const SIZE: usize = 4;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        handle(&self)?.lower(out, place)
    }
}

impl<T: Lower, E: Lower> Lower for Result<T, E> {
    const ALIGN: usize = max(T::ALIGN, E::ALIGN);
    const SIZE: usize = (Self::ALIGN + max(T::SIZE, E::SIZE)).next_multiple_of(Self::ALIGN);

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        // The case is one byte, and the value follows at the next address of the alignment.
        out.put(place, [u8::from(self.is_err())])?;
        match self {
            Ok(value) => value.lower(out, place.at(Self::ALIGN)?),
            Err(error) => error.lower(out, place.at(Self::ALIGN)?),
        }
    }
}

impl<T: Lower> Lower for Option<T> {
    const ALIGN: usize = T::ALIGN;
    const SIZE: usize = (T::ALIGN + T::SIZE).next_multiple_of(T::ALIGN);

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        out.put(place, [u8::from(self.is_some())])?;
        match self {
            Some(value) => value.lower(out, place.at(T::ALIGN)?),
            None => Ok(()),
        }
    }
}

impl<A: Lower, B: Lower> Lower for (A, B) {
    const ALIGN: usize = max(A::ALIGN, B::ALIGN);
    const SIZE: usize = (A::SIZE.next_multiple_of(B::ALIGN) + B::SIZE).next_multiple_of(Self::ALIGN);

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.0.lower(out, place)?;
        self.1.lower(out, place.at(A::SIZE.next_multiple_of(B::ALIGN))?)
    }
}

impl Lower for Datetime {
    const SIZE: usize = 16;
    const ALIGN: usize = 8;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.seconds.lower(out, place)?;
        self.nanoseconds.lower(out, place.at(8)?)
    }
}

impl Lower for filesystem::ErrorCode {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        (self as u8).lower(out, place)
    }
}

impl Lower for filesystem::DescriptorType {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        (self as u8).lower(out, place)
    }
}

impl Lower for filesystem::DescriptorFlags {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    #[allow(clippy::cast_possible_truncation, reason = "it has six flags")]
    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        (self.as_array()[0] as u8).lower(out, place)
    }
}

impl Lower for filesystem::DescriptorStat {
    const SIZE: usize = 96;
    const ALIGN: usize = 8;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.type_.lower(out, place)?;
        self.link_count.lower(out, place.at(8)?)?;
        self.size.lower(out, place.at(16)?)?;
        self.data_access_timestamp.lower(out, place.at(24)?)?;
        self.data_modification_timestamp.lower(out, place.at(48)?)?;
        self.status_change_timestamp.lower(out, place.at(72)?)
    }
}

impl Lower for filesystem::DirectoryEntry {
    const SIZE: usize = 12;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.type_.lower(out, place)?;
        self.name.lower(out, place.at(4)?)
    }
}

impl Lower for filesystem::MetadataHashValue {
    const SIZE: usize = 16;
    const ALIGN: usize = 8;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.lower.lower(out, place)?;
        self.upper.lower(out, place.at(8)?)
    }
}

impl Lower for StreamError {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        match self {
            Self::LastOperationFailed(error) => {
                0_u8.lower(out, place)?;
                error.lower(out, place.at(4)?)
            }
            Self::Closed => 1_u8.lower(out, place),
        }
    }
}

impl Lower for HeaderError {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        let case: u8 = match self {
            Self::InvalidSyntax => 0,
            Self::Forbidden => 1,
            Self::Immutable => 2,
        };
        case.lower(out, place)
    }
}

impl Lower for Method {
    const SIZE: usize = 12;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        let case: u8 = match self {
            Self::Get => 0,
            Self::Head => 1,
            Self::Post => 2,
            Self::Put => 3,
            Self::Delete => 4,
            Self::Connect => 5,
            Self::Options => 6,
            Self::Trace => 7,
            Self::Patch => 8,
            Self::Other(name) => {
                9_u8.lower(out, place)?;
                return name.lower(out, place.at(4)?);
            }
        };
        case.lower(out, place)
    }
}

impl Lower for Scheme {
    const SIZE: usize = 12;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        match self {
            Self::Http => 0_u8.lower(out, place),
            Self::Https => 1_u8.lower(out, place),
            Self::Other(name) => {
                2_u8.lower(out, place)?;
                name.lower(out, place.at(4)?)
            }
        }
    }
}
