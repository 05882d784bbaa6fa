//! What one instance of a guest may touch: some directories, read-only, its own environment and output, so much memory,
//! and of the network what it was granted. Nothing else.
//!
//! - [`directory`]: the directories
//! - [`network`]: where it may connect and listen, and which names it may look up; [`requests`]: whom it may ask by HTTP
//! - [`refusals`]: what it asked for in vain, to be told to the operator
//! - [`allowance`]: its memory and tables

use crate::config::grants::Grants;
use crate::config::limits::Limits;
use crate::engine::sizes::Sizes;
use crate::guest_output::GuestOutput;
use crate::link::{self, GuestResponse};
use crate::terminal;
use anyhow::Result;
use std::sync::Arc;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

mod allowance;
mod directory;
pub mod network;
pub mod refusals;
mod requests;

use allowance::Allowance;
use directory::Directory;
use network::Network;
use refusals::Told;
use requests::Requests;

/// Bytes that one call may have the host copy for the guest. A guest writes at most 1 MiB of a body at a time.
const HOSTCALL_FUEL: usize = 16 * 1024 * 1024;

/// Resources (files, streams, header sets…) that an instance may hold. A request needs about ten.
const RESOURCES: usize = 1_000;

/// Random bytes that one call may ask for; a key needs 32.
const RANDOM_BYTES: u64 = 64 * 1024;

/// File calls run on the thread that asks: handing each to another thread costs several times the call, and files that
/// are served are mostly in memory.
pub const BLOCK: bool = true;

/// Where a guest's standard streams lead.
#[derive(Clone, Debug)]
pub enum Streams {
    /// Nothing comes in; what goes out is marked as the guest's and bounded, for many guests share one terminal.
    Marked,
    /// To those of this process: the guest is the program that the user runs, with these arguments.
    Inherited(Vec<String>),
}

/// What instances are made with. One is shared by all requests.
#[derive(Debug)]
pub struct Sandbox {
    directories: Vec<Directory>,
    known_files: link::KnownFiles,
    environment: Vec<(String, String)>,
    network: Arc<Network>,
    streams: Streams,
    allowance: Allowance,
    time: std::time::Duration,
}

impl Sandbox {
    /// Opens the directories, and looks the names of hosts up.
    pub fn new(grants: &Grants, limits: &Limits, sizes: &Sizes, streams: Streams) -> Result<Self> {
        let told = match &streams {
            Streams::Marked => Told::AtOnce,
            Streams::Inherited(_) => Told::AtTheEnd,
        };
        Ok(Self {
            directories: grants.directories.iter().map(Directory::open).collect::<Result<_>>()?,
            known_files: link::KnownFiles::default(),
            environment: grants.environment.clone(),
            network: Arc::new(Network::new(&grants.network, told)?),
            streams,
            allowance: Allowance::new(sizes),
            time: limits.time,
        })
    }

    /// The network as its instances see it.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A store for one fresh instance. Its guest gives way to others at every tick of the engine.
    pub fn store(self: &Arc<Self>, engine: &Engine) -> Store<State> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let state = State {
            table,
            context: None,
            http: WasiHttpCtx::new(),
            requests: Requests::new(Arc::clone(&self.network), self.time),
            allowance: self.allowance,
            streams: link::Streams::default(),
            last_file: link::LastFile::default(),
            response: None,
            sandbox: Arc::clone(self),
        };

        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.allowance);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(RESOURCES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    fn context(&self) -> WasiContext {
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&self.environment)
            .allow_blocking_current_thread(BLOCK)
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES);
        let outputs = match &self.streams {
            Streams::Marked => {
                let outputs = ["guest stdout: ", "guest stderr: "].map(GuestOutput::new);
                let [stdout, stderr] = outputs.clone();
                wasi.stdout(stdout).stderr(stderr);
                Some(outputs)
            }
            Streams::Inherited(arguments) => {
                wasi.args(arguments).inherit_stdin();
                wasi.stdout(terminal::Stream::Output).stderr(terminal::Stream::Error);
                None
            }
        };
        if let Some(check) = Network::check(&self.network, &self.streams) {
            wasi.allow_tcp(true).socket_addr_check(check);
        }
        WasiContext { wasi: wasi.build(), outputs }
    }
}

/// What most of WASI needs to know of an instance.
struct WasiContext {
    wasi: WasiCtx,
    /// What it prints to, where that is marked as a guest's.
    outputs: Option<[GuestOutput; 2]>,
}

/// What the host knows of one instance.
pub struct State {
    table: ResourceTable,
    /// Made when something asks for it: what a request for a file needs, it does without.
    context: Option<Box<WasiContext>>,
    http: WasiHttpCtx,
    requests: Requests,
    allowance: Allowance,
    streams: link::Streams,
    last_file: link::LastFile,
    /// The number of the `response-outparam` of its request, and where the response is waited for.
    response: Option<(u32, oneshot::Sender<GuestResponse>)>,
    sandbox: Arc<Sandbox>,
}

impl State {
    /// The directories, each with the name that the guest knows it by. They are as they are now: one that was replaced
    /// on disk has been opened again, and one that is gone is not among them.
    pub fn directories(&self) -> impl Iterator<Item = (Dir, String)> + use<> {
        let sandbox = Arc::clone(&self.sandbox);
        (0..sandbox.directories.len()).filter_map(move |at| {
            let directory = &sandbox.directories[at];
            Some((directory.current()?, directory.name.clone()))
        })
    }

    /// The network as the instance sees it.
    pub fn network(&self) -> &Network {
        &self.sandbox.network
    }

    /// The instance is about to answer a request, by the `response-outparam` of this number.
    pub fn begin_request(&mut self, outparam: u32, response: oneshot::Sender<GuestResponse>) {
        self.response = Some((outparam, response));
    }

    /// The instance has set a response. What it has kept from an earlier request answers nobody.
    pub fn respond(&mut self, outparam: u32, response: GuestResponse) {
        if let Some((_, waiting)) = self.response.take_if(|(expected, _)| *expected == outparam) {
            // Where nobody waits any more, the client has gone.
            let _ = waiting.send(response);
        }
    }

    /// The instance has answered a request, and what it printed belongs to that. Gives whether it has kept within its
    /// limits.
    pub fn end_request(&mut self) -> bool {
        self.response = None;
        self.last_file = link::LastFile::default();
        for output in self.context.iter().flat_map(|context| &context.outputs).flatten() {
            output.end_request();
        }
        !self.allowance.was_exceeded()
    }

    /// What its streams are.
    pub fn streams(&mut self) -> &mut link::Streams {
        &mut self.streams
    }

    /// What is known of the file that it has looked at or opened last.
    pub fn last_file(&mut self) -> &mut link::LastFile {
        &mut self.last_file
    }

    /// Which paths have led to regular files.
    pub fn known_files(&self) -> &link::KnownFiles {
        &self.sandbox.known_files
    }

    /// The variables of its environment, and their values.
    pub fn environment(&self) -> &[(String, String)] {
        &self.sandbox.environment
    }

    /// The instance's resources, to be looked at.
    pub fn resources(&self) -> &ResourceTable {
        &self.table
    }

    /// The instance's resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let context = self.context.get_or_insert_with(|| Box::new(self.sandbox.context()));
        WasiCtxView { ctx: &mut context.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.requests }
    }
}
