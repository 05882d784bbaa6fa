//! How large the pools of an engine are: what its one component needs, within what the operator allows.
//!
//! An engine runs a single component, so that nothing has to be reserved for others. A small guest gets a pool of small
//! instances, whose reset costs little; a guest that brings an interpreter, with tens of megabytes of memory and a table
//! for each of its libraries, gets what it begins with and room to work. What no sensible component needs is refused
//! here, before it is compiled, with the flag that allows it.

use crate::component::needs::Needs;
use crate::config::limits::Limits;
use thiserror::Error;

/// What the memory of an instance may grow by, in bytes, unless a flag says otherwise: enough for a request.
const ROOM: u64 = 64 << 20;

/// The largest memory that a component begins with, in bytes, that is given without a flag. Interpreters that were
/// snapshotted with their libraries loaded begin with some tens of megabytes; a thousand instances of more would be a
/// machine's whole memory, which somebody should have decided.
const LARGEST_START: u64 = 64 << 20;

/// What `--max-memory` can allow, in bytes: what WebAssembly can address.
const MOST_MEMORY: u64 = 4 << 30;

/// Elements of one table, unless a flag says otherwise: large programs call some tens of thousands of functions by
/// pointer.
const TABLE: u64 = 100_000;

/// Core instances of a component. Interpreted languages bring a few dozen, one for each library and each bridge to the
/// host. Like the next two, this only keeps nonsense out: each costs address space and a little memory.
const MOST_CORE_INSTANCES: u32 = 500;

/// Memories of a component: as many as it was composed of.
const MOST_MEMORIES: u32 = 16;

/// Tables of a component: about one for each core instance that has functions of its own.
const MOST_TABLES: u32 = 100;

/// How large the pools are, for each instance of the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Core instances.
    pub core_instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// What all memories together begin with, in bytes.
    pub start: u64,
    /// What all memories together may grow to, in bytes.
    pub memory: usize,
    /// Tables.
    pub tables: u32,
    /// Tables of one module.
    pub tables_in_module: u32,
    /// What each table may grow to, in elements.
    pub table: usize,
}

/// A component that needs more than it may have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TooLarge {
    /// It begins with more memory than `--max-memory` allows.
    #[error(
        "it begins with {need} MiB of memory, and --max-memory {allowed} allows less; --max-memory {need} or more would do"
    )]
    Memory {
        /// In MiB.
        need: u64,
        /// In MiB.
        allowed: u64,
    },
    /// It begins with more memory than is given without a flag.
    #[error(
        "it begins with {need} MiB of memory, beyond the limit of {allowed} MiB that holds where --max-memory is not given; \
         --max-memory {need} or more would do"
    )]
    MemoryByDefault {
        /// In MiB.
        need: u64,
        /// In MiB.
        allowed: u64,
    },
    /// It begins with more memory than any flag allows.
    #[error("it begins with {need} MiB of memory, and no instance can have more than {allowed} MiB")]
    MemoryAtAll {
        /// In MiB.
        need: u64,
        /// In MiB.
        allowed: u64,
    },
    /// It begins with a larger table than `--max-table` or the default allows.
    #[error(
        "it begins with a table of {need} elements, beyond the limit of {allowed}; --max-table {need} or more would do"
    )]
    Table {
        /// In elements.
        need: u64,
        /// In elements.
        allowed: u64,
    },
    /// It is made of more parts than make sense, which no flag changes.
    #[error(
        "it has {need} {what} in one instance, and at most {allowed} are allowed; it could be composed of fewer parts"
    )]
    Parts {
        /// Of what.
        what: &'static str,
        /// How many it has.
        need: u32,
        /// How many it may have.
        allowed: u32,
    },
}

