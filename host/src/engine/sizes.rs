//! The sizes of the engine's pools: what its components need, within the operator's limits.
//!
//! The pools fit the components that the engine is made for. A small guest gets small instances, which are cheap to
//! reset. A guest with an interpreter, which has tens of megabytes of memory and a table for each of its libraries, gets
//! its initial sizes and some growth. A component that is beyond the limits is refused before it is compiled, with the
//! flag that allows it.

use crate::component::needs::Needs;
use crate::config::limits::Limits;
use thiserror::Error;

/// By how much the memory of an instance may grow, in bytes, if `--max-memory` is not given. Enough for one request.
const MEMORY_GROWTH: u64 = 64 << 20;

/// The largest initial memory of a component, in bytes, if `--max-memory` is not given. Snapshots of interpreters with
/// their libraries loaded have some tens of megabytes. A thousand instances with more could take a machine's whole memory,
/// which the operator should decide.
const INITIAL_MEMORY_MAX: u64 = 64 << 20;

/// The most that `--max-memory` can allow, in bytes: the address space of 32-bit WebAssembly.
const MEMORY_MAX: u64 = 4 << 30;

/// The elements of one table, if `--max-table` is not given. Large programs have some tens of thousands of functions
/// that are called by pointer.
const TABLE_ELEMENTS_MAX: u64 = 100_000;

/// The core instances of a component. Interpreted languages have a few dozen: one for each library and each adapter to
/// the host. This and the next two limits bound the address space that a malformed component can reserve.
const CORE_INSTANCES_MAX: u32 = 500;

/// The memories of a component: one for each component that it was composed of.
const MEMORIES_MAX: u32 = 16;

/// The tables of a component: about one for each core instance that defines functions.
const TABLES_MAX: u32 = 100;

/// The share of the pools that one instance of the component has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Core instances.
    pub core_instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// The initial size of all memories together, in bytes.
    pub start: u64,
    /// The size that all memories together may grow to, in bytes.
    pub memory: usize,
    /// Tables.
    pub tables: u32,
    /// Tables of one module.
    pub tables_in_module: u32,
    /// The size that each table may grow to, in elements.
    pub table: usize,
}

/// A component that is beyond the limits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TooLarge {
    /// It begins with more memory than `--max-memory` allows.
    #[error(
        "it begins with {need} MiB of memory, and --max-memory {allowed} allows less; --max-memory {need} allows it"
    )]
    Memory {
        /// In MiB.
        need: u64,
        /// In MiB.
        allowed: u64,
    },
    /// It begins with more memory than the default allows.
    #[error(
        "it begins with {need} MiB of memory, beyond the limit of {allowed} MiB that holds without --max-memory; \
         --max-memory {need} allows it"
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
        "it begins with a table of {need} elements, beyond the limit of {allowed}; --max-table {need} allows it"
    )]
    Table {
        /// In elements.
        need: u64,
        /// In elements.
        allowed: u64,
    },
    /// It has too many parts, and no flag allows more.
    #[error(
        "it has {need} {what} in one instance, and at most {allowed} are allowed; compose it of fewer parts"
    )]
    Parts {
        /// The kind of part.
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
            ("core instances", needs.core_instances, CORE_INSTANCES_MAX),
            ("memories", needs.memories, MEMORIES_MAX),
            ("tables", needs.tables, TABLES_MAX),
        ] {
            if need > allowed {
                return Err(TooLarge::Parts { what, need, allowed });
            }
        }
        let memory = match limits.memory {
            _ if needs.memory > MEMORY_MAX => {
                let (need, allowed) = (mebibytes(needs.memory), MEMORY_MAX >> 20);
                return Err(TooLarge::MemoryAtAll { need, allowed });
            }
            Some(allowed) if needs.memory > allowed as u64 => {
                return Err(TooLarge::Memory {
                    need: mebibytes(needs.memory),
                    allowed: allowed as u64 >> 20,
                });
            }
            Some(allowed) => allowed as u64,
            None if needs.memory > INITIAL_MEMORY_MAX => {
                let (need, allowed) = (mebibytes(needs.memory), INITIAL_MEMORY_MAX >> 20);
                return Err(TooLarge::MemoryByDefault { need, allowed });
            }
            None => needs.memory + MEMORY_GROWTH,
        };
        let table = limits.table.map_or(TABLE_ELEMENTS_MAX, |elements| elements as u64);
        if needs.table > table {
            return Err(TooLarge::Table { need: needs.table, allowed: table });
        }
        let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            core_instances: needs.all_core_instances(),
            memories: needs.memories,
            start: needs.memory,
            memory: size(memory),
            tables: needs.tables,
            tables_in_module: needs.tables_in_module,
            table: size(table),
        })
    }
}

impl Sizes {
    /// What is enough for both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            core_instances: self.core_instances.max(other.core_instances),
            memories: self.memories.max(other.memories),
            start: self.start.max(other.start),
            memory: self.memory.max(other.memory),
            tables: self.tables.max(other.tables),
            tables_in_module: self.tables_in_module.max(other.tables_in_module),
            table: self.table.max(other.table),
        }
    }
}

/// Bytes in MiB, rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::{INITIAL_MEMORY_MAX, MEMORY_GROWTH, Sizes, TooLarge};
    use crate::component::needs::Needs;
    use crate::config::limits::Limits;
    use std::time::Duration;

    fn sizes(memory: Option<usize>, table: Option<usize>, needs: Needs) -> Result<Sizes, TooLarge> {
        let time = Duration::MAX;
        Sizes::new(&Limits { instances: 1, memory, table, handles: 10, output: 10, time }, &needs)
    }

    #[test]
    fn a_component_gets_what_it_begins_with_and_room_to_work() {
        let needs = Needs { memory: 40 << 20, ..Needs::default() };
        assert_eq!(
            sizes(None, None, needs).unwrap().memory,
            (40 << 20) + usize::try_from(MEMORY_GROWTH).unwrap()
        );
        assert_eq!(sizes(Some(48 << 20), None, needs).unwrap().memory, 48 << 20);
    }

    #[test]
    fn more_is_refused_with_the_flag_and_the_need() {
        let memory = |bytes| Needs { memory: bytes, ..Needs::default() };
        let message = |result: Result<Sizes, TooLarge>| result.unwrap_err().to_string();
        let by_default = message(sizes(None, None, memory(INITIAL_MEMORY_MAX + 1)));
        assert!(by_default.contains("65 MiB") && by_default.contains("--max-memory 65"), "{by_default}");
        assert!(sizes(Some(65 << 20), None, memory(INITIAL_MEMORY_MAX + 1)).is_ok());
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
