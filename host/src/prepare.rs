//! Opens a guest and what it is given: what serving and running have in common, before the process restricts itself.

use crate::component::{Guest, Purpose};
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::lockdown::Granted;
use crate::sandbox::Sandbox;
use anyhow::{Context as _, Result};
use guest::config::BOUNDED_STREAMS;
use std::path::Path;
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

/// Reads a guest, or the built-in one, checks that it fits the purpose, and opens what it is given.
pub fn open(guest: Option<&Path>, purpose: Purpose, grants: &Grants, limits: &Limits) -> Result<Opened> {
    // Errors that are found quickly come before steps that take long.
    let guest = Guest::read(guest)?;
    give(Arc::new(guest), purpose, grants, limits)
}

/// Checks that a guest fits the purpose, and opens what it is given.
pub fn give(guest: Arc<Guest>, purpose: Purpose, grants: &Grants, limits: &Limits) -> Result<Opened> {
    guest.expect(purpose)?;
    let sizes =
        Sizes::new(limits, &guest.anatomy.needs).with_context(|| format!("{} is too large", guest.name()))?;
    let mut grants = grants.clone();
    if guest.is_file_server_p3() {
        // Its streams of files are sent as far as their responses are long.
        grants.environment.push((BOUNDED_STREAMS.to_owned(), "on".to_owned()));
    }
    let sandbox = Sandbox::new(&grants, limits, &sizes, purpose)?;
    Ok(Opened { guest, sizes, sandbox })
}

impl Opened {
    /// What the process needs from now on for this guest.
    pub fn granted(&self) -> Granted {
        Granted::of(&self.sandbox)
    }
}
