//! Values of `wasi:filesystem` 0.2 as those of 0.3, and back.

use wasmtime_wasi::p2::bindings::filesystem::types as v02;
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::types as v03;

/// An error.
pub(super) fn code(code: v02::ErrorCode) -> v03::ErrorCode {
    use v02::ErrorCode as From;
    use v03::ErrorCode as To;
    match code {
        From::Access => To::Access,
        // WASI 0.3 has no call that would block.
        From::WouldBlock => To::Other(Some("the call would block".to_owned())),
        From::Already => To::Already,
        From::BadDescriptor => To::BadDescriptor,
        From::Busy => To::Busy,
        From::Deadlock => To::Deadlock,
        From::Quota => To::Quota,
        From::Exist => To::Exist,
        From::FileTooLarge => To::FileTooLarge,
        From::IllegalByteSequence => To::IllegalByteSequence,
        From::InProgress => To::InProgress,
        From::Interrupted => To::Interrupted,
        From::Invalid => To::Invalid,
        From::Io => To::Io,
        From::IsDirectory => To::IsDirectory,
        From::Loop => To::Loop,
        From::TooManyLinks => To::TooManyLinks,
        From::MessageSize => To::MessageSize,
        From::NameTooLong => To::NameTooLong,
        From::NoDevice => To::NoDevice,
        From::NoEntry => To::NoEntry,
        From::NoLock => To::NoLock,
        From::InsufficientMemory => To::InsufficientMemory,
        From::InsufficientSpace => To::InsufficientSpace,
        From::NotDirectory => To::NotDirectory,
        From::NotEmpty => To::NotEmpty,
        From::NotRecoverable => To::NotRecoverable,
        From::Unsupported => To::Unsupported,
        From::NoTty => To::NoTty,
        From::NoSuchDevice => To::NoSuchDevice,
        From::Overflow => To::Overflow,
        From::NotPermitted => To::NotPermitted,
        From::Pipe => To::Pipe,
        From::ReadOnly => To::ReadOnly,
        From::InvalidSeek => To::InvalidSeek,
        From::TextFileBusy => To::TextFileBusy,
        From::CrossDevice => To::CrossDevice,
    }
}

/// The type of a file.
pub(super) fn descriptor_type(type_: v02::DescriptorType) -> v03::DescriptorType {
    use v02::DescriptorType as From;
    use v03::DescriptorType as To;
    match type_ {
        From::BlockDevice => To::BlockDevice,
        From::CharacterDevice => To::CharacterDevice,
        From::Directory => To::Directory,
        From::Fifo => To::Fifo,
        From::SymbolicLink => To::SymbolicLink,
        From::RegularFile => To::RegularFile,
        From::Socket => To::Socket,
        From::Unknown => To::Other(None),
    }
}

/// A time that a file is to have.
pub(super) fn timestamp(time: v03::NewTimestamp) -> v02::NewTimestamp {
    match time {
        v03::NewTimestamp::NoChange => v02::NewTimestamp::NoChange,
        v03::NewTimestamp::Now => v02::NewTimestamp::Now,
        v03::NewTimestamp::Timestamp(time) => v02::NewTimestamp::Timestamp(v02::Datetime {
            // The type of WASI 0.2 has no time before 1970.
            seconds: time.seconds.try_into().unwrap_or_default(),
            nanoseconds: time.nanoseconds,
        }),
    }
}

/// The metadata of a file.
pub(super) fn stat(stat: v02::DescriptorStat) -> v03::DescriptorStat {
    let instant = |time: v02::Datetime| Instant {
        // Later times than this type has do not exist in file systems.
        seconds: time.seconds.try_into().unwrap_or(i64::MAX),
        nanoseconds: time.nanoseconds,
    };
    v03::DescriptorStat {
        type_: descriptor_type(stat.type_),
        link_count: stat.link_count,
        size: stat.size,
        data_access_timestamp: stat.data_access_timestamp.map(instant),
        data_modification_timestamp: stat.data_modification_timestamp.map(instant),
        status_change_timestamp: stat.status_change_timestamp.map(instant),
    }
}

/// Whether a symbolic link at the end of a path is followed.
pub(super) fn path_flags(flags: v03::PathFlags) -> v02::PathFlags {
    if flags.contains(v03::PathFlags::SYMLINK_FOLLOW) {
        v02::PathFlags::SYMLINK_FOLLOW
    } else {
        v02::PathFlags::empty()
    }
}

/// What a path must lead to.
pub(super) fn open_flags(flags: v03::OpenFlags) -> v02::OpenFlags {
    let pairs = [
        (v03::OpenFlags::CREATE, v02::OpenFlags::CREATE),
        (v03::OpenFlags::DIRECTORY, v02::OpenFlags::DIRECTORY),
        (v03::OpenFlags::EXCLUSIVE, v02::OpenFlags::EXCLUSIVE),
        (v03::OpenFlags::TRUNCATE, v02::OpenFlags::TRUNCATE),
    ];
    pairs
        .into_iter()
        .filter(|&(from, _)| flags.contains(from))
        .fold(v02::OpenFlags::empty(), |all, (_, to)| all | to)
}

/// What a descriptor is for.
pub(super) fn descriptor_flags(flags: v03::DescriptorFlags) -> v02::DescriptorFlags {
    use v02::DescriptorFlags as To;
    use v03::DescriptorFlags as From;
    let pairs = [
        (From::READ, To::READ),
        (From::WRITE, To::WRITE),
        (From::FILE_INTEGRITY_SYNC, To::FILE_INTEGRITY_SYNC),
        (From::DATA_INTEGRITY_SYNC, To::DATA_INTEGRITY_SYNC),
        (From::REQUESTED_WRITE_SYNC, To::REQUESTED_WRITE_SYNC),
        (From::MUTATE_DIRECTORY, To::MUTATE_DIRECTORY),
    ];
    pairs.into_iter().filter(|&(from, _)| flags.contains(from)).fold(To::empty(), |all, (_, to)| all | to)
}
