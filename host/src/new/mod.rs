//! `wasi-httpd new`: a small guest to begin with.
//!
//! 1. [`templates`] has the files of a guest in each language, and [`name`] makes a name for it of that of its directory.
//! 2. [`write`](mod@write) writes them, into a directory that is new or empty.
//! 3. [`tools`] finds what this machine lacks to build it.
//! 4. [`next`] says what to do then: install, build, serve.

mod name;
mod next;
mod templates;
mod tools;
mod write;

use crate::config::Project;
use crate::signals;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use templates::Template;

/// Writes a guest, and says on standard output what to do with it.
pub fn create(config: &Project) -> Result<String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&interrupted);
    // By itself, a signal would leave half a guest behind.
    signals::handle(move |mut signals| async move {
        signals.next().await;
        told.store(true, Ordering::Relaxed);
    })?;
    let template = Template::of(config.language, config.wasi);
    write::check(&config.directory)?;
    let name = name::of(&config.directory);
    write::files(&config.directory, &template.files(&name), &interrupted)?;
    Ok(next::steps(config, &template, &name, &tools::missing(config)))
}
