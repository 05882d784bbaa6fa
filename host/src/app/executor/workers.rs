//! Instances of WASI 0.3 that answer several requests at a time (`--reuse-concurrent`), each in a task of its own.
//!
//! A request that was given up cannot be stopped: its instance takes no further ones if it does not stop by itself, and ends
//! when none but such requests are left. A trap fails all requests of its instance.

use super::concurrent::{EndBodies, Instance, Instances, Output, answer};
use super::{Denied, Reuse};
use crate::app::Job;
use crate::app::slots::Slots;
use crate::component::trap;
use crate::instance::State;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::error;
use wasmtime::component::Accessor;
use wasmtime::format_err;

/// How long an instance is kept that no request needs, as those that answer one request at a time.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// How long a request may go on after it was given up before its instance takes no further ones. A guest that waits for its
/// client notices at once that there is none.
const GRACE: Duration = Duration::from_secs(1);

/// The workers of a site.
pub(in crate::app) struct Workers {
    instances: Instances,
    reuse: Reuse,
    slots: Arc<Slots>,
    alive: Mutex<Vec<Arc<Worker>>>,
}

/// An instance as requests see it.
struct Worker {
    tasks: mpsc::UnboundedSender<Task>,
    count: Mutex<Count>,
    /// Tells that a request was given up.
    given_up: Notify,
    /// Why the instance has failed, for all of its requests: the runtime does not say which of them has trapped.
    failure: OnceLock<String>,
}

#[derive(Debug, Default)]
struct Count {
    /// Requests that it has taken.
    taken: u32,
    /// Those that it has not finished.
    running: u32,
    /// Those of them that were given up.
    given_up: u32,
    /// Whether it takes no further ones.
    is_retired: bool,
}

/// A request on its way to an instance.
struct Task {
    job: Box<Job>,
    done: oneshot::Sender<wasmtime::Result<()>>,
}

/// A request of an instance, until it is finished or given up.
struct Claim {
    worker: Arc<Worker>,
    is_done: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_done {
            self.worker.lock().given_up += 1;
            self.worker.given_up.notify_one();
        }
    }
}

impl Worker {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes another request, if the instance may have one.
    fn claim(&self, reuse: Reuse) -> bool {
        let mut count = self.lock();
        let is_free = !count.is_retired && count.running < reuse.concurrent && count.taken < reuse.uses;
        if is_free {
            count.taken += 1;
            count.running += 1;
        }
        is_free
    }

    /// The instance has failed.
    fn fail(&self, error: &wasmtime::Error) {
        // The first failure counts.
        let _ = self.failure.set(trap::explain(error));
    }

    fn running(&self) -> u32 {
        self.lock().running
    }
}

impl Workers {
    /// No workers yet. As many as may be get one request each before any gets a second one.
    pub(super) fn new(instances: Instances, reuse: Reuse, slots: &Arc<Slots>) -> Self {
        Self { instances, reuse, slots: Arc::clone(slots), alive: Mutex::default() }
    }

