//! From a configuration to a component that can be instantiated: the steps that serving and running have in common.
//!
//! Everything is opened and compiled here, before the process starts the threads that serve.

use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::instance::{State, Stdio, Template};
use crate::sandbox::Sandbox;
use crate::{engine, link};
use anyhow::{Context as _, Result};
use std::path::Path;
use tracing::warn;
use wasmtime::component::InstancePre;

/// A component, and what its instances are made with.
pub struct Prepared {
    /// The component, linked. Its engine ticks once [`engine::start_ticking`] was called.
    pub component: InstancePre<State>,
    /// What its instances are made with.
    pub template: Template,
}

/// Reads, compiles and links a guest, or the built-in one, for a purpose that it has to be fit for.
pub fn prepare(
    guest: Option<&Path>,
    purpose: Purpose,
    grants: &Grants,
    limits: &Limits,
    stdio: Stdio,
) -> Result<Prepared> {
    // What is quickly found wrong comes before what takes long.
    let guest = Guest::read(guest)?;
    guest.expect(purpose)?;
    let sizes =
        Sizes::new(limits, &guest.anatomy.needs).with_context(|| format!("{} is too large", guest.name()))?;
    let sandbox = Sandbox::new(grants, limits, &sizes, purpose)?;
    let (engine, warning) = engine::new(limits.instances, &sizes)?;
    let component = link::pre(&engine, &guest, &guest.compile(&engine)?)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(Prepared { component, template: Template::new(sandbox, stdio) })
}
