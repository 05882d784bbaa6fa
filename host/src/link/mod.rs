//! The interfaces that guests may import. What a guest may do with them is the [`sandbox`](crate::sandbox)'s to say:
//! most of it is refused when it is called.
//!
//! [`p2`] links WASI 0.2 to components. [`calls`] is what the calls mean.

mod calls;
mod p2;

use crate::component::{Guest, one_line};
use crate::instance::State;
use anyhow::{Context as _, Result, anyhow};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

/// Links a component, which may import nothing that the host does not offer.
pub fn pre(engine: &Engine, guest: &Guest, component: &Component) -> Result<InstancePre<State>> {
    p2::linker(engine)?.instantiate_pre(component).map_err(|error| anyhow!("{}", one_line(&error))).with_context(|| {
        format!(
            "{} needs what this host does not offer, or not in that form; `wasi-httpd inspect` lists its imports",
            guest.name()
        )
    })
}
