//! What is counted while the server serves, for `--admin`.
//!
//! - [`site`]: the requests of a site, counted for each of them; [`counter`], [`histogram`]: with what
//! - [`instances`]: where the instances of a site came from
//! - [`connections`]: connections, accepted and open
//! - [`events`]: what is rare, and so counted with and without `--admin`
//! - [`text`]: the format in which Prometheus reads it
//!
//! No label comes from what a client sends. What is counted for each request is reached by a handle, without looking anything
//! up and without a lock, and where there is no `--admin`, there is no handle.

pub mod connections;
pub mod counter;
pub mod events;
pub mod histogram;
pub mod instances;
pub mod site;
pub mod text;

pub use connections::ConnectionCounts;
pub use counter::Counter;
pub use events::{Failure, Handshake, Limit, Log, Reload};
pub use histogram::{Counts, Histogram};
pub use instances::{InstanceCounts, Raised};
pub use site::SiteMetrics;

use crate::report::tag::Label;
use std::sync::{Arc, Mutex, PoisonError};

/// The metrics of all sites that there have been. They outlive a reload of the configuration, because counters may not go
/// back.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Vec<Arc<SiteMetrics>>>);

impl Metrics {
    /// Those of the site with this label, which are new where there are none yet. Labels come from the configuration only.
    pub fn site(&self, label: &str) -> Arc<SiteMetrics> {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sites.iter().find(|site| site.label() == label) {
            return Arc::clone(known);
        }
        let site = Arc::new(SiteMetrics::new(label));
        sites.push(Arc::clone(&site));
        site
    }

    /// Those of requests that are for no site. They are those of the only site, where there is but one.
    pub fn unrouted(&self) -> Arc<SiteMetrics> {
        self.site(Label::default().as_str())
    }

    /// Those of all sites, in the order in which they came.
    pub fn sites(&self) -> Vec<Arc<SiteMetrics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use std::sync::Arc;

    #[test]
    fn a_site_keeps_its_metrics() {
        let metrics = Metrics::default();
        let [one, other, again] = ["a", "b", "a"].map(|label| metrics.site(label));
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
        assert_eq!(
            metrics.sites().iter().map(|site| site.label().to_owned()).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
