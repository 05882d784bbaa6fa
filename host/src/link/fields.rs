//! `wasi:http/types.fields` from a list: how guests make the head of an answer. The list is read where the guest has it,
//! instead of being copied name by name first.

use crate::component::interface::IMPLEMENTED;
use crate::sandbox::State;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList, WasmStr};
use wasmtime_wasi_http::p2::bindings::http::types::HeaderError;
use wasmtime_wasi_http::{FieldMap, FieldMapError, WasiHttpView as _};

/// What the fields of one message may take, in bytes, each with some for itself: the runtime's own limit, which is twice
/// what a request may have.
pub(super) const MOST_BYTES: usize = 128 * 1024;

/// The most fields that room is made for at once; a list says how many it has before the first is read.
const ORDINARY: usize = 32;

/// Puts this in the place of the runtime's own implementation.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(&format!("wasi:http/types@{IMPLEMENTED}"))?;
    types.func_wrap("[static]fields.from-list", from_list)
}

type Entries = WasmList<(WasmStr, WasmList<u8>)>;
type FromList = Result<Resource<FieldMap>, HeaderError>;

fn from_list(mut store: StoreContextMut<'_, State>, (entries,): (Entries,)) -> wasmtime::Result<(FromList,)> {
    let entries = entries.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut fields = HeaderMap::with_capacity(entries.len().min(ORDINARY));
    let mut size = 0;
    for (name, value) in entries {
        let name = name.to_str(&store)?;
        let value = value.as_le_slice(&store);
        size += name.len() + size_of::<HeaderName>() + value.len() + size_of::<HeaderValue>();
        if size > MOST_BYTES {
            return Err(FieldMapError::TotalSizeTooBig.into());
        }
        // As bytes: what is no name is the guest's to hear, not a fault of it.
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        let Some((name, value)) = name.and_then(|name| value_of(&name, value).map(|value| (name, value)))
        else {
            return Ok((Err(HeaderError::InvalidSyntax),));
        };
        let is_length = name == CONTENT_LENGTH;
        let is_there = fields.try_append(name, value).map_err(FieldMapError::from)?;
        // Who gets two of them may take another one for true than the next.
        if is_length && is_there {
            return Ok((Err(HeaderError::InvalidSyntax),));
        }
    }
    let names = fields.keys_len();
    let state = store.data_mut();
    // This takes out what guests may not set.
    let mut fields = FieldMap::new_immutable(state.http().hooks, fields);
    if fields.keys_len() < names {
        return Ok((Err(HeaderError::Forbidden),));
    }
    fields.set_mutable(MOST_BYTES);
    Ok((Ok(state.table().push(fields)?),))
}

/// The value of a field, if it is one; a length is digits (RFC 9110 §8.6).
fn value_of(name: &HeaderName, value: &[u8]) -> Option<HeaderValue> {
    if name == CONTENT_LENGTH {
        return super::bodies::parse_length(value).map(HeaderValue::from);
    }
    HeaderValue::from_bytes(value).ok()
}
