//! The memory and time that guests may use, what clients may send, and how many connections they may have, as given by
//! flags. [`engine::sizes`](crate::engine::sizes) computes from them what a certain component gets.

use super::{ConfigError, above_zero, defaults, seconds};
use crate::cli;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// At a time; `None` for the default, or fewer where the process may have fewer files.
    pub most: Option<u32>,
    /// At a time of one address.
    pub per_address: u32,
}

impl Connections {
    /// Validates the arguments.
    pub(super) fn new(typed: cli::Connections) -> Result<Self, ConfigError> {
        let cli::Connections { max_connections: most, max_connections_per_address: per_address } = typed;
        let most = most.map(|most| above_zero("--max-connections", Some(most), most)).transpose()?;
        let default = defaults::MAX_CONNECTIONS_PER_ADDRESS;
        let per_address = above_zero("--max-connections-per-address", per_address, default)?;
        Ok(Self { most, per_address })
    }
}

/// The largest 32-bit linear memory, in MiB.
const MAX_MEMORY: u32 = 4096;

/// How long a command may compute without `--timeout`: a command that computes for hours may be meant to.
const UNBOUNDED: Duration = Duration::MAX;

/// The limits of guests. Other limits are constants beside what they limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many instances may be alive at the same time.
    pub instances: u32,
    /// The linear memories of an instance together, in bytes; `None` for a default that depends on the component.
    pub memory: Option<usize>,
    /// Elements of each table; `None` for the default.
    pub table: Option<usize>,
    /// Handles that an instance may have, for each request that it answers at a time.
    pub handles: u32,
    /// What a guest may print for one request, to each stream, in bytes.
    pub output: usize,
    /// How long the guest may take until the response head, and compute between one piece of its body and the next.
    pub time: Duration,
}

impl Limits {
    /// Validates the arguments.
    pub(super) fn new(instances: u32, size: cli::Size, timeout: Option<u32>) -> Result<Self, ConfigError> {
        let cli::Size { max_memory, max_table, max_handles, max_output } = size;
        for (value, flag) in [
            (Some(instances), "--max-instances"),
            (max_memory, "--max-memory"),
            (max_table, "--max-table"),
            (max_handles, "--max-handles"),
            (max_output, "--max-output"),
            (timeout, "--timeout"),
        ] {
            if value == Some(0) {
                return Err(ConfigError::Zero(flag));
            }
        }
        if let Some(memory) = max_memory.filter(|&memory| memory > MAX_MEMORY) {
            return Err(ConfigError::Memory(memory));
        }
        Ok(Self {
            instances,
            memory: max_memory.map(|mebibytes| mebibytes as usize * 1024 * 1024),
            table: max_table.map(|elements| elements as usize),
            handles: max_handles.unwrap_or(defaults::MAX_HANDLES),
            output: max_output.unwrap_or(defaults::MAX_OUTPUT) as usize * 1024,
            time: timeout.map_or(UNBOUNDED, |seconds| Duration::from_secs(seconds.into())),
        })
    }
}

/// The head of a request. Further limits of clients are constants beside what they limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// In bytes.
    pub size: usize,
    /// Its fields.
    pub fields: usize,
}

/// How large the body of a request may be, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// In bytes.
    pub size: u64,
    /// How long a guest waits for it in all, apart from what its bytes earn.
    pub time: Duration,
    /// Bytes that earn another second.
    pub rate: u64,
}

/// The smallest and the largest limit of a head, in KiB: what the HTTP library allows, and what a thousand clients can fill
/// without harm.
const HEAD_RANGE: RangeInclusive<u32> = 8..=1024;

/// The largest limit of fields. More would not be found in reasonable time.
const FIELDS_RANGE: RangeInclusive<u32> = 1..=1000;

impl HeadLimits {
    /// Validates the arguments.
    pub(super) fn new(typed: cli::RequestSize) -> Result<Self, ConfigError> {
        let cli::RequestSize { max_head, max_fields } = typed;
        let within = |flag, typed: Option<u32>, default, range: RangeInclusive<u32>| {
            let value = typed.unwrap_or(default);
            if range.contains(&value) { Ok(value) } else { Err(ConfigError::Range { flag, range, value }) }
        };
        let size = within("--max-head", max_head, defaults::MAX_HEAD, HEAD_RANGE)?;
        let fields = within("--max-fields", max_fields, defaults::MAX_FIELDS, FIELDS_RANGE)?;
        Ok(Self { size: size as usize * 1024, fields: fields as usize })
    }
}

impl BodyLimits {
    /// Validates the arguments.
    pub(super) fn new(typed: cli::BodySize) -> Result<Self, ConfigError> {
        let cli::BodySize { max_body, min_body_rate, body_timeout } = typed;
        let time = seconds("--body-timeout", body_timeout, defaults::BODY_TIMEOUT)?;
        let rate = above_zero("--min-body-rate", min_body_rate, defaults::MIN_BODY_RATE)?;
        Ok(Self { size: u64::from(max_body.unwrap_or(defaults::MAX_BODY)) << 20, time, rate: rate.into() })
    }
}
