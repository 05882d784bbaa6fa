//! A guest in a task of its own. The runtime cannot run one event loop of WASI 0.3 inside of another, which is where a component
//! behind a middleware would otherwise run. And nothing polls the body of a response while a client is slow to take a file of it.

use super::running::GuestFuture;
use super::slots::Slot;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use wasmtime::format_err;

/// The task, which ends with this.
struct Apart(JoinHandle<wasmtime::Result<()>>);

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Apart {
    type Output = wasmtime::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|outcome| outcome.unwrap_or_else(|error| Err(format_err!("its task has failed: {error}"))))
    }
}

/// Has a guest run in a task. It keeps the slot until the instance is gone, which is later than this is dropped.
pub(super) fn apart(guest: GuestFuture, slot: Slot) -> GuestFuture {
    Box::pin(Apart(tokio::spawn(async move {
        let _slot = slot;
        guest.await
    })))
}