impl Sizes {
    /// The sizes for a component.
    pub fn new(limits: &Limits, needs: &Needs) -> Result<Self, TooLarge> {
        for (what, need, allowed) in [
            ("core instances", needs.core_instances, MOST_CORE_INSTANCES),
            ("memories", needs.memories, MOST_MEMORIES),
            ("tables", needs.tables, MOST_TABLES),
        ] {
            if need > allowed {
                return Err(TooLarge::Parts { what, need, allowed });
            }
        }
        let memory = match limits.memory {
            _ if needs.memory > MOST_MEMORY => {
                let (need, allowed) = (mebibytes(needs.memory), MOST_MEMORY >> 20);
                return Err(TooLarge::MemoryAtAll { need, allowed });
            }
            Some(allowed) if needs.memory > allowed as u64 => {
                return Err(TooLarge::Memory {
                    need: mebibytes(needs.memory),
                    allowed: allowed as u64 >> 20,
                });
            }
            Some(allowed) => allowed as u64,
            None if needs.memory > LARGEST_START => {
                let (need, allowed) = (mebibytes(needs.memory), LARGEST_START >> 20);
                return Err(TooLarge::MemoryByDefault { need, allowed });
            }
            None => needs.memory + ROOM,
        };
        let table = limits.table.map_or(TABLE, |elements| elements as u64);
        if needs.table > table {
            return Err(TooLarge::Table { need: needs.table, allowed: table });
        }
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            core_instances: needs.core_instances,
            memories: needs.memories,
            start: needs.memory,
            memory: size(memory),
            tables: needs.tables,
            tables_in_module: needs.tables_in_module,
            table: size(table),
        })
    }
}

/// Bytes in MiB, rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::{LARGEST_START, ROOM, Sizes, TooLarge};
    use crate::component::needs::Needs;
    use crate::config::limits::Limits;
    use std::time::Duration;

    fn sizes(memory: Option<usize>, table: Option<usize>, needs: Needs) -> Result<Sizes, TooLarge> {
        Sizes::new(&Limits { instances: 1, memory, table, time: Duration::MAX }, &needs)
    }

    #[test]
    fn a_component_gets_what_it_begins_with_and_room_to_work() {
        let needs = Needs { memory: 40 << 20, ..Needs::default() };
        assert_eq!(sizes(None, None, needs).unwrap().memory, (40 << 20) + usize::try_from(ROOM).unwrap());
        assert_eq!(sizes(Some(48 << 20), None, needs).unwrap().memory, 48 << 20);
    }

    #[test]
    fn more_is_refused_with_the_flag_and_the_need() {
        let memory = |bytes| Needs { memory: bytes, ..Needs::default() };
        let message = |result: Result<Sizes, TooLarge>| result.unwrap_err().to_string();
        let by_default = message(sizes(None, None, memory(LARGEST_START + 1)));
        assert!(by_default.contains("65 MiB") && by_default.contains("--max-memory 65"), "{by_default}");
        assert!(sizes(Some(65 << 20), None, memory(LARGEST_START + 1)).is_ok());
        let by_flag = message(sizes(Some(1 << 20), None, memory(2 << 20)));
        assert!(by_flag.contains("--max-memory 1 allows less; --max-memory 2"), "{by_flag}");
        let table = message(sizes(None, None, Needs { table: 100_001, ..Needs::default() }));
        assert!(table.contains("100001 elements") && table.contains("--max-table 100001"), "{table}");
        assert!(sizes(None, Some(100_001), Needs { table: 100_001, ..Needs::default() }).is_ok());
        let at_all = message(sizes(Some(4 << 30), None, memory((4 << 30) + 1)));
        assert!(at_all.contains("4097 MiB") && at_all.contains("more than 4096 MiB"), "{at_all}");
        assert!(matches!(sizes(None, None, memory(u64::MAX)), Err(TooLarge::MemoryAtAll { .. })));
    }

    #[test]
    fn nonsense_is_refused_whatever_the_flags() {
        for needs in [
            Needs { core_instances: 501, ..Needs::default() },
            Needs { memories: 17, ..Needs::default() },
            Needs { tables: u32::MAX, ..Needs::default() },
        ] {
            assert!(matches!(sizes(Some(1 << 30), None, needs), Err(TooLarge::Parts { .. })));
        }
    }
}
