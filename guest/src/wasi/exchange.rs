//! The adapter to a host that passes requests and takes answers as bytes in memory ([`exchange`](crate::exchange)).

use super::v02::{File, Preopen, decide};
use crate::exchange::{Answer, Content, Head};
use crate::request::{Headers, Request};
use crate::response::{Body, Plan};
use std::mem::forget;
use std::sync::OnceLock;

/// The answer that was decided, which the host may have the handler of `wasi:http` send.
static DECIDED: OnceLock<Plan<File>> = OnceLock::new();

/// The answer that was decided before the handler of `wasi:http` was called, if the host has had it decided.
pub(super) fn decided() -> Option<&'static Plan<File>> {
    DECIDED.get()
}

/// An export of the core module that the component does not have, as `wasi-httpd:prepare`: it decides the answer to a request, and
/// gives the address of an [`Answer`], or 0 where calls of `wasi:http` have to send it.
///
/// The instance answers no other request as it is, so that it keeps its memory and its handles.
#[allow(unsafe_code, reason = "the name is that of no other symbol, and the memory is the caller's")]
#[unsafe(export_name = "wasi-httpd:answer")]
extern "C" fn answer(address: *const u8, length: usize) -> u32 {
    // SAFETY: the host has allocated these bytes by `cabi_realloc` and written them, and does not change them any more.
    let head: &'static [u8] = unsafe { std::slice::from_raw_parts(address, length) };
    Head::read(head).and_then(exchange).unwrap_or(0)
}

fn exchange(head: Head<'static>) -> Option<u32> {
    let preopen = Preopen::given(head.directory);
    let request =
        Request { method: head.method, target: head.target.to_owned(), headers: Headers::new(head.fields) };
    let plan = DECIDED.get_or_init(|| decide(&preopen, &request));
    // To give up a handle would take a call.
    forget(preopen);
    let content = match &plan.body {
        Body::Empty => Content::None,
        Body::Bytes(bytes) => {
            let (address, length) = span(bytes);
            Content::Bytes { address, length }
        }
        Body::File { file, offset, length } => {
            Content::File { descriptor: file.handle(), offset: *offset, length: *length }
        }
        Body::Parts { .. } | Body::Archive(_) => return None,
    };
    let fields = plan.headers.iter().map(|(name, value)| {
        let ((name, name_length), (value, value_length)) = (span(name.as_bytes()), span(value.as_bytes()));
        [name, name_length, value, value_length]
    });
    let fields: &[[u32; 4]] = fields.collect::<Vec<_>>().leak();
    let (fields, field_count) = span(fields);
    let answer = Answer { status: plan.status, fields, field_count, content };
    Some(span(Box::leak(Box::new(answer.to_bytes()))).0)
}

/// The address of a slice and its length, which have 32 bits here.
#[allow(clippy::cast_possible_truncation, reason = "the memory has 32 bits")]
fn span<T>(slice: &[T]) -> (u32, u32) {
    (slice.as_ptr().addr() as u32, slice.len() as u32)
}
