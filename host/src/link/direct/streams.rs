//! `wasi:io`: errors, streams and pollables.

use super::core::{Call, CallExt as _};
use super::memory::{R, borrow, handle, list, own, owned_bytes, word};
use super::values::Bytes;
use super::{Functions, Interface};
use crate::instance::State;
use crate::link::calls::streams as calls;
use wasmtime_wasi_io::bindings::wasi::io::error::HostError;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream, HostOutputStream, StreamError};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamResult};

type Outcome<T> = Result<T, StreamError>;

pub(super) fn add(functions: &mut Functions) -> R<()> {
    functions
        .interface("wasi:io/error")
        .plain("[resource-drop]error", |mut call: Call<'_>, error: u32| -> R<()> {
            HostError::drop(call.state()?.table(), own(error)?)
        })?
        .allocating("[method]error.to-debug-string", |mut call: Call<'_>, error: u32, to: u32| {
            let text = call.state()?.table().to_debug_string(borrow(error)?)?;
            call.allocate(to, text)
        })?;
    functions
        .interface("wasi:io/poll")
        .plain("[resource-drop]pollable", |mut call: Call<'_>, pollable: u32| -> R<()> {
            HostPollable::drop(call.state()?.table(), own(pollable)?)
        })?
        .waiting("[method]pollable.ready", |mut call: Call<'_>, (pollable,): (u32,)| {
            Box::new(async move {
                Ok::<_, wasmtime::Error>(u32::from(call.state()?.table().ready(borrow(pollable)?).await?))
            })
        })?
        .waiting("[method]pollable.block", |mut call: Call<'_>, (pollable,): (u32,)| {
            Box::new(async move { call.state()?.table().block(borrow(pollable)?).await })
        })?
        .waiting_allocating("poll", |mut call: Call<'_>, (address, count, to): (u32, u32, u32)| {
            Box::new(async move {
                let (memory, state) = call.enter()?;
                let pollables = list::<4>(memory, address, count, 4)?;
                let pollables = pollables.iter().map(|pollable| borrow(word(pollable, 0)));
                let pollables = pollables.collect::<R<Vec<_>>>()?;
                let ready = state.table().poll(pollables).await?;
                call.allocate(to, ready)
            })
        })?;
    let mut interface = functions.interface("wasi:io/streams");
    add_input(&mut interface)?;
    add_output(&mut interface)?;
    add_splices(&mut interface)
}

/// A pollable for a resource. The runtime takes the type of the resource for granted, because a component's handles have
/// one, and panics where it is another one.
pub(super) fn subscribe<T: Pollable>(state: &mut State, resource: u32) -> R<u32> {
    let resource = borrow::<T>(resource)?;
    state.table().get(&resource)?;
    handle(&wasmtime_wasi_io::poll::subscribe(state.table(), resource)?)
}

/// The outcome of a call, in the guest's terms.
fn outcome<T>(state: &mut State, outcome: StreamResult<T>) -> R<Outcome<T>> {
    calls::to_guest(state, outcome)
}

fn add_input(interface: &mut Interface<'_>) -> R<()> {
    interface
        .waiting("[resource-drop]input-stream", |mut call: Call<'_>, (stream,): (u32,)| {
            Box::new(async move { HostInputStream::drop(call.state()?.table(), own(stream)?).await })
        })?
        .allocating("[method]input-stream.read", |mut call: Call<'_>, stream: u32, length: u64, to: u32| {
            let state = call.state()?;
            let read = state.table().read(borrow(stream)?, length);
            let read = outcome(state, read)?.map(Bytes);
            call.allocate(to, read)
        })?
        .waiting_allocating(
            "[method]input-stream.blocking-read",
            |mut call: Call<'_>, (stream, length, to): (u32, u64, u32)| {
                Box::new(async move {
                    let state = call.state()?;
                    let read = state.table().blocking_read(borrow(stream)?, length).await;
                    let read = outcome(state, read)?.map(Bytes);
                    call.allocate(to, read)
                })
            },
        )?
        .plain("[method]input-stream.skip", |mut call: Call<'_>, stream: u32, length: u64, to: u32| {
            let state = call.state()?;
            let skipped = state.table().skip(borrow(stream)?, length);
            let skipped = outcome(state, skipped)?;
            call.store(to, skipped)
        })?
        .waiting(
            "[method]input-stream.blocking-skip",
            |mut call: Call<'_>, (stream, length, to): (u32, u64, u32)| {
                Box::new(async move {
                    let state = call.state()?;
                    let skipped = state.table().blocking_skip(borrow(stream)?, length).await;
                    let skipped = outcome(state, skipped)?;
                    call.store(to, skipped)
                })
            },
        )?
        .plain("[method]input-stream.subscribe", |mut call: Call<'_>, stream: u32| -> R<u32> {
            subscribe::<DynInputStream>(call.state()?, stream)
        })?;
    Ok(())
}

