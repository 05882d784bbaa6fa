//! The settings, read once for many requests where the host has them prepared.

use super::adapter;
use crate::config::{Settings, SettingsError};
use crate::heap;
use std::sync::OnceLock;

/// The settings, or what is wrong with them.
pub(super) type Outcome = Result<Settings, SettingsError>;

/// The settings, and who had them read.
pub(super) struct Prepared {
    pub(super) outcome: Outcome,
    /// Whether the host has called [`prepare`]. Otherwise the first request of this instance has read them.
    #[cfg(not(feature = "v03"))]
    pub(super) is_by_host: bool,
}

/// The settings, where they have been read before.
static PREPARED: OnceLock<Prepared> = OnceLock::new();

/// An export of the core module that the component does not have: it reads the settings, and the rules that a host gives with them,
/// once, for every later request. Our host calls it before it takes the copy of the memory with which each request begins. It keeps
/// no handle and always returns; settings that are wrong are told by each request.
///
/// Other runtimes cannot call it.
#[allow(unsafe_code, reason = "the name is that of no other symbol")]
#[unsafe(export_name = "wasi-httpd:prepare")]
extern "C" fn prepare() {
    read_once(true, || {});
}

/// The settings, which are read for the first request of an instance. Later ones find them, and whatever else `lasts` allocates.
pub(super) fn get_or_read(lasts: impl FnOnce()) -> &'static Prepared {
    read_once(false, lasts)
}

#[cfg_attr(feature = "v03", allow(unused_variables))]
fn read_once(is_by_host: bool, lasts: impl FnOnce()) -> &'static Prepared {
    PREPARED.get_or_init(|| {
        heap::begin_to_keep();
        lasts();
        let outcome = Settings::from_environment(adapter::environment());
        heap::keep();
        Prepared {
            outcome,
            #[cfg(not(feature = "v03"))]
            is_by_host,
        }
    })
}
