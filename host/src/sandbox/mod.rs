//! What one instance of a guest may touch: some directories, read-only, its own environment and output, so much memory,
//! and nothing else. No socket, no request of its own, no input.

use crate::config::{self, Config};
use crate::guest_output::GuestOutput;
use anyhow::{Context as _, Result, ensure};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::filesystem::{Dir, FsPerms, OpenMode};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

mod hooks;
use hooks::NoRequests;

/// Bytes that one call may have the host copy for the guest. A guest writes at most 1 MiB of a body at a time.
const HOSTCALL_FUEL: usize = 16 * 1024 * 1024;

/// Resources (files, streams, header sets…) that an instance may hold. A request needs about ten.
const RESOURCES: usize = 1_000;

/// Random bytes that one call may ask for; a key needs 32.
const RANDOM_BYTES: u64 = 64 * 1024;

/// File calls run on the thread that asks: handing each to another thread costs several times the call, and files that
/// are served are mostly in memory.
const BLOCK: bool = true;

/// What instances are made with. One is shared by all requests.
#[derive(Debug)]
pub struct Sandbox {
    directories: Vec<Directory>,
    environment: Vec<(String, String)>,
    memory: usize,
}

impl Sandbox {
    /// Opens the directories.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            directories: config.directories.iter().map(Directory::open).collect::<Result<_>>()?,
            environment: config.environment.clone(),
            memory: config.limits.memory,
        })
    }

    /// A store for one fresh instance. Its guest gives way to others at every tick of the engine.
    pub fn store(self: &Arc<Self>, engine: &Engine) -> Store<State> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let wasi = WasiCtxBuilder::new()
            .envs(&self.environment)
            .stdout(GuestOutput::new("guest stdout: "))
            .stderr(GuestOutput::new("guest stderr: "))
            .allow_blocking_current_thread(BLOCK)
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES)
            .build();
        let limits = StoreLimitsBuilder::new().memory_size(self.memory).build();
        let state = State {
            table,
            wasi,
            http: WasiHttpCtx::new(),
            hooks: NoRequests,
            limits,
            sandbox: Arc::clone(self),
        };

        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(RESOURCES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }
}

/// What the host knows of one instance.
pub struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoRequests,
    limits: StoreLimits,
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

    /// The instance's resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// A directory that guests see. It is opened once, and again only when its path leads to another one: a site is
/// published by moving a new directory, or a symbolic link to it, into the old one's place.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    name: String,
    opened: RwLock<Opened>,
}

struct Opened {
    directory: Dir,
    identity: Identity,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.identity.fmt(f)
    }
}

/// Device and inode: what makes two directories the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Directory {
    fn open(config: &config::Directory) -> Result<Self> {
        let shown = config.host.display();
        // The path must mean the same for as long as the server runs, even where the working directory is removed.
        let path = std::path::absolute(&config.host).with_context(|| format!("cannot find --dir {shown}"))?;
        let metadata = std::fs::metadata(&path).with_context(|| format!("cannot serve --dir {shown}"))?;
        ensure!(
            metadata.is_dir(),
            "cannot serve --dir {shown}: it is not a directory; serve the one that it is in"
        );
        // Being listable is more than being opened needs, and what listings will need.
        std::fs::read_dir(&path).with_context(|| format!("cannot read --dir {shown}"))?;
        let opened = Opened::at(&path).with_context(|| format!("cannot open --dir {shown}"))?;
        Ok(Self { path, name: config.guest.clone(), opened: RwLock::new(opened) })
    }

    /// The directory that the path leads to, if it leads to one.
    fn current(&self) -> Option<Dir> {
        let found = Identity::from(&std::fs::metadata(&self.path).ok().filter(Metadata::is_dir)?);
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if found == opened.identity {
            return Some(opened.directory.clone());
        }
        drop(opened);
        let new = Opened::at(&self.path).ok()?;
        let directory = new.directory.clone();
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = new;
        Some(directory)
    }
}

impl Opened {
    fn at(path: &Path) -> std::io::Result<Self> {
        // Only a directory: what is put in its place meanwhile might be a FIFO, which would be waited for.
        let file =
            rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(File::from)?;
        let identity = Identity::from(&file.metadata()?);
        let directory = Dir::new(file, FsPerms::ReadOnly, OpenMode::READ, BLOCK);
        Ok(Self { directory, identity })
    }
}
