//! The one wasmtime engine: how guests are compiled, and how much of everything their instances may have.

use crate::config::Limits;
use anyhow::{Context as _, Result};
use std::time::Duration;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// How often a running guest is interrupted, to let others run and to see whether its time is up. Long beside the cost
/// of an interruption (some microseconds), short beside what a person notices.
pub const TICK: Duration = Duration::from_millis(10);

/// Core instances in one component: its own modules and the two that join them to the host. Those of interpreted
/// languages bring a dozen.
const CORE_INSTANCES: u32 = 20;

/// Linear memories in one component. Each slot reserves address space, so that there is no room for many.
const MEMORIES: u32 = 1;

/// Tables in one component: one of its own, one of the modules that join it to the host, and some to spare.
const TABLES: u32 = 4;

/// Entries of one table: large programs call some tens of thousands of functions by pointer.
const TABLE_ELEMENTS: usize = 100_000;

/// What the runtime keeps about one instance, in bytes; it grows with the number of a component's functions.
const INSTANCE_METADATA: usize = 1 << 20;

/// How much of a memory slot stays mapped for the next instance: more than a small guest touches, so that a fresh
/// instance costs few page faults, and little enough to keep in each of the warm slots.
const KEEP_RESIDENT: usize = 512 * 1024;

/// How many slots are kept for another guest's instances before a fresh one is taken. With a single guest, slots are
/// reused as soon as they are free: as many are ever touched as instances lived at a time.
const WARM_SLOTS: u32 = 32;

/// Makes the engine. The compiled form of a component is cached in the user's cache directory; where that cannot be
/// written, every start compiles anew, and the second value says why.
pub fn new(limits: &Limits) -> Result<(Engine, Option<String>)> {
    let (cache, warning) = match cache() {
        Ok(cache) => (Some(cache), None),
        Err(error) => (None, Some(format!("compiled components are not cached: {error:#}"))),
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances.saturating_mul(CORE_INSTANCES))
        .total_memories(limits.instances.saturating_mul(MEMORIES))
        .total_tables(limits.instances.saturating_mul(TABLES))
        .total_stacks(limits.instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(INSTANCE_METADATA)
        .max_core_instance_size(INSTANCE_METADATA)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .cache(cache);
    let engine = Engine::new(&config).map_err(anyhow::Error::from).with_context(|| {
        format!(
            "cannot reserve address space for {} instances; try a smaller --max-instances, or raise `ulimit -v`",
            limits.instances
        )
    })?;
    Ok((engine, warning))
}

fn cache() -> Result<Cache> {
    let cache = Cache::new(CacheConfig::new())?;
    // The cache itself keeps silent about what it cannot write.
    let probe = cache.directory().join(format!(".wasi-httpd-{}", std::process::id()));
    std::fs::write(&probe, [])
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("cannot write to {}", cache.directory().display()))?;
    Ok(cache)
}

/// Counts the engine's epochs up for as long as the process lives.
pub fn start_ticking(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .context("cannot start a thread")?;
    Ok(())
}