fn add_output(interface: &mut Interface<'_>) -> R<()> {
    interface
        .waiting("[resource-drop]output-stream", |mut call: Call<'_>, (stream,): (u32,)| {
            Box::new(async move { HostOutputStream::drop(call.state()?.table(), own(stream)?).await })
        })?
        .plain("[method]output-stream.check-write", |mut call: Call<'_>, stream: u32, to: u32| {
            let state = call.state()?;
            let room = state.table().check_write(borrow(stream)?);
            let room = outcome(state, room)?;
            call.store(to, room)
        })?
        .plain(
            "[method]output-stream.write",
            |mut call: Call<'_>, stream: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let content = owned_bytes(memory, address, length)?;
                let written = state.table().write(borrow(stream)?, content);
                let written = outcome(state, written)?;
                call.store(to, written)
            },
        )?
        .waiting(
            "[method]output-stream.blocking-write-and-flush",
            |mut call: Call<'_>, (stream, address, length, to): (u32, u32, u32, u32)| {
                Box::new(async move {
                    let (memory, state) = call.enter()?;
                    let content = owned_bytes(memory, address, length)?;
                    let written = state.table().blocking_write_and_flush(borrow(stream)?, content).await;
                    let written = outcome(state, written)?;
                    call.store(to, written)
                })
            },
        )?
        .plain("[method]output-stream.flush", |mut call: Call<'_>, stream: u32, to: u32| {
            let state = call.state()?;
            let flushed = state.table().flush(borrow(stream)?);
            let flushed = outcome(state, flushed)?;
            call.store(to, flushed)
        })?
        .waiting("[method]output-stream.blocking-flush", |mut call: Call<'_>, (stream, to): (u32, u32)| {
            Box::new(async move {
                let state = call.state()?;
                let flushed = state.table().blocking_flush(borrow(stream)?).await;
                let flushed = outcome(state, flushed)?;
                call.store(to, flushed)
            })
        })?
        .plain("[method]output-stream.subscribe", |mut call: Call<'_>, stream: u32| -> R<u32> {
            subscribe::<DynOutputStream>(call.state()?, stream)
        })?
        .plain(
            "[method]output-stream.write-zeroes",
            |mut call: Call<'_>, stream: u32, length: u64, to: u32| {
                let state = call.state()?;
                let written = state.table().write_zeroes(borrow(stream)?, length);
                let written = outcome(state, written)?;
                call.store(to, written)
            },
        )?
        .waiting(
            "[method]output-stream.blocking-write-zeroes-and-flush",
            |mut call: Call<'_>, (stream, length, to): (u32, u64, u32)| {
                Box::new(async move {
                    let state = call.state()?;
                    let written =
                        state.table().blocking_write_zeroes_and_flush(borrow(stream)?, length).await;
                    let written = outcome(state, written)?;
                    call.store(to, written)
                })
            },
        )?;
    Ok(())
}

fn add_splices(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain(
            "[method]output-stream.splice",
            |mut call: Call<'_>, stream: u32, from: u32, length: u64, to: u32| {
                let spliced = calls::splice(call.state()?, borrow(stream)?, borrow(from)?, length)?;
                call.store(to, spliced)
            },
        )?
        .waiting(
            "[method]output-stream.blocking-splice",
            |mut call: Call<'_>, (stream, from, length, to): (u32, u32, u64, u32)| {
                Box::new(async move {
                    let state = call.state()?;
                    let spliced =
                        calls::blocking_splice(state, borrow(stream)?, borrow(from)?, length).await?;
                    call.store(to, spliced)
                })
            },
        )?;
    Ok(())
}
