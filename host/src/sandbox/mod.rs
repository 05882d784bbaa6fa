//! What one instance of a guest may touch: some directories, read-only; its own environment; so much memory; and of the
//! network what was granted. Nothing else.
//!
//! - [`directory`]: directories; [`mounts`]: which of them may hang
//! - [`network`]: where it may connect and listen, and which names it may look up; [`requests`]: whom it may ask by HTTP
//! - [`denials`]: what it asked for and was not given, to be told to the operator
//! - [`allowance`]: its memory and tables

mod allowance;
pub mod denials;
mod directory;
mod mounts;
mod network;
mod requests;

pub use allowance::Allowance;
pub use directory::Directory;
pub use mounts::may_hang;
pub use network::Network;
pub use requests::Requests;

use crate::component::Purpose;
use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use anyhow::Result;
use network::SocketCheck;
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
    allowance: Allowance,
    /// How long a guest may take until it answers.
    time: Duration,
    handles: u32,
    output: usize,
}

impl Sandbox {
    /// Opens the directories, and looks up the names of hosts.
    pub fn new(grants: &Grants, limits: &Limits, sizes: &Sizes, purpose: Purpose) -> Result<Self> {
        Ok(Self {
            directories: grants
                .directories
                .iter()
                .map(|grant| Directory::open(grant, grants.pinned))
                .collect::<Result<_>>()?,
            environment: grants.environment.clone(),
            network: Arc::new(Network::new(&grants.network, purpose)?),
            allowance: Allowance::new(sizes),
            time: limits.time,
            handles: limits.handles,
            output: limits.output,
        })
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
