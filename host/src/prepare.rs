//! Makes an instantiable component from a configuration: the steps that serving and running have in common. Everything is
//! opened and compiled here, before the process starts its serving threads.

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

/// A component, and the template of its instances' state.
pub struct Prepared {
    /// The component, linked. Its engine ticks once [`engine::start_ticking`] was called.
    pub component: InstancePre<State>,
    /// The template of its instances' state.
    pub template: Template,
}

/// Reads, compiles and links a guest, or the built-in one, and checks that it fits the purpose.
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
    let component = link::pre(&engine, &guest, &guest.compile(&engine)?)?;
    if let Some(warning) = warning {
        warn!("{warning}");
    }
    Ok(Prepared { component, template: Template::new(sandbox, stdio) })
}
