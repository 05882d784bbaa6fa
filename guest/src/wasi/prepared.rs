//! The settings, read once for many requests where the host has them prepared.

use super::adapter;
use crate::config::{Settings, SettingsError};
use crate::heap;
use std::sync::OnceLock;

/// The settings, or what is wrong with them.
pub(super) type Outcome = Result<Settings, SettingsError>;

/// The settings, where they have been read before.
static PREPARED: OnceLock<Outcome> = OnceLock::new();

/// An export of the core module that the component does not have: it reads the settings, and the rules that a host gives with them,
/// once, for every later request. Our host calls it before it takes the copy of the memory with which each request begins. It keeps
/// no handle and always returns; settings that are wrong are told by each request.
///
/// Other runtimes cannot call it.
#[allow(unsafe_code, reason = "the name is that of no other symbol")]
#[unsafe(export_name = "wasi-httpd:prepare")]
extern "C" fn prepare() {
    heap::begin_to_keep();
    PREPARED.get_or_init(read);
    heap::keep();
}

/// The settings, if they have been prepared.
#[cfg(not(feature = "v03"))]
pub(super) fn get() -> Option<&'static Outcome> {
    PREPARED.get()
}

/// The settings, which are read for the first request of an instance. Later ones find them, and whatever else `lasts` allocates.
#[cfg(feature = "v03")]
pub(super) fn get_or_read(lasts: impl FnOnce()) -> &'static Outcome {
    PREPARED.get_or_init(|| {
        heap::begin_to_keep();
        lasts();
        let outcome = read();
        heap::keep();
        outcome
    })
}

/// Reads the settings.
pub(super) fn read() -> Outcome {
    Settings::from_environment(adapter::environment())
}
