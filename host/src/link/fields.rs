//! `wasi:http/types.fields` from a list: how guests make the head of an answer. The list is read where the guest has it,
//! instead of being copied name by name first.

use crate::component::interface::IMPLEMENTED;
use crate::sandbox::State;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList, WasmStr};
use wasmtime_wasi_http::p2::bindings::http::types::HeaderError;
use wasmtime_wasi_http::{FieldMap, FieldMapError, WasiHttpView as _};

/// What the fields of one message may take, in bytes, each with some for itself: the runtime's own limit, which is twice
/// what a request may have.
pub(super) const MOST_BYTES: usize = 128 * 1024;

/// Puts this in the place of the runtime's own implementation.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("wasi:http/types@{IMPLEMENTED}"))?;
    types.func_wrap("[static]fields.from-list", from_list)
}

type Entries = WasmList<(WasmStr, WasmList<u8>)>;
type FromList = Result<Resource<FieldMap>, HeaderError>;

fn from_list(mut store: StoreContextMut<'_, State>, (entries,): (Entries,)) -> wasmtime::Result<(FromList,)> {
    let entries = entries.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut fields = FieldMap::new_mutable(MOST_BYTES);
    for (name, value) in entries {
        let name = name.to_str(&store)?;
        // As bytes: what is no name is the guest's to hear, not a fault of it.
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(FieldMapError::from);
        let is_forbidden = match &name {
            Ok(name) => store.data_mut().http().hooks.is_forbidden_header(name),
            Err(_) => false,
        };
        let added = match name {
            Ok(_) if is_forbidden => Err(FieldMapError::Forbidden),
            Ok(name) => append(&mut fields, name, value.as_le_slice(&store)),
            Err(error) => Err(error),
        };
        match added {
            Ok(()) => {}
            Err(FieldMapError::Forbidden) => return Ok((Err(HeaderError::Forbidden),)),
            Err(FieldMapError::InvalidHeaderName | FieldMapError::InvalidHeaderValue) => {
                return Ok((Err(HeaderError::InvalidSyntax),));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((Ok(store.data_mut().table().push(fields)?),))
}

/// The value of a field; a length is digits (RFC 9110 §8.6).
fn value_of(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, FieldMapError> {
    if name == CONTENT_LENGTH {
        let length = super::bodies::parse_length(value).ok_or(FieldMapError::InvalidHeaderValue)?;
        return Ok(length.into());
    }
    HeaderValue::from_bytes(value).map_err(|_| FieldMapError::InvalidHeaderValue)
}

fn append(fields: &mut FieldMap, name: HeaderName, value: &[u8]) -> Result<(), FieldMapError> {
    let value = value_of(&name, value)?;
    // Who gets two of them may take another one for true than the next.
    if name == CONTENT_LENGTH && fields.contains_key(CONTENT_LENGTH) {
        return Err(FieldMapError::InvalidHeaderValue);
    }
    fields.append_raw(name, value).map(drop)
}
