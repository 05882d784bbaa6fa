//! `wasi:filesystem`.

use super::core::{Call, CallExt as _};
use super::memory::{R, borrow, own, text};
use super::values::Bytes;
use super::{Functions, Interface};
use crate::link::calls::{directories, files as calls, streams};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, Host as _, HostDescriptor as _, OpenFlags, PathFlags,
};

pub(super) fn add(functions: &mut Functions) -> R<()> {
    functions.interface("wasi:filesystem/preopens").allocating(
        "get-directories",
        |mut call: Call<'_>, to: u32| {
            let directories = directories::get_directories(call.state()?)?;
            call.allocate(to, directories)
        },
    )?;
    let mut interface = functions.interface("wasi:filesystem/types");
    add_reading(&mut interface)?;
    add_examining(&mut interface)?;
    add_refusals(&mut interface)?;
    interface.plain("filesystem-error-code", |mut call: Call<'_>, error: u32, to: u32| {
        let code = call.state()?.files().filesystem_error_code(borrow(error)?)?;
        call.store(to, code)
    })?;
    Ok(())
}

fn path_flags(bits: u32) -> PathFlags {
    if bits & 1 == 0 { PathFlags::empty() } else { PathFlags::SYMLINK_FOLLOW }
}

fn open_flags(bits: u32) -> OpenFlags {
    let all = [OpenFlags::CREATE, OpenFlags::DIRECTORY, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE];
    let mut flags = OpenFlags::empty();
    for (at, flag) in all.into_iter().enumerate() {
        if bits & 1 << at != 0 {
            flags |= flag;
        }
    }
    flags
}

fn descriptor_flags(bits: u32) -> DescriptorFlags {
    let all = [
        DescriptorFlags::READ,
        DescriptorFlags::WRITE,
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
        DescriptorFlags::MUTATE_DIRECTORY,
    ];
    let mut flags = DescriptorFlags::empty();
    for (at, flag) in all.into_iter().enumerate() {
        if bits & 1 << at != 0 {
            flags |= flag;
        }
    }
    flags
}

fn add_reading(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[resource-drop]descriptor", |mut call: Call<'_>, descriptor: u32| -> R<()> {
            calls::drop_descriptor(call.state()?, own(descriptor)?)
        })?
        .plain("[resource-drop]directory-entry-stream", |mut call: Call<'_>, entries: u32| -> R<()> {
            directories::drop_entries(call.state()?, own(entries)?)
        })?
        .plain(
            "[method]descriptor.open-at",
            |mut call: Call<'_>,
             descriptor: u32,
             path: u32,
             address: u32,
             length: u32,
             open: u32,
             flags: u32,
             to: u32| {
                let (memory, state) = call.enter()?;
                let how = calls::Opening {
                    path: path_flags(path),
                    open: open_flags(open),
                    flags: descriptor_flags(flags),
                };
                let path = text(memory, address, length)?;
                let opened = calls::open_at(state, &borrow(descriptor)?, path, how)?;
                call.store(to, opened)
            },
        )?
        .plain(
            "[method]descriptor.read-via-stream",
            |mut call: Call<'_>, descriptor: u32, offset: u64, to: u32| {
                let stream = streams::read_via_stream(call.state()?, &borrow(descriptor)?, offset)?;
                call.store(to, stream)
            },
        )?
        .allocating(
            "[method]descriptor.read",
            |mut call: Call<'_>, descriptor: u32, length: u64, offset: u64, to: u32| {
                let read = calls::read(call.state()?, &borrow(descriptor)?, length, offset)?;
                call.allocate(to, read.map(|(bytes, is_end)| (Bytes(bytes), is_end)))
            },
        )?
        .plain("[method]descriptor.read-directory", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let entries = directories::read_directory(call.state()?, &borrow(descriptor)?)?;
            call.store(to, entries)
        })?
        .allocating(
            "[method]directory-entry-stream.read-directory-entry",
            |mut call: Call<'_>, entries: u32, to: u32| {
                let entry = directories::read_directory_entry(call.state()?, &borrow(entries)?)?;
                call.allocate(to, entry)
            },
        )?;
    Ok(())
}

