//! The memory and time that guests may use, as given by flags. [`engine::sizes`](crate::engine::sizes) computes from them
//! what a certain component gets.

use super::ConfigError;
use crate::cli;
use std::time::Duration;

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
    /// How long the guest may take until the response head, and compute between one piece of its body and the next.
    pub time: Duration,
}

impl Limits {
    /// Validates the arguments.
    pub(super) fn new(instances: u32, size: cli::Size, timeout: Option<u32>) -> Result<Self, ConfigError> {
        let cli::Size { max_memory, max_table } = size;
        for (value, flag) in [
            (Some(instances), "--max-instances"),
            (max_memory, "--max-memory"),
            (max_table, "--max-table"),
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
            time: timeout.map_or(UNBOUNDED, |seconds| Duration::from_secs(seconds.into())),
        })
    }
}
