//! What one instance of a component needs before its first instruction. The engine's pools are sized by this.

/// The default size of a WebAssembly page, as a power of two.
const PAGE_SIZE_LOG2: u32 = 16;

/// What one instance of a core module needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleNeeds {
    memories: u32,
    memory: u64,
    tables: u32,
    table: u64,
}

impl ModuleNeeds {
    /// Adds a memory that the module defines.
    pub fn add_memory(&mut self, pages: u64, page_size_log2: Option<u32>) {
        let page = 1_u64.checked_shl(page_size_log2.unwrap_or(PAGE_SIZE_LOG2)).unwrap_or(u64::MAX);
        self.memories = self.memories.saturating_add(1);
        self.memory = self.memory.saturating_add(pages.saturating_mul(page));
    }

    /// Adds a table that the module defines.
    pub fn add_table(&mut self, elements: u64) {
        self.tables = self.tables.saturating_add(1);
        self.table = self.table.max(elements);
    }
}

/// What one instance of a component needs at its start, with every core instance in it. The sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Core instances.
    pub core_instances: u32,
    /// Whether components in it have core instances. Calls between components go through core instances that the runtime adds:
    /// at most one before each of the others, and without memories or tables.
    pub is_composed: bool,
    /// Linear memories.
    pub memories: u32,
    /// The initial size of all of them together, in bytes.
    pub memory: u64,
    /// Tables.
    pub tables: u32,
    /// The largest number of tables in one module.
    pub tables_in_module: u32,
    /// The initial size of the largest table, in elements.
    pub table: u64,
    /// Instances of imported modules and components, whose size is unknown. They are not in the numbers above.
    pub unknown: u32,
}

impl Needs {
    /// Adds one instance of a core module; `None` for a module that is not known.
    pub fn instantiate(&mut self, module: Option<&ModuleNeeds>) {
        let needs = module.map_or(Self { unknown: 1, ..Self::default() }, |module| Self {
            core_instances: 1,
            is_composed: false,
            memories: module.memories,
            memory: module.memory,
            tables: module.tables,
            tables_in_module: module.tables,
            table: module.table,
            unknown: 0,
        });
        self.add_times(&needs, 1);
        self.unknown = self.unknown.saturating_add(needs.unknown);
    }

    /// Adds one instance of a component.
    pub fn add(&mut self, other: &Self) {
        self.add_times(other, 1);
        self.is_composed |= other.core_instances > 0 || other.unknown > 0;
        self.unknown = self.unknown.saturating_add(other.unknown);
    }

    /// Counts every unknown part as `largest`.
    pub fn add_unknown(&mut self, largest: &Self) {
        self.add_times(largest, self.unknown);
        self.is_composed |= self.unknown > 0;
    }

    /// Core instances, with those that the runtime adds.
    pub fn all_core_instances(&self) -> u32 {
        self.core_instances.saturating_mul(if self.is_composed { 2 } else { 1 })
    }

    /// Raises every number to at least that of `other`.
    pub fn widen(&mut self, other: &Self) {
        self.core_instances = self.core_instances.max(other.core_instances);
        self.is_composed |= other.is_composed;
        self.memories = self.memories.max(other.memories);
        self.memory = self.memory.max(other.memory);
        self.tables = self.tables.max(other.tables);
        self.tables_in_module = self.tables_in_module.max(other.tables_in_module);
        self.table = self.table.max(other.table);
    }

    fn add_times(&mut self, other: &Self, times: u32) {
        if times == 0 {
            return;
        }
        let add = |sum: u32, each: u32| sum.saturating_add(each.saturating_mul(times));
        self.core_instances = add(self.core_instances, other.core_instances);
        self.is_composed |= other.is_composed;
        self.memories = add(self.memories, other.memories);
        self.memory = self.memory.saturating_add(other.memory.saturating_mul(times.into()));
        self.tables = add(self.tables, other.tables);
        self.tables_in_module = self.tables_in_module.max(other.tables_in_module);
        self.table = self.table.max(other.table);
    }
}
