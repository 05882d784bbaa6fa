//! Makes an instantiable component from a configuration: the steps that serving and running have in common. Everything is
//! opened and compiled here, before the process starts its serving threads.

use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine;
use crate::engine::sizes::Sizes;
use crate::instance::{Stdio, Template};
use crate::sandbox::Sandbox;
use anyhow::{Context as _, Result};
use std::path::Path;
use std::sync::Arc;
use tracing::warn;
use wasmtime::Engine;

/// A guest that was read, and what its instances need.
pub struct Prepared {
    /// The guest, which is neither compiled nor linked.
    pub guest: Guest,
    /// The engine for it. It ticks once [`engine::start_ticking`] was called.
    pub engine: Engine,
    /// The template of its instances' state.
    pub template: Arc<Template>,
}

/// Reads a guest, or the built-in one, checks that it fits the purpose, and opens what it is given.
pub fn prepare(
    guest: Option<&Path>,
    purpose: Purpose,
    grants: &Grants,
    limits: &Limits,
    stdio: Stdio,
) -> Result<Prepared> {
    // Errors that are found quickly come before steps that take long.
    let guest = Guest::read(guest)?;
    guest.expect(purpose)?;
    let sizes =
        Sizes::new(limits, &guest.anatomy.needs).with_context(|| format!("{} is too large", guest.name()))?;
    let sandbox = Sandbox::new(grants, limits, &sizes, purpose)?;
    let (engine, warning) = engine::new(limits.instances, &sizes)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(Prepared { guest, engine, template: Arc::new(Template::new(sandbox, stdio)) })
}
