//! What one instance of a guest may touch: some directories, read-only; its own environment; so much memory; and of the
//! network what was granted. Nothing else.
//!
//! - [`directory`]: directories; [`mounts`]: which of them may hang
//! - [`network`]: where it may connect and listen, and which names it may look up; [`requests`]: whom it may ask by HTTP
//! - [`denials`]: what it asked for and was not given, to be told to the operator
//! - [`scratch`]: directories that it may write to
//! - [`allowance`]: its memory and tables

mod allowance;
pub mod denials;
mod directory;
mod mounts;
mod network;
mod requests;
pub mod scratch;

pub use allowance::Allowance;
pub use directory::Directory;
pub use mounts::may_hang;
pub use network::Network;
pub use requests::Requests;

use crate::component::Purpose;
use crate::config::grants::{Grants, KeyValuePlace};
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::wasi::keyvalue::{self, Store};
use anyhow::{Result, ensure};
use network::SocketCheck;
use scratch::Scratches;
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi::filesystem::Dir;

/// File calls run on the thread that makes them: handing each to another thread costs several times the call, and files
/// that are served are mostly in the page cache.
pub const BLOCKING_FILE_CALLS: bool = true;

/// What the instances of one component may touch.
#[derive(Debug)]
pub struct Sandbox {
    directories: Vec<Directory>,
    environment: Vec<(String, String)>,
    network: Arc<Network>,
    stores: Vec<(String, Arc<Store>)>,
    configuration: Vec<(String, String)>,
    scratches: Option<Scratches>,
    allowance: Allowance,
    /// How long a guest may take until it answers.
    time: Duration,
    handles: u32,
    output: usize,
}

impl Sandbox {
    /// Opens the directories and stores, and looks up the names of hosts.
    pub fn new(grants: &Grants, limits: &Limits, sizes: &Sizes, purpose: Purpose) -> Result<Self> {
        Ok(Self {
            directories: grants
                .directories
                .iter()
                .map(|grant| Directory::open(grant, grants.pinned))
                .collect::<Result<_>>()?,
            environment: grants.environment.clone(),
            stores: stores(grants)?,
            configuration: grants.configuration.clone(),
            scratches: grants
                .scratch
                .map(|grant| Scratches::new(&grant, &grants.holder.site, &grants.directories))
                .transpose()?,
            network: Arc::new(Network::new(&grants.network, purpose, grants.holder.clone())?),
            allowance: Allowance::new(sizes),
            time: limits.time,
            handles: limits.handles,
            output: limits.output,
        })
    }

    /// Adds a variable to the environment, unless the operator has set it.
    pub fn tell(&mut self, name: &str, value: &str) {
        if !self.environment.iter().any(|(given, _)| given == name) {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The directories.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// The directory that stands for those that are gone.
    pub fn stand_in(&self) -> Option<&Dir> {
        directory::EMPTY.as_ref()
    }

    /// The variables of the environment, and their values.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The store of this name.
    pub fn store(&self, name: &str) -> Option<Arc<Store>> {
        let mut stores = self.stores.iter();
        stores.find(|(other, _)| other == name).map(|(_, store)| Arc::clone(store))
    }

    /// Whether there is any store.
    pub fn has_stores(&self) -> bool {
        !self.stores.is_empty()
    }

    /// The names and values of the configuration.
    pub fn configuration(&self) -> &[(String, String)] {
        &self.configuration
    }

    /// The directories to write to, if there are any.
    pub fn scratches(&self) -> Option<&Scratches> {
        self.scratches.as_ref()
    }

    /// The network as instances see it.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the runtime is to ask before it touches an address; `None` where there are no sockets at all.
    pub fn socket_check(&self) -> Option<SocketCheck> {
        Network::check(&self.network)
    }

    /// The requests that one instance may send.
    pub fn requests(&self) -> Requests {
        Requests::new(Arc::clone(&self.network), self.time)
    }

    /// How long a guest may take until it answers.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// The handles that one instance may have.
    pub fn handles(&self) -> usize {
        self.handles as usize
    }

    /// What one instance may print for one request, to each stream, in bytes.
    pub fn output(&self) -> usize {
        self.output
    }

    /// The memory that one instance may have.
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }
}

/// Opens stores.
fn stores(grants: &Grants) -> Result<Vec<(String, Arc<Store>)>> {
    let stores = grants
        .stores
        .iter()
        .map(|grant| Ok((grant.name.clone(), keyvalue::open(&grants.holder, grant, grants.store_bytes)?)));
    stores.collect()
}

/// Checks that none of the files of these stores is where one of these components reads.
pub fn check_stores<'a>(grants: &Grants, readers: impl Iterator<Item = &'a Grants>) -> Result<()> {
    for reader in readers {
        for grant in &grants.stores {
            let KeyValuePlace::File(path) = &grant.place else { continue };
            let path = keyvalue::canonical(path);
            for directory in &reader.directories {
                let is_inside = directory.host.canonicalize().is_ok_and(|place| path.starts_with(place));
                ensure!(
                    !is_inside,
                    "{}: {} is in {}, which {} may read and serve; put it elsewhere",
                    keyvalue::flag(&grants.holder, &grant.name),
                    path.display(),
                    directory.host.display(),
                    reader.holder.name()
                );
            }
        }
    }
    Ok(())
}
