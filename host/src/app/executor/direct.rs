//! Instances of a core module, without the component runtime: new ones, restored ones, or reused as they are left.

#[cfg(test)]
mod tests;

use super::{begin, blame};
use crate::app::Job;
use crate::app::idle::Idle;
use crate::app::slots::Slots;
use crate::link::direct::module::{Instance, Module};
use crate::report::metrics::InstanceCounts;
use std::sync::Arc;

/// Requests that one instance answers when it is restored after each: a fault of the runtime itself could outlive a request,
/// and outlives no more than these. A new instance costs some microseconds, which no longer matters when it is one in so
/// many.
const MAX_RESTORED_USES: u32 = 1_000;

/// Answers requests with instances of a core module.
pub(in crate::app) struct Executor {
    module: Module,
    kind: Kind,
    /// In boxes, because they are moved in and out for each request.
    idle: Idle<Box<Used>>,
    counts: Option<Arc<InstanceCounts>>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A new instance for each request.
    New,
    /// An instance that is put back into its initial state after each request.
    Restored,
    /// An instance for so many requests, one after another, as it is left.
    Reused { uses: u32 },
}

/// An instance, and how many requests it has answered.
struct Used {
    instance: Instance,
    uses: u32,
}

impl Executor {
    pub(super) fn new(
        module: Module,
        uses: u32,
        slots: &Arc<Slots>,
        counts: Option<Arc<InstanceCounts>>,
    ) -> Self {
        let kind = match module.new_because() {
            _ if uses > 1 => Kind::Reused { uses },
            None => Kind::Restored,
            Some(_) => Kind::New,
        };
        Self { module, kind, idle: Idle::new(slots), counts }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.count()
    }

    pub(super) async fn answer(&self, job: Box<Job>) -> wasmtime::Result<()> {
        let idle = match self.kind {
            Kind::New => None,
            Kind::Restored | Kind::Reused { .. } => self.idle.take(),
        };
        let mut used = match idle {
            Some(used) => used,
            None => self.instantiate().await?,
        };
        if let Err(error) = self.answer_with(&mut used.instance, job).await {
            return Err(blame(error, used.instance.state()));
        }
        used.uses += 1;
        let is_kept = match self.kind {
            Kind::New => false,
            Kind::Restored => {
                used.instance.state().end_request()
                    && used.uses < MAX_RESTORED_USES
                    && self.module.restore(&mut used.instance)?
            }
            Kind::Reused { uses } => used.instance.state().end_request() && used.uses < uses,
        };
        if is_kept {
            if let (Some(counts), Kind::Restored) = (&self.counts, self.kind) {
                counts.restored.increment();
            }
            // Before its slot is free: all instances together are no more than there are slots.
            self.idle.keep(used);
        }
        Ok(())
    }

    async fn answer_with(&self, instance: &mut Instance, job: Box<Job>) -> wasmtime::Result<()> {
        // A request that may be passed on is known by its handle. An instance that is used as it is left has it in its memory what was
        // decided before.
        if job.next.is_none() && !matches!(self.kind, Kind::Reused { .. }) {
            let state = instance.state();
            state.begin_sidecars(&job.head.headers);
            state.begin_request(None, job.end.clone(), job.tag.clone(), None);
            if let Some(head) = instance.write_head(&job.head)?
                && let Some(response) = instance.exchange(head).await?
            {
                // The receiver is gone if the client has left.
                let _ = job.response.send(Ok(response));
                return Ok(());
            }
        }
        let (request, outparam) = begin(instance.state(), *job)?;
        instance.handle(&request, &outparam).await
    }

    async fn instantiate(&self) -> wasmtime::Result<Box<Used>> {
        if let Some(counts) = &self.counts {
            counts.created.increment();
        }
        Ok(Box::new(Used { instance: self.module.instantiate().await?, uses: 0 }))
    }
}
