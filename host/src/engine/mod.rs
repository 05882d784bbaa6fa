//! The one wasmtime engine: how the guest is compiled, and how much of everything its instances may have ([`sizes`]).

pub mod sizes;

use anyhow::{Context as _, Result};
use sizes::Sizes;
use std::time::Duration;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// How often a running guest is interrupted, to let others run and to see whether its time is up. Long beside the cost
/// of an interruption (some microseconds), short beside what a person notices.
pub const TICK: Duration = Duration::from_millis(10);

/// What the runtime keeps about one instance, in bytes; it grows with the number of a component's functions.
const INSTANCE_METADATA: usize = 1 << 20;

/// How much of a memory slot stays mapped for the next instance: more than a small guest touches, so that a fresh
/// instance costs few page faults, and little enough to keep in each of the warm slots.
const KEEP_RESIDENT: usize = 512 * 1024;

/// How much memory a component may begin with, in bytes, for all of it to be written anew for the next instance: beyond,
/// it costs less to ask the system which pages have changed.
const COPIED: u64 = 256 * 1024;

/// How many slots are kept for another guest's instances before a fresh one is taken. With a single guest, slots are
/// reused as soon as they are free: as many are ever touched as instances lived at a time.
const WARM_SLOTS: u32 = 32;

/// Makes the engine for so many instances of this size. The compiled form of a component is cached in the user's cache
/// directory; where that cannot be written, every start compiles anew, and the second value says why.
pub fn new(instances: u32, sizes: &Sizes) -> Result<(Engine, Option<String>)> {
    let (cache, warning) = match cache() {
        Ok(cache) => (Some(cache), None),
        Err(error) => (None, Some(format!("compiled components are not cached: {error:#}"))),
    };
    let mut pool = PoolingAllocationConfig::new();
    let total = |each: u32| instances.saturating_mul(each.max(1));
    pool.total_component_instances(instances)
        .total_core_instances(total(sizes.core_instances))
        .total_memories(total(sizes.memories))
        .total_tables(total(sizes.tables))
        .total_stacks(instances)
        .max_core_instances_per_component(sizes.core_instances)
        .max_memories_per_component(sizes.memories)
        .max_memories_per_module(sizes.memories)
        .max_tables_per_component(sizes.tables)
        .max_tables_per_module(sizes.tables_in_module)
        .table_elements(sizes.table)
        .max_component_instance_size(INSTANCE_METADATA)
        .max_core_instance_size(INSTANCE_METADATA)
        .max_memory_size(sizes.memory)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(if sizes.start <= COPIED { Enabled::No } else { Enabled::Auto });

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .cache(cache);
    let engine = Engine::new(&config).map_err(anyhow::Error::from).with_context(|| {
        format!(
            "cannot reserve address space for {instances} instances; try a smaller --max-instances, or raise \
             `ulimit -v`"
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
