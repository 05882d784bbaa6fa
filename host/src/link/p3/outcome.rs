//! What becomes of a stream, as a guest learns it by the future beside the stream.

use crate::instance::State;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{FutureReader, Lift, Lower};

/// The end of such a future at which the host says it.
pub(super) struct Outcome<T>(Option<oneshot::Sender<T>>);

impl<T: Lift + Lower + Send + Sync + 'static> Outcome<T> {
    /// Makes such a future. The guest learns `otherwise` if nothing else was said before this is dropped.
    pub(super) fn new(
        store: &mut StoreContextMut<'_, State>,
        otherwise: T,
    ) -> wasmtime::Result<(Self, FutureReader<T>)> {
        let (sender, receiver) = oneshot::channel();
        let outcome = async move { wasmtime::error::Ok(receiver.await.unwrap_or(otherwise)) };
        Ok((Self(Some(sender)), FutureReader::new(store, outcome)?))
    }
}

impl<T> Outcome<T> {
    /// Says it; what was said first counts.
    pub(super) fn say(&mut self, outcome: T) {
        if let Some(sender) = self.0.take() {
            // A guest that has dropped the future does not want to know.
            let _ = sender.send(outcome);
        }
    }

    /// Takes the right to say it.
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}
