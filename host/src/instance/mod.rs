//! The state of one instance: what it may touch, composed of the [`sandbox`](crate::sandbox)'s policy and of what WASI
//! calls need to remember ([`wasi`](crate::wasi)).

pub mod next;

pub use next::Next;

use crate::body::{IncomingEnd, Outgoing};
use crate::config::grants::SCRATCH;
use crate::report::guest_output::GuestOutput;
use crate::report::tag::Tag;
use crate::report::terminal::Terminal;
use crate::sandbox::scratch::Scratch;
use crate::sandbox::{Allowance, BLOCKING_FILE_CALLS, Network, Requests, Sandbox};
use crate::wasi::files::Lately;
use crate::wasi::keyvalue::Store as KeyValueStore;
use crate::wasi::sidecars::{Compressor, Digester, Sidecars};
use crate::wasi::{KnownFiles, LastFile, LentBodies, MissingNames, OpenFiles, PathKeys, Streams};
use http::{HeaderMap, Response};
use next::Original;
use std::sync::Arc;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::filesystem::{Dir, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::IoView;

/// Bytes that one call may have the host copy for the guest. A guest writes at most 1 MiB of a body at a time.
pub const HOSTCALL_FUEL: usize = 16 * 1024 * 1024;

/// Resources that room is made for at once: what a request for a file needs.
const EXPECTED_RESOURCES: usize = 12;

/// Random bytes that one call may ask for; a key needs 32.
const MAX_RANDOM_BYTES: u64 = 64 * 1024;

/// What a guest sets as its response, or the code that it gives instead. It is passed on several times.
pub type GuestResponse = Result<Box<Response<Outgoing>>, String>;

/// Where a guest's standard streams lead.
#[derive(Clone, Debug)]
pub enum Stdio {
    /// Nothing comes in; what goes out is marked as the guest's and bounded, because many guests share one terminal.
    Marked,
    /// To those of this process: the guest is the program that the user runs, with these arguments.
    Inherited(Vec<String>),
}

/// What instances are made with. All instances of a component share one.
pub struct Template {
    sandbox: Sandbox,
    stdio: Stdio,
    files: Arc<FileMemory>,
    /// What the runtime's own calls about files need, for each instance a copy.
    filesystem: WasiFilesystemCtx,
    /// Whether it is the file server, which looks for sidecars that are made.
    has_sidecars: bool,
    /// Whether digests are among them.
    has_digests: bool,
}

/// What is known of files that were asked for lately, by the instances of all components: the limits of it are those of the
/// process. A directory is named by its file descriptor, so that a component finds nothing in it of another one's files.
#[derive(Default)]
pub struct FileMemory {
    keys: PathKeys,
    known: KnownFiles,
    open: OpenFiles,
    missing: MissingNames,
    compressor: Option<Arc<Compressor>>,
    digester: Arc<Digester>,
}

impl FileMemory {
    /// With sidecars for the instances of file servers, where there is a compressor.
    pub fn new(compressor: Option<Arc<Compressor>>) -> Self {
        Self { compressor, ..Self::default() }
    }
}

impl Template {
    /// A template for instances that may touch what `sandbox` says.
    pub fn new(sandbox: Sandbox, stdio: Stdio, files: Arc<FileMemory>) -> Self {
        let mut wasi = WasiCtxBuilder::new().allow_blocking_current_thread(BLOCKING_FILE_CALLS).build();
        Self {
            sandbox,
            stdio,
            files,
            filesystem: wasi.filesystem().clone(),
            has_sidecars: false,
            has_digests: false,
        }
    }

    /// The same for instances of the file server, which may look for digests.
    #[must_use]
    pub fn with_sidecars(mut self, digests: bool) -> Self {
        self.has_sidecars = digests || self.files.compressor.is_some();
        self.has_digests = digests;
        self
    }

    /// What instances may touch.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The state of one new instance.
    pub fn state(self: &Arc<Self>) -> State {
        let mut table = ResourceTable::with_capacity(EXPECTED_RESOURCES);
        table.set_max_capacity(self.sandbox.handles());
        State {
            table,
            context: None,
            filesystem: self.filesystem.clone(),
            http: WasiHttpCtx::new(),
            requests: self.sandbox.requests(),
            allowance: self.sandbox.allowance(),
            streams: Streams::default(),
            lent: LentBodies::default(),
            last_file: LastFile::default(),
            sidecars: None,
            scratch: None,
            request: None,
            template: Arc::clone(self),
        }
    }

    /// A store for one new instance. Its guest gives way to others at every tick of the engine.
    pub fn store<T: 'static>(
        &self,
        engine: &Engine,
        data: T,
        allowance: impl Fn(&mut T) -> &mut Allowance + Send + Sync + 'static,
    ) -> Store<T> {
        let mut store = Store::new(engine, data);
        store.limiter(move |data| allowance(data));
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(self.sandbox.handles());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    /// What most of WASI needs to know of an instance that answers a request with this tag.
    fn context(&self, tag: Option<&Tag>) -> WasiContext {
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(self.sandbox.environment())
            .allow_blocking_current_thread(BLOCKING_FILE_CALLS)
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(MAX_RANDOM_BYTES);
        let outputs = match &self.stdio {
            Stdio::Marked => {
                let outputs = ["guest stdout", "guest stderr"]
                    .map(|name| GuestOutput::new(name, self.sandbox.output(), tag.cloned()));
                let [stdout, stderr] = outputs.clone();
                wasi.stdout(stdout).stderr(stderr);
                Some(outputs)
            }
            Stdio::Inherited(arguments) => {
                wasi.args(arguments).inherit_stdin();
                wasi.stdout(Terminal::Output).stderr(Terminal::Error);
                None
            }
        };
        if let Some(check) = self.sandbox.socket_check() {
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

/// The request that an instance answers.
struct CurrentRequest {
    /// In WASI 0.2, the number of its `response-outparam`, and what takes the response; `None` once it was set.
    response: Option<(u32, oneshot::Sender<GuestResponse>)>,
    /// Ends the body of the request, where it has one.
    body: Option<Arc<IncomingEnd>>,
    /// What marks the lines that the guest prints.
    tag: Tag,
    /// What it may pass the request on to.
    next: Option<Arc<dyn Next>>,
    /// The request itself, in WASI 0.2 and where it may be passed on.
    original: Option<Original>,
}

/// What a call about a file needs.
pub struct AboutFiles<'a> {
    /// The resources of the instance.
    pub resources: &'a ResourceTable,
    /// What is known of files that this instance and others have asked for.
    pub lately: Lately<'a>,
    /// The file that the instance has examined or opened last.
    pub last: &'a mut LastFile,
    /// The compressed forms of files that its request may have.
    pub sidecars: Option<&'a mut Sidecars>,
}

/// What the host knows of one instance.
pub struct State {
    table: ResourceTable,
    /// Made at its first use: most requests for files do without.
    context: Option<Box<WasiContext>>,
    filesystem: WasiFilesystemCtx,
    http: WasiHttpCtx,
    requests: Requests,
    allowance: Allowance,
    streams: Streams,
    lent: LentBodies,
    last_file: LastFile,
    sidecars: Option<Box<Sidecars>>,
    /// Made when the guest asks for its directories.
    scratch: Option<Arc<Scratch>>,
    request: Option<CurrentRequest>,
    template: Arc<Template>,
}

impl State {
    /// Becomes the state of a new instance, which may still grow by this.
    pub fn renew(&mut self, may_grow: Allowance) {
        *self = Self { allowance: may_grow, ..self.template.state() };
    }

    /// The directories as they are now, each with the name that the guest knows it by. One that was replaced on disk was
    /// opened again; one that is gone is an empty directory.
    pub fn directories(&self) -> impl Iterator<Item = anyhow::Result<(Dir, String)>> + use<> {
        let template = Arc::clone(&self.template);
        (0..template.sandbox.directories().len()).map(move |at| {
            let directory = &template.sandbox.directories()[at];
            Ok((directory.current()?, directory.name.clone()))
        })
    }

    /// The directory to write to, which is made by the first call, and the name that the guest knows it by.
    pub fn make_scratch(&mut self) -> anyhow::Result<Option<(Dir, String)>> {
        let Some(scratches) = self.template.sandbox.scratches() else { return Ok(None) };
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(scratches.get()?),
        };
        Ok(Some((scratch.directory(), SCRATCH.to_owned())))
    }

    /// The directory to write to, if it was made.
    pub fn scratch(&self) -> Option<&Arc<Scratch>> {
        self.scratch.as_ref()
    }

    /// The store of this name.
    pub fn store(&self, name: &str) -> Option<Arc<KeyValueStore>> {
        self.template.sandbox.store(name)
    }

    /// Whether it has any store.
    pub fn has_stores(&self) -> bool {
        self.template.sandbox.has_stores()
    }

    /// The names and values of its configuration.
    pub fn configuration(&self) -> &[(String, String)] {
        self.template.sandbox.configuration()
    }

    /// The network as the instance sees it.
    pub fn network(&self) -> &Network {
        self.template.sandbox.network()
    }

    fn outputs(&self) -> impl Iterator<Item = &GuestOutput> {
        self.context.iter().flat_map(|context| &context.outputs).flatten()
    }

    /// The instance is about to answer a request; in WASI 0.2, by the `response-outparam` of this number. `body` ends the body of
    /// the request, `tag` marks what the instance prints, and `next` stands behind it.
    pub fn begin_request(
        &mut self,
        response: Option<(u32, oneshot::Sender<GuestResponse>)>,
        body: Option<Arc<IncomingEnd>>,
        tag: Tag,
        next: Option<Arc<dyn Next>>,
    ) {
        for output in self.outputs() {
            output.begin_request(tag.clone());
        }
        self.request = Some(CurrentRequest { response, body, tag, next, original: None });
    }

    /// The request that it is about to answer has these fields.
    pub fn begin_sidecars(&mut self, headers: &HeaderMap) {
        if self.template.has_sidecars {
            let FileMemory { compressor, digester, .. } = &*self.template.files;
            let digester = self.template.has_digests.then(|| Arc::clone(digester));
            self.sidecars = Some(Box::new(Sidecars::new(compressor.clone(), digester, headers)));
        }
    }

    /// The request that it is about to answer may be passed on as it is.
    pub fn keep_original(&mut self, original: Original) {
        if let Some(request) = &mut self.request {
            request.original = Some(original);
        }
    }

    /// The request of this number, to be passed on.
    pub fn take_original(&mut self, number: u32) -> Option<Original> {
        self.request.as_mut()?.original.take_if(|original| original.number == number)
    }

    /// What the request may be passed on to.
    pub fn next(&self) -> Option<Arc<dyn Next>> {
        self.request.as_ref()?.next.clone()
    }

    /// The instance has set a response. By what it has kept from an earlier request, it answers none.
    pub fn respond(&mut self, outparam: u32, response: GuestResponse) {
        let current = self.request.as_mut().map(|request| &mut request.response);
        let current = current.and_then(|current| current.take_if(|(number, _)| *number == outparam));
        if let Some((_, sender)) = current {
            // The receiver is gone if the client has left.
            let _ = sender.send(response);
        }
    }

    /// The instance has answered a request. Ends what it has left open: bodies, and what it printed. Gives whether the
    /// instance may answer another request: it has kept within its limits, and does not hold much.
    pub fn end_request(&mut self) -> bool {
        if let Some(body) = self.request.take().and_then(|request| request.body) {
            body.end();
        }
        self.streams.end_bodies();
        self.last_file = LastFile::default();
        self.sidecars = None;
        for output in self.outputs() {
            output.end_request();
        }
        // One that leaks handles is replaced before it runs out.
        !self.allowance.was_exceeded() && self.table.iter_mut().count() <= self.template.sandbox.handles() / 2
    }

    /// Its memory and tables, as far as they may still grow.
    pub fn allowance(&mut self) -> &mut Allowance {
        &mut self.allowance
    }

    /// Its streams, as far as the host can do more with them than read and write.
    pub fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// The bodies of responses that it has made and not given away.
    pub fn lent_bodies(&mut self) -> &mut LentBodies {
        &mut self.lent
    }

    /// The file that it has examined or opened last.
    pub fn last_file(&mut self) -> &mut LastFile {
        &mut self.last_file
    }

    /// What a call about a file needs.
    pub fn about_files(&mut self) -> AboutFiles<'_> {
        let FileMemory { keys, known, open, missing, .. } = &*self.template.files;
        AboutFiles {
            resources: &self.table,
            lately: Lately { keys, known, open, missing },
            last: &mut self.last_file,
            sidecars: self.sidecars.as_deref_mut(),
        }
    }

    /// The variables of its environment, and their values.
    pub fn environment(&self) -> &[(String, String)] {
        self.template.sandbox.environment()
    }

    /// Whether files that are neither regular nor directories may be opened, which can block the thread: only a command
    /// has a thread of its own.
    pub fn may_block(&self) -> bool {
        matches!(self.template.stdio, Stdio::Inherited(_))
    }

    /// The runtime's own calls about files, which need nothing of its context.
    pub fn files(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: &mut self.filesystem, table: &mut self.table }
    }

    /// Its resources, to be read.
    pub fn resources(&self) -> &ResourceTable {
        &self.table
    }

    /// Its resources.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let tag = self.request.as_ref().map(|request| &request.tag);
        let context = self.context.get_or_insert_with(|| Box::new(self.template.context(tag)));
        WasiCtxView { ctx: &mut context.wasi, table: &mut self.table }
    }
}

impl IoView for State {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.requests }
    }
}
