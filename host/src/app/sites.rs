//! The sites of a server: which of them answers a request, and how all of them are replaced at once.
//!
//! What the server has at a time is a generation. A request is answered by the generation that was there when its head had
//! arrived, to its end, and the next one by the generation that is there then.

use super::App;
use super::route::Router;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The generation that answers requests from now on.
pub struct Live(ArcSwap<Sites>);

impl Live {
    /// Begins with this generation.
    pub fn new(sites: Sites) -> Self {
        Self(ArcSwap::from_pointee(sites))
    }

    /// Has this generation answer requests from now on.
    pub fn replace(&self, sites: Sites) {
        self.0.store(Arc::new(sites));
    }

    /// The sites, in the order of the configuration.
    pub fn apps(&self) -> Vec<Arc<App>> {
        self.0.load().apps.clone()
    }

    /// What answers a request that is routed by this.
    pub fn route<R>(&self, find: impl FnOnce(&Router) -> Result<usize, R>) -> Result<Arc<App>, R> {
        let sites = self.0.load();
        let at = find(&sites.router)?;
        // A router knows no other sites than these.
        Ok(Arc::clone(&sites.apps[at]))
    }
}

/// The sites of one generation.
pub struct Sites {
    router: Router,
    apps: Vec<Arc<App>>,
}

impl Sites {
    /// Sites in the order in which the router numbers them.
    pub fn new(router: Router, apps: Vec<Arc<App>>) -> Self {
        Self { router, apps }
    }
}

/// Counts generations that are alive: the one that answers new requests, and those of which some are still under way.
#[derive(Clone, Debug, Default)]
pub struct Generations(Arc<AtomicUsize>);

/// A generation, for as long as a part of it is there.
#[derive(Debug)]
pub struct Generation(Generations);

impl Generations {
    /// One more.
    pub fn begin(&self) -> Generation {
        self.0.fetch_add(1, Ordering::Relaxed);
        Generation(self.clone())
    }

    /// How many are alive.
    pub fn alive(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
