//! Opens a guest and what it is given: what serving and running have in common, before the process restricts itself.

use crate::component::load::Loader;
use crate::component::location::Location;
use crate::component::{Guest, Purpose, Role};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::lockdown::Granted;
use crate::sandbox::{Sandbox, check_stores};
use anyhow::{Context as _, Result};
use guest::config::BOUNDED_STREAMS;
use std::sync::Arc;

/// A guest that was read, and what was opened for it.
#[derive(Debug)]
pub struct Opened {
    /// The guest, which is neither compiled nor linked.
    pub guest: Arc<Guest>,
    /// What one of its instances needs of the pools.
    pub sizes: Sizes,
    /// What its instances may touch.
    pub sandbox: Sandbox,
}

/// Loads a guest, checks that it fits the purpose, and opens what it is given.
pub fn open(
    loader: &Loader,
    guest: &Location,
    purpose: Purpose,
    grants: &Grants,
    limits: &Limits,
) -> Result<Opened> {
    // Errors that are found quickly come before steps that take long.
    let guest = loader.load(guest, Role::Guest)?;
    check_stores(grants, [grants].into_iter())?;
    give(Arc::new(guest), purpose, grants, limits)
}

/// Checks that a guest fits the purpose, and opens what it is given.
pub fn give(guest: Arc<Guest>, purpose: Purpose, grants: &Grants, limits: &Limits) -> Result<Opened> {
    guest.expect(purpose)?;
    let sizes =
        Sizes::new(limits, &guest.anatomy.needs).with_context(|| format!("{} is too large", guest.name()))?;
    let mut sandbox = Sandbox::new(grants, limits, &sizes, purpose)?;
    if guest.is_built_in_p3() {
        // `link::p3` sends a file's stream up to the Content-Length. The component has to know, because other runtimes do not.
        sandbox.tell(BOUNDED_STREAMS, "on");
    }
    Ok(Opened { guest, sizes, sandbox })
}

impl Opened {
    /// What the process needs from now on for this guest.
    pub fn granted(&self) -> Granted {
        Granted::of(&self.sandbox)
    }
}