fn add_examining(interface: &mut Interface<'_>) -> R<()> {
    interface
        .plain("[method]descriptor.stat", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let stat = calls::stat(call.state()?, &borrow(descriptor)?)?;
            call.store(to, stat)
        })?
        .plain(
            "[method]descriptor.stat-at",
            |mut call: Call<'_>, descriptor: u32, flags: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let path = text(memory, address, length)?;
                let stat = calls::stat_at(state, &borrow(descriptor)?, path_flags(flags), path)?;
                call.store(to, stat)
            },
        )?
        .plain("[method]descriptor.get-type", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let state = call.state()?;
            let kind = calls::at_once(state.files().get_type(borrow(descriptor)?))?;
            let kind = calls::to_guest(state, kind)?;
            call.store(to, kind)
        })?
        .plain("[method]descriptor.get-flags", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let state = call.state()?;
            let flags = calls::at_once(state.files().get_flags(borrow(descriptor)?))?;
            let flags = calls::to_guest(state, flags)?;
            call.store(to, flags)
        })?
        .plain("[method]descriptor.is-same-object", |mut call: Call<'_>, one: u32, other: u32| -> R<u32> {
            let mut files = call.state()?.files();
            let is_same = calls::at_once(files.is_same_object(borrow(one)?, borrow(other)?))?;
            Ok(u32::from(is_same?))
        })?
        .plain("[method]descriptor.metadata-hash", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let state = call.state()?;
            let hash = calls::at_once(state.files().metadata_hash(borrow(descriptor)?))?;
            let hash = calls::to_guest(state, hash)?;
            call.store(to, hash)
        })?
        .plain(
            "[method]descriptor.metadata-hash-at",
            |mut call: Call<'_>, descriptor: u32, flags: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let path = text(memory, address, length)?.to_owned();
                let mut files = state.files();
                let hash = files.metadata_hash_at(borrow(descriptor)?, path_flags(flags), path);
                let hash = calls::at_once(hash)?;
                let hash = calls::to_guest(state, hash)?;
                call.store(to, hash)
            },
        )?
        .allocating(
            "[method]descriptor.readlink-at",
            |mut call: Call<'_>, descriptor: u32, address: u32, length: u32, to: u32| {
                let (memory, state) = call.enter()?;
                let path = text(memory, address, length)?.to_owned();
                let target = calls::at_once(state.files().readlink_at(borrow(descriptor)?, path))?;
                let target = calls::to_guest(state, target)?;
                call.allocate(to, target)
            },
        )?;
    Ok(())
}

/// Refuses to write to a path below a descriptor.
fn refuse_path(mut call: Call<'_>, descriptor: u32, (address, length): (u32, u32), to: u32) -> R<()> {
    let (memory, state) = call.enter()?;
    let refused = calls::refuse::<()>(state, &borrow(descriptor)?, text(memory, address, length)?)?;
    call.store(to, refused)
}

fn add_refusals(interface: &mut Interface<'_>) -> R<()> {
    for name in ["create-directory-at", "remove-directory-at", "unlink-file-at"] {
        interface.plain(
            &format!("[method]descriptor.{name}"),
            |call: Call<'_>, descriptor: u32, address: u32, length: u32, to: u32| {
                refuse_path(call, descriptor, (address, length), to)
            },
        )?;
    }
    interface
        .plain(
            "[method]descriptor.write-via-stream",
            |mut call: Call<'_>, descriptor: u32, _offset: u64, to: u32| {
                let refused = calls::refuse::<u32>(call.state()?, &borrow(descriptor)?, "")?;
                call.store(to, refused)
            },
        )?
        .plain("[method]descriptor.append-via-stream", |mut call: Call<'_>, descriptor: u32, to: u32| {
            let refused = calls::refuse::<u32>(call.state()?, &borrow(descriptor)?, "")?;
            call.store(to, refused)
        })?
        .plain(
            "[method]descriptor.set-size",
            |mut call: Call<'_>, descriptor: u32, _size: u64, to: u32| {
                let refused = calls::refuse::<()>(call.state()?, &borrow(descriptor)?, "")?;
                call.store(to, refused)
            },
        )?;
    Ok(())
}