    /// How many instances have no request.
    pub(super) fn idle(&self) -> usize {
        self.lock().iter().filter(|worker| worker.running() == 0).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Worker>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an instance answer a request, which is given up when this is dropped.
    pub(super) async fn answer(self: &Arc<Self>, job: Box<Job>) -> wasmtime::Result<()> {
        let (done, finished) = oneshot::channel();
        let worker = self.worker();
        let mut claim = Claim { worker: Arc::clone(&worker), is_done: false };
        // Where the instance has ended, the task is dropped.
        let _ = worker.tasks.send(Task { job, done });
        let outcome = finished.await;
        claim.is_done = true;
        outcome.unwrap_or_else(|_| {
            let why = worker.failure.get().map_or("it has ended", String::as_str);
            Err(format_err!("an instance that it shares with other requests has failed: {why}"))
        })
    }

    /// The instance for a request: the one with the fewest, or a new one.
    fn worker(self: &Arc<Self>) -> Arc<Worker> {
        let mut alive = self.lock();
        alive.sort_by_cached_key(|worker| worker.running());
        let has_room = alive.len() < self.reuse.instances as usize
            && alive.first().is_none_or(|worker| worker.running() > 0);
        if !has_room && let Some(worker) = alive.iter().find(|worker| worker.claim(self.reuse)) {
            return Arc::clone(worker);
        }
        let (tasks, queue) = mpsc::unbounded_channel();
        let worker = Arc::new(Worker {
            tasks,
            count: Mutex::default(),
            given_up: Notify::new(),
            failure: OnceLock::new(),
        });
        worker.claim(self.reuse);
        alive.push(Arc::clone(&worker));
        tokio::spawn(run(Arc::clone(self), Arc::clone(&worker), queue));
        worker
    }

    fn forget(&self, worker: &Arc<Worker>) {
        worker.lock().is_retired = true;
        self.lock().retain(|known| !Arc::ptr_eq(known, worker));
    }
}

/// Runs an instance until it is not needed any more. Dropping the queue fails the requests that are in it.
async fn run(workers: Arc<Workers>, worker: Arc<Worker>, queue: mpsc::UnboundedReceiver<Task>) {
    // Requests wait for this as they wait for their answer.
    let slot = workers.slots.take(None, None).await;
    if slot.is_some() {
        match workers.instances.instantiate().await {
            Ok(instance) => run_instance(instance, &workers, &worker, queue).await,
            Err(error) => worker.fail(&error),
        }
    }
    workers.forget(&worker);
}

async fn run_instance(
    mut instance: Instance,
    workers: &Workers,
    worker: &Arc<Worker>,
    mut queue: mpsc::UnboundedReceiver<Task>,
) {
    let _end = EndBodies::of(&mut instance.store);
    let Instance { store, guest, .. } = &mut instance;
    let reuse = workers.reuse;
    {
        let event_loop = async |store: &Accessor<State>| {
            let mut tasks = FuturesUnordered::new();
            let mut working = None;
            loop {
                if tasks.is_empty() {
                    working = None;
                } else if working.is_none() {
                    working = workers.instances.working();
                }
                tokio::select! {
                    task = queue.recv() => {
                        // Never: the worker has a sender.
                        let Some(Task { job, done }) = task else { return Ok(()) };
                        tasks.push(async {
                            let outcome = answer(store, guest, job, Output::OfInstance).await;
                            (outcome, done)
                        });
                    }
                    Some((outcome, done)) = tasks.next() => {
                        worker.lock().running -= 1;
                        // All requests of the instance fail by being dropped.
                        outcome?;
                        if done.send(Ok(())).is_err() {
                            let mut count = worker.lock();
                            count.given_up = count.given_up.saturating_sub(1);
                        }
                    }
                    () = tokio::time::sleep(MAX_IDLE), if tasks.is_empty() => workers.forget(worker),
                }
                if worker.lock().taken >= reuse.uses {
                    workers.forget(worker);
                }
                let count = worker.lock();
                if count.is_retired && count.running == 0 {
                    break;
                }
            }
            // What the guest does after its last response.
            poll_fn(|context| store.poll_no_interesting_tasks(context)).await;
            wasmtime::error::Ok(())
        };
        // A guest that computes holds up the event loop, so that it is watched from the outside.
        let mut watch = pin!(watch(workers, worker));
        let mut running = pin!(store.run_concurrent(event_loop));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = running.as_mut().poll(context) {
                if let Err(error) = outcome.flatten() {
                    worker.fail(&error);
                }
                return Poll::Ready(());
            }
            watch.as_mut().poll(context)
        })
        .await;
    }
    workers.forget(worker);
    if store.data_mut().allowance().was_exceeded() {
        error!("an instance that answers several requests at a time has ended: {Denied}");
    }
}

/// Returns when an instance has nothing left but requests that were given up.
async fn watch(workers: &Workers, worker: &Arc<Worker>) {
    loop {
        worker.given_up.notified().await;
        loop {
            tokio::time::sleep(GRACE).await;
            let mut count = worker.lock();
            // One that was finished in the same moment was counted after that.
            count.given_up = count.given_up.min(count.running);
            if count.given_up == 0 {
                break;
            }
            let is_over = count.given_up >= count.running;
            drop(count);
            workers.forget(worker);
            if is_over {
                return;
            }
        }
    }
}
