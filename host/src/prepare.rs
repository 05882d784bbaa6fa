//! Makes an instantiable component from a configuration: the steps that serving and running have in common.
//!
//! 1. [`open`] reads the guest and opens what it is given.
//! 2. [`Opened::prepare`] makes what it runs on. From here on there are threads, so that a process that restricts itself
//!    does so before.

use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine;
use crate::engine::sizes::Sizes;
use crate::instance::{Stdio, Template};
use crate::lockdown::Granted;
use crate::sandbox::Sandbox;
use anyhow::{Context as _, Result};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::warn;
use wasmtime::Engine;

/// A guest that was read, and what was opened for it.
#[derive(Debug)]
pub struct Opened {
    guest: Guest,
    sizes: Sizes,
    sandbox: Sandbox,
    cache: Result<PathBuf>,
    instances: u32,
    workers: NonZeroUsize,
}

/// A guest and what its instances need.
pub struct Prepared {
    /// The guest, which is neither compiled nor linked.
    pub guest: Guest,
    /// The engine for it. It ticks once [`engine::start_ticking`] was called.
    pub engine: Engine,
    /// The template of its instances' state.
    pub template: Arc<Template>,
    /// Threads for them to run on: as many as there are processors that the process may use.
    pub workers: NonZeroUsize,
}

/// Reads a guest, or the built-in one, checks that it fits the purpose, and opens what it is given.
pub fn open(guest: Option<&Path>, purpose: Purpose, grants: &Grants, limits: &Limits) -> Result<Opened> {
    // Errors that are found quickly come before steps that take long.
    let guest = Guest::read(guest)?;
    guest.expect(purpose)?;
    let sizes =
        Sizes::new(limits, &guest.anatomy.needs).with_context(|| format!("{} is too large", guest.name()))?;
    let sandbox = Sandbox::new(grants, limits, &sizes, purpose)?;
    engine::open();
    let (cache, instances) = (engine::cache_directory(), limits.instances);
    // The limit of a control group is read from files.
    let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Opened { guest, sizes, sandbox, cache, instances, workers })
}

impl Opened {
    /// What the process needs from now on for this guest.
    pub fn granted(&self) -> Granted {
        let mut granted = Granted::of(&self.sandbox);
        granted.cache.extend(self.cache.as_ref().ok().cloned());
        granted
    }

    /// What instances may touch.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Makes the engine and the template of instances, which have these standard streams.
    pub fn prepare(self, stdio: Stdio) -> Result<Prepared> {
        let Self { guest, sizes, sandbox, cache, instances, workers } = self;
        let (engine, warning) = engine::new(instances, &sizes, cache)?;
        if let Some(warning) = warning {
            warn!("{warning}");
        }
        Ok(Prepared { guest, engine, template: Arc::new(Template::new(sandbox, stdio)), workers })
    }
}
