//! The wasmtime engines: how guests are compiled, and the pools that their instances are allocated from ([`sizes`]).
//!
//! Guests of WASI 0.3 have an engine of their own: concurrency support would make each call of a guest of WASI 0.2 slower by a
//! quarter.

pub mod sizes;

use crate::cache;
use crate::component::interface::Edition;
use anyhow::{Context as _, Result};
use sizes::Sizes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::warn;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// How often a running guest yields, so that other guests run and its deadline is checked. An interruption costs some
/// microseconds; a person notices a delay of a few ticks at the earliest.
pub const TICK: Duration = Duration::from_millis(10);

/// The limit of the runtime's own data for one instance, in bytes. It grows with the number of functions.
const INSTANCE_METADATA: usize = 1 << 20;

/// How much of a memory slot stays mapped for the next instance, in bytes. A small guest touches less, so that a fresh
/// instance causes few page faults; each warm slot keeps this much memory.
const KEEP_RESIDENT: usize = 512 * 1024;

/// Components whose initial memory is at most this large, in bytes, have all of it copied anew for the next instance. For
/// larger ones it is cheaper to ask the kernel which pages were written (`PAGEMAP_SCAN`).
const COPY_MAX: u64 = 256 * 1024;

/// How many freed slots the pool keeps warm. With a single guest a slot is reused as soon as it is free, so that only as
/// many slots are ever touched as instances were alive at the same time.
const WARM_SLOTS: u32 = 32;

/// Fiber stacks for each instance of WASI 0.3, on average: one runs the guest, and a call that waits in the middle of a
/// synchronous function keeps its own. Stacks that are not used take address space only.
const STACKS_PER_INSTANCE: u32 = 4;

/// What engines need of the process, opened while nothing restricts it.
#[derive(Debug)]
pub struct Resources {
    /// The directory in which compiled components are cached, that of wasmtime below the user's cache directory, or why there
    /// is none.
    cache: Result<PathBuf, String>,
}

impl Resources {
    /// Opens them. The directory is made where it is missing.
    pub fn open() -> Self {
        // The pool asks the kernel through this file which pages were written, and opens it once.
        let _ = PoolingAllocationConfig::is_pagemap_scan_available();
        Self { cache: cache::directory("wasmtime").map_err(|error| format!("{error:#}")) }
    }

    /// The directory that compiled components are written to.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref().ok()
    }
}

/// Makes an engine while the process opens things, and warns if compiled components cannot be cached, so that each start compiles them again. See
/// [`new`]. This starts a thread, which keeps the cache in order.
pub fn first(edition: Edition, instances: u32, sizes: &Sizes, resources: &Resources) -> Result<Engine> {
    let cache = match &resources.cache {
        Ok(directory) => open_cache(directory).map_err(|error| format!("{error:#}")),
        Err(why) => Err(why.clone()),
    };
    if let Err(why) = &cache {
        warn!("compiled components are not cached: {why}");
    }
    new(edition, instances, sizes, cache.ok())
}

/// Makes an engine for guests of this edition, with a pool for `instances` instances.
pub fn new(edition: Edition, instances: u32, sizes: &Sizes, cache: Option<Cache>) -> Result<Engine> {
    let is_concurrent = edition == Edition::V03;
    let stacks = if is_concurrent { instances.saturating_mul(STACKS_PER_INSTANCE) } else { instances };
    let mut pool = PoolingAllocationConfig::new();
    let total = |each: u32| instances.saturating_mul(each.max(1));
    // With one for the marks of what was written to, which only modules of WASI 0.2 have.
    let memories = sizes.memories.saturating_add(u32::from(!is_concurrent));
    pool.total_component_instances(instances)
        .total_core_instances(total(sizes.core_instances))
        .total_memories(total(memories))
        .total_tables(total(sizes.tables))
        .total_stacks(stacks)
        .max_core_instances_per_component(sizes.core_instances)
        .max_memories_per_component(sizes.memories)
        .max_memories_per_module(memories)
        .max_tables_per_component(sizes.tables)
        .max_tables_per_module(sizes.tables_in_module)
        .table_elements(sizes.table)
        .max_component_instance_size(INSTANCE_METADATA)
        .max_core_instance_size(INSTANCE_METADATA)
        .max_memory_size(sizes.memory)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(WARM_SLOTS)
        .pagemap_scan(if sizes.start <= COPY_MAX { Enabled::No } else { Enabled::Auto });

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .concurrency_support(is_concurrent)
        .cache(cache);
    Engine::new(&config).map_err(anyhow::Error::from).with_context(|| {
        format!(
            "cannot reserve address space for {instances} instances; try a smaller --max-instances, or raise \
             `ulimit -v`"
        )
    })
}

fn open_cache(directory: &Path) -> Result<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    let cache = Cache::new(config)?;
    // The cache itself ignores write errors.
    let probe = cache.directory().join(format!(".wasi-httpd-{}", std::process::id()));
    std::fs::write(&probe, [])
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| format!("cannot write to {}", cache.directory().display()))?;
    Ok(cache)
}

/// Starts the thread that increments the engine's epoch at every [`TICK`].
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

/// Runs a guest to its end before the engine ticks for all, within a time limit.
pub fn run_within<T: Send>(
    engine: &Engine,
    limit: Duration,
    guest: impl Future<Output = wasmtime::Result<T>> + Send,
) -> wasmtime::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let has_ended = AtomicBool::new(false);
    // The thread ends with this function: the process may restrict itself before it starts others.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !has_ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        });
        let outcome = runtime.block_on(async { tokio::time::timeout(limit, guest).await });
        has_ended.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|_| Err(wasmtime::format_err!("it did not end within {} s", limit.as_secs())))
    })
}
