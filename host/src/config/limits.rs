//! How much of the machine guests may use, as it was asked for. What that comes to for a certain component is the
//! [`engine`](crate::engine)'s to say.

use super::ConfigError;
use crate::cli;
use std::time::Duration;

/// What a 32-bit linear memory can be, in MiB.
const MAX_MEMORY: u32 = 4096;

/// How long a command may compute where no flag says otherwise: one that computes for a long time is no accident.
const UNBOUNDED: Duration = Duration::MAX;

/// What guests may use. Everything that a stranger can make grow is here, or is a constant beside what it limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many instances may live at a time.
    pub instances: u32,
    /// The linear memories of an instance together, in bytes; `None` for as much as the component suggests.
    pub memory: Option<usize>,
    /// Elements of each table; `None` for what even large programs need.
    pub table: Option<usize>,
    /// How long the guest may take until the response head, and compute between one piece of its body and the next.
    pub time: Duration,
}

impl Limits {
    /// Validates what was typed.
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
