//! Components in registries of OCI artifacts: `oci://HOST/NAME@sha256:DIGEST`.
//!
//! 1. [`reference`](mod@reference): the name of a component; [`digest`]: the digest of its manifest, which decides what it is
//! 2. [`cache`]: what has come before; a component that is there needs no registry
//! 3. [`client`]: requests to a registry, with what it demands ([`challenge`], [`credentials`]) and where it leads
//!    ([`location`])
//! 4. [`manifest`]: what a registry says of a component
//! 5. [`pull`] gets a component, and [`push`](mod@push) sends one as it was [`packed`]
//!
//! Whatever a registry sends is checked by its digest and its [signature](crate::signature) before it is kept or parsed.

pub mod cache;
pub mod challenge;
mod client;
pub mod credentials;
pub mod digest;
pub mod location;
pub mod manifest;
mod packed;
mod pull;
pub mod push;
pub mod reference;

pub use pull::{Fetched, Source};

use anyhow::{Context as _, Result, anyhow};
use std::time::Duration;

/// The largest manifest, in bytes (OCI distribution specification, "Pushing manifests").
const MAX_MANIFEST: u64 = 4 << 20;

/// Speaks with a registry, within this time. No thread is left behind: the process may be about to restrict itself.
fn speak<T>(time: Duration, conversation: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot start to speak with the registry")?;
    runtime.block_on(async {
        let spoken = tokio::time::timeout(time, conversation).await;
        spoken.unwrap_or_else(|_| {
            Err(anyhow!("it takes longer than {} s; --registry-timeout allows more", time.as_secs()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::speak;
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// Tells when the thread has ended that owns it.
    struct Ended(Arc<AtomicBool>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    thread_local!(static ENDED: RefCell<Option<Ended>> = const { RefCell::new(None) });

    #[test]
    fn a_conversation_leaves_no_thread() {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Ended(Arc::clone(&has_ended));
        // As a lookup of a name does.
        let lookup = async {
            tokio::task::spawn_blocking(move || ENDED.set(Some(ended))).await?;
            Ok(())
        };
        speak(Duration::from_mins(1), lookup).unwrap();
        assert!(has_ended.load(Ordering::SeqCst));
    }

    #[test]
    fn a_conversation_has_an_end() {
        let error =
            speak(Duration::from_millis(1), std::future::pending::<anyhow::Result<()>>()).unwrap_err();
        assert!(error.to_string().starts_with("it takes longer than "), "{error}");
    }
}
